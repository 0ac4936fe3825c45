"""Fetches that the relay holds: a fetch that finds nothing is answered when records are written, or when time is up.

The broker stops to look for records when the wait of a fetch is over. With too short a wait it may find none, or only a
few of them. And while it waits, it does not notice new records. So the relay asks with a short wait for
partitions that were read to their ends, and with a longer wait where records are expected.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
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
    read_produced,
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
    """Register of the ends of partitions that answers of the broker show, and of the sessions that wait for records."""

    def __init__(self) -> None:
        self._ends: dict[Place, int] = {}
        self._waiting: dict[Place, set[ClientSession]] = {}

    def __repr__(self) -> str:
        return f"<Board {len(self._ends)} ends, {len(self._waiting)} partitions awaited>"

    def end(self, place: Place) -> int | None:
        """Return an offset to which a partition has records; ``None`` if nothing is known about it."""
        return self._ends.get(place)

    def expects(self, offsets: Mapping[Place, int]) -> bool:
        """Return whether a partition may have records from its offset on: its end is unknown, or after the offset."""
        return any(self._ends.get(place, offset + 1) > offset for place, offset in offsets.items())

    def learn(self, ends: Mapping[Place, int], before: Mapping[Place, int | None]) -> None:
        """Record the ends of partitions from an answer.

        Parameters
        ----------
        ends
            Ends in the answer.
        before
            Ends that were known when the broker was asked. If more has been written since, the answer is too old.
        """
        for place, end in ends.items():
            known = self._ends.get(place)
            self._ends[place] = end if known is None or known == before.get(place) else max(known, end)

    def written(self, firsts: Mapping[Place, int | None]) -> None:
        """Record a write, and let the sessions look that have not read it yet.

        Parameters
        ----------
        firsts
            Offset of the first written record of each partition; ``None`` if it is unknown.
        """
        sessions: set[ClientSession] = set()
        for place, first in firsts.items():
            if first is None:
                self._ends.pop(place, None)
            else:
                self._ends[place] = max(self._ends.get(place, 0), first + 1)
            sessions |= self._waiting.get(place, set())
        for session in sessions:
            session.look()

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


class _Held:
    """A fetch that is being answered.

    Attributes
    ----------
    until
        When it is answered at the latest, by the loop's clock.
    ask_ms
        How long the broker looks at most when it is asked next, milliseconds.
    known
        Ends of its partitions that were known when the broker was asked last.
    answer
        The newest answer of the broker; ``None`` while the broker is being asked.
    """

    def __init__(self, head: RequestHead, fetch: FetchRequest, frame: bytes, began: float) -> None:
        self.head = head
        self.offsets = fetch.offsets
        self.began = began
        self.until = began + fetch.wait_ms / 1_000
        self.ask_ms = ASK_MS
        self.known: dict[Place, int | None] = {}
        self.answer: bytes | None = None
        self._fetch = fetch
        self._frame = frame

    @property
    def request(self) -> bytes:
        """The request for the broker, which answers within :attr:`ask_ms`."""
        at = self._fetch.wait_at
        wait_ms = min(self._fetch.wait_ms, self.ask_ms)
        return self._frame[:at] + _INT32.pack(wait_ms) + self._frame[at + _INT32.size :]


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
        self._produces: dict[int, int] = {}
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
        version = self._produces.pop(correlation, None)
        self._to_client(frame)
        if version is not None:
            self._board.written(read_produced(frame, version))

    def look(self) -> None:
        """Ask the broker again for the held fetch, if it has not found records that have come."""
        held = self._held
        if held is not None and held.answer is not None and self._board.expects(held.offsets):
            self._ask(held, EXPECTING_MS)

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
                self._ask(self._held, EXPECTING_MS if self._board.expects(fetch.offsets) else ASK_MS)
                return
        elif head.api == PRODUCE:
            self._note_write(frame, head)
        self._to_broker(frame)

    def _note_write(self, frame: bytes, head: RequestHead) -> None:
        produce = read_produce(frame, head.version)
        if produce is None:
            return
        if produce.is_answered:
            self._produces[head.correlation] = head.version
        else:
            for pause_s in UNANSWERED_S:
                self._loop.call_later(pause_s, self._board.written, dict.fromkeys(produce.places))

    def _ask(self, held: _Held, ask_ms: int) -> None:
        held.answer, held.ask_ms = None, ask_ms
        held.known = {place: self._board.end(place) for place in held.offsets}
        self._to_broker(held.request)

    def _judge(self, held: _Held, frame: bytes) -> None:
        """Pass on an answer that brings records, or that comes when time is up; otherwise hold it, or ask again."""
        if len(frame) >= LARGE_BYTES:
            self._finish(frame)
            return
        found, ends = read_answer(frame, held.head.version)
        self._board.learn(ends, held.known)
        if found == "error":
            held.until = min(held.until, held.began + MAX_ERROR_WAIT_S)
        if found == "records" or self._loop.time() >= held.until:
            self._finish(frame)
        elif found == "nothing" and held.ask_ms < MAX_ASK_MS and self._board.expects(held.offsets):
            # Records came while the broker was looking, or it has not finished looking.
            self._ask(held, min(max(2 * held.ask_ms, EXPECTING_MS), MAX_ASK_MS))
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
