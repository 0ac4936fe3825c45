"""Replay of dead letters: each one is sent exactly once, even if a replay is killed and repeated.

Before an event is written to ``events``, a first mark is written to ``events.replayed``. It contains the offset at
which the event's partition ends at that time. After the event, a second mark is written. A replay that finds only the
first mark searches for the event from that offset on. So the replay knows whether the event was written, even if the
fold has already forgotten the event's id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from models.batch import Output
from models.events import decode_event
from models.log import EVENTS, is_control
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.dead_letters import reading
from stream.dead_letters.reading import Letter
from stream.dead_letters.repair import Mended, StillRefused, mend, missing_part
from stream.log.event_log import EventLog

__all__ = ["TOPIC", "ReplayMark", "ReplayedLetters", "replay"]

TOPIC = "events.replayed"
PORTION = 500
"""Number of letters that are marked and written together."""


class ReplayMark(msgspec.Struct, frozen=True, kw_only=True):
    """Value of ``events.replayed`` for a dead letter; the key is the letter's id.

    Attributes
    ----------
    state
        ``begun``: the event is about to be written; ``done``: Kafka has acknowledged the event.
    message_id
        Id of the event.
    partition, end
        Partition of ``events`` that the event goes to, and the partition's end before the event was written.
    """

    state: Literal["begun", "done"]
    message_id: str
    partition: int
    end: int


@dataclass(slots=True)
class ReplayedLetters:
    """Result of a replay.

    Attributes
    ----------
    sent, before
        Ids of letters that are events now, and of letters that had been replayed before.
    refused
        Ids of letters that still cannot become events, with the reason. If a withdrawal of consent could be read in
        such a letter, it was sent under the letter's id and ``#withdrawal``.
    """

    sent: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


async def replay(
    connection: Connection,
    partitions: int,
    letters: AsyncIterator[Letter],
    *,
    force: bool = False,
    on_progress: Callable[[ReplayedLetters], None] | None = None,
) -> ReplayedLetters:
    """Send the letters that were not sent before.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of ``events``.
    letters
        The dead letters; one that comes twice is sent once.
    force
        Also send events that came too late.
    on_progress
        Called from time to time.

    Raises
    ------
    BrokerUnavailable, LogUnavailable
        Replay again; the marks say which letters were sent.
    """
    async with EventLog(connection, partitions) as log:
        work = _Replay(connection, partitions, log, await _marks(connection), force=force)
        async for portion in _portions(letters):
            await work.send(portion)
            if on_progress is not None:
                on_progress(work.done)
    return work.done


class _Replay:
    """One run of :func:`replay`."""

    def __init__(
        self, connection: Connection, partitions: int, log: EventLog, marks: dict[str, ReplayMark], *, force: bool
    ) -> None:
        self.done = ReplayedLetters()
        self._connection = connection
        self._partitions = partitions
        self._log = log
        self._marks = marks
        self._force = force

    async def send(self, letters: Sequence[Letter]) -> None:
        """Send the letters that were not sent before and that can become events."""
        found = [await self._mended(letter) for letter in letters]
        mended = [one for one in found if one is not None]
        if not mended:
            return
        places = {one.id: partition_of(one.event.user.encode(), self._partitions) for one in mended}
        ends = await reading.ends(self._connection, EVENTS, sorted(set(places.values())))
        await self._mark("begun", mended, places, ends)
        await self._log.append([one.event for one in mended])
        await self._mark("done", mended, places, ends)
        self.done.sent += [one.id for one in mended]

    async def _mark(
        self, state: Literal["begun", "done"], mended: Sequence[Mended], places: dict[str, int], ends: dict[int, int]
    ) -> None:
        for one in mended:
            place = places[one.id]
            mark = ReplayMark(state=state, message_id=one.event.id, partition=place, end=ends[place])
            self._marks[one.id] = mark
        await self._log.write(
            [Output(TOPIC, one.id.encode(), msgspec.json.encode(self._marks[one.id])) for one in mended]
        )

    async def _mended(self, letter: Letter) -> Mended | None:
        mark = self._marks.get(letter.id)
        if mark is not None and (mark.state == "done" or await _is_written(self._connection, mark)):
            self.done.before.append(letter.id)
            return None
        try:
            source = missing_part(letter.rejected)
            fetched = None if source is None else await self._value(*source)
            event = mend(letter.rejected, fetched, force=self._force)
        except StillRefused as error:
            self.done.refused[letter.id] = str(error)
            name = f"{letter.id}#withdrawal"
            return None if error.withdrawal is None or name in self._marks else Mended(name, error.withdrawal)
        return Mended(letter.id, event)

    async def _value(self, topic: str, partition: int, offset: int) -> bytes | None:
        found = await reading.record_at(self._connection, topic, partition, offset)
        return None if found is None else found.value


async def _portions(letters: AsyncIterator[Letter]) -> AsyncIterator[list[Letter]]:
    portion: dict[str, Letter] = {}
    async for letter in letters:
        portion[letter.id] = letter
        if len(portion) >= PORTION:
            yield list(portion.values())
            portion = {}
    if portion:
        yield list(portion.values())


async def _marks(connection: Connection) -> dict[str, ReplayMark]:
    found: dict[str, ReplayMark] = {}
    async with aclosing(reading.records(connection, TOPIC)) as records:
        async for record in records:
            mark = msgspec.json.decode(record.value or b"", type=ReplayMark)
            name = (record.key or b"").decode()
            # Two replays at the same time may have written in any order, so a mark "done" takes precedence.
            if name not in found or found[name].state == "begun":
                found[name] = mark
    return found


async def _is_written(connection: Connection, mark: ReplayMark) -> bool:
    """Return whether the event of a mark ``begun`` is in the log."""
    async with aclosing(reading.records_from(connection, EVENTS, mark.partition, mark.end)) as records:
        async for record in records:
            if not is_control(record.key) and _id_of(record.value) == mark.message_id:
                return True
    return False


def _id_of(value: bytes | None) -> str | None:
    try:
        return decode_event(value or b"").id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
