"""Fetches that the relay holds: a fetch that finds nothing is answered when records are written, or when time is up.

The broker stops to look for records when the wait of a fetch is over. With too short a wait it may find none, or only a
few of them. And while it waits, it does not notice new records. So the relay asks with a short wait for
partitions that were read to their ends, and with a longer wait where records are expected.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from stream.installation.kafka_frames import (
    FETCH,
    PRODUCE,
    FetchRequest,
    Place,
    RequestHead,
    read_answer,
    read_fetch,
    read_head,
    read_produce,
)

__all__ = ["Board", "ClientSession"]

ASK_MS: Final = 2
"""How long the broker may look where no records are expected, milliseconds. With 0 it would not look at all."""
EXPECTING_MS: Final = 20
"""How long the broker may look where records are expected, milliseconds. It answers earlier if it finds some."""
MAX_ASK_MS: Final = 1_000
"""Maximum time that the broker may look, milliseconds, after it did not find records that exist."""
MAX_ERROR_WAIT_S: Final = 0.02
"""Maximum time that an answer with an error is held, seconds. A client would otherwise ask without a pause."""
UNANSWERED_S: Final = (0.01, 0.1)
"""How long after the request of a producer that wants no answer readers look for its records, seconds."""
MAX_WAITING: Final = 64
"""Maximum number of requests that wait behind a held fetch; then the client has to wait."""
LARGE_BYTES: Final = 1 << 16
"""Size from which an answer to a fetch contains records in any case, bytes."""

_INT32 = struct.Struct(">i")


class Board:
    """Record of the writes to each partition, of the ends of partitions, and of the sessions that wait for a write."""

    def __init__(self) -> None:
        self._ends: dict[Place, int] = {}
        self._writes = Counter[Place]()
        self._waiting: dict[Place, set[ClientSession]] = {}

    def __repr__(self) -> str:
        return f"<Board {self._writes.total()} writes, {len(self._waiting)} partitions awaited>"

    def writes(self, places: Iterable[Place]) -> int:
        """Return the number of writes to some partitions so far."""
        return sum([self._writes[place] for place in places])

    def expects(self, offsets: Mapping[Place, int]) -> bool:
        """Return whether a partition may have records from its offset on: its end is unknown, or after the offset."""
        return any(self._ends.get(place, offset + 1) > offset for place, offset in offsets.items())

    def learn(self, ends: Mapping[Place, int]) -> None:
        """Record the ends of partitions. An end is known until the next write to its partition."""
        self._ends |= ends

    def wait(self, session: ClientSession, places: Iterable[Place]) -> None:
        """Let a session look for records after each write to one of these partitions."""
        for place in places:
            self._waiting.setdefault(place, set()).add(session)

    def leave(self, session: ClientSession, places: Iterable[Place]) -> None:
        """Forget that a session waits for these partitions."""
        for place in places:
            waiting = self._waiting.get(place, set())
            waiting.discard(session)
            if not waiting:
                self._waiting.pop(place, None)

    def written(self, places: Iterable[Place]) -> None:
        """Record a write, and let the sessions look that wait for it."""
        sessions: set[ClientSession] = set()
        for place in places:
            self._writes[place] += 1
            self._ends.pop(place, None)
            sessions |= self._waiting.get(place, set())
        for session in sessions:
            session.look()


class _Held:
    """A fetch that is being answered.

    Attributes
    ----------
    until
        When it is answered at the latest, by the loop's clock.
    ask_ms
        How long the broker may look at least, milliseconds.
    writes
        Number of writes to its partitions when the broker was asked last.
    answer
        The newest answer of the broker; ``None`` while the broker is being asked.
    """

    def __init__(self, head: RequestHead, fetch: FetchRequest, frame: bytes, began: float) -> None:
        self.head = head
        self.offsets = fetch.offsets
        self.began = began
        self.until = began + fetch.wait_ms / 1_000
        self.ask_ms = ASK_MS
        self.writes = 0
        self.answer: bytes | None = None
        self._fetch = fetch
        self._frame = frame

    def request(self, ask_ms: int) -> bytes:
        """Return the request for the broker, which answers within this time."""
        at = self._fetch.wait_at
        return self._frame[:at] + _INT32.pack(min(self._fetch.wait_ms, ask_ms)) + self._frame[at + _INT32.size :]

    def misses(self, ends: Mapping[Place, int]) -> bool:
        """Return whether a partition has records that are wanted, by its end."""
        return any(end > self.offsets.get(place, end) for place, end in ends.items())


class ClientSession:
    """One client's requests. They go to the broker in their order, and a held fetch holds those behind it.

    Parameters
    ----------
    board
        Writes of all clients.
    to_broker, to_client
        Functions that send a frame.
    """

    def __init__(self, board: Board, to_broker: Callable[[bytes], None], to_client: Callable[[bytes], None]) -> None:
        self._board = board
        self._to_broker = to_broker
        self._to_client = to_client
        self._loop = asyncio.get_running_loop()
        self._waiting = deque[bytes]()
        self._produces: dict[int, frozenset[Place]] = {}
        self._held: _Held | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<ClientSession holds={self._held is not None} waiting={len(self._waiting)}>"

    @property
    def is_full(self) -> bool:
        """Whether the client has to wait, because :data:`MAX_WAITING` requests wait here."""
        return len(self._waiting) >= MAX_WAITING

    def request(self, frame: bytes) -> None:
        """Take a request of the client."""
        if self._held is not None:
            self._waiting.append(frame)
        else:
            self._forward(frame)

    def answer(self, frame: bytes) -> None:
        """Take an answer of the broker."""
        (correlation,) = _INT32.unpack_from(frame)
        held = self._held
        if held is not None and held.head.correlation == correlation:
            self._judge(held, frame)
            return
        places = self._produces.pop(correlation, None)
        self._to_client(frame)
        if places is not None:
            self._board.written(places)

    def look(self) -> None:
        """Ask the broker again for the held fetch, because records have come."""
        if self._held is not None and self._held.answer is not None:
            self._ask(self._held)

    def close(self) -> None:
        """Forget all requests, because the client or the broker has gone."""
        self._waiting.clear()
        self._release()

    def _forward(self, frame: bytes) -> None:
        head = read_head(frame)
        if head.api == FETCH:
            fetch = read_fetch(frame, head.version)
            if fetch is not None:
                self._held = _Held(head, fetch, frame, self._loop.time())
                self._ask(self._held)
                return
        elif head.api == PRODUCE:
            self._note_write(frame, head)
        self._to_broker(frame)

    def _note_write(self, frame: bytes, head: RequestHead) -> None:
        produce = read_produce(frame, head.version)
        if produce is None:
            return
        if produce.is_answered:
            self._produces[head.correlation] = produce.places
        else:
            for pause_s in UNANSWERED_S:
                self._loop.call_later(pause_s, self._board.written, produce.places)

    def _ask(self, held: _Held) -> None:
        held.answer = None
        held.writes = self._board.writes(held.offsets)
        expecting_ms = EXPECTING_MS if self._board.expects(held.offsets) else 0
        self._to_broker(held.request(max(held.ask_ms, expecting_ms)))

    def _judge(self, held: _Held, frame: bytes) -> None:
        """Pass on an answer that brings records, or that comes when time is up; otherwise hold it, or ask again."""
        if len(frame) >= LARGE_BYTES:
            self._finish(frame)
            return
        found, ends = read_answer(frame, held.head.version)
        are_current = self._board.writes(held.offsets) == held.writes
        if are_current:
            self._board.learn(ends)
        if found == "error":
            held.until = min(held.until, held.began + MAX_ERROR_WAIT_S)
        if found == "records" or self._loop.time() >= held.until:
            self._finish(frame)
        elif not are_current:
            self._ask(held)  # records came while the broker was looking
        elif held.misses(ends) and held.ask_ms < MAX_ASK_MS:
            held.ask_ms = min(max(2 * held.ask_ms, EXPECTING_MS), MAX_ASK_MS)
            self._ask(held)  # the broker has not finished looking
        else:
            held.answer = frame
            self._hold(held)

    def _hold(self, held: _Held) -> None:
        if self._timer is None:
            self._board.wait(self, held.offsets)
        else:
            self._timer.cancel()
        self._timer = self._loop.call_at(held.until, self._end)

    def _end(self) -> None:
        """Called when time is up. If the broker is being asked, its answer is passed on when it comes."""
        if self._held is not None and self._held.answer is not None:
            self._finish(self._held.answer)

    def _finish(self, frame: bytes) -> None:
        self._release()
        while self._waiting and self._held is None:
            self._forward(self._waiting.popleft())
        self._to_client(frame)

    def _release(self) -> None:
        held, self._held = self._held, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if held is not None:
            self._board.leave(self, held.offsets)
