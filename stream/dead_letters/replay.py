"""Sending dead letters again, each once, also across ``kill -9``.

Before an event is written to ``events``, a note in ``events.replayed`` says so, with the end of its partition at that
time; afterwards a second note says that it is there. Whoever finds the first note alone looks for the event behind that
end, and so knows whether it was written: nothing depends on how long repeats are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from models.batch import Output
from models.events import decode_event
from models.log import EVENTS
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.dead_letters import reading
from stream.dead_letters.reading import Letter
from stream.dead_letters.repair import Mended, StillRefused, mend
from stream.log.event_log import EventLog

TOPIC = "events.replayed"
TOGETHER = 500
"""Letters between two rounds of notes."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What ``events.replayed`` says about a dead letter, under the letter's id.

    Attributes
    ----------
    state
        ``begun``: about to be written; ``done``: acknowledged by Kafka.
    message_id
        Of the event.
    partition, end
        Of ``events``: where the event goes, and an end of it from before.
    """

    state: Literal["begun", "done"]
    message_id: str
    partition: int
    end: int


@dataclass(slots=True)
class Replayed:
    """What came of a replay.

    Attributes
    ----------
    sent, before
        Ids of letters that are events now, and of those that had been replayed before.
    refused
        Ids of those that still cannot, with the reason. The withdrawal of consent that could be read in one is sent
        under its id and ``#withdrawal``.
    """

    sent: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every letter is an event now."""
        return not self.refused


async def replay(
    connection: Connection,
    partitions: int,
    letters: Iterable[Letter],
    *,
    force: bool = False,
    on_progress: Callable[[Replayed], None] | None = None,
) -> Replayed:
    """Send letters again that were not sent before.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Of ``events``.
    letters
        Which; one that comes twice is sent once.
    force
        Take events that came too late, too.
    on_progress
        Called now and then.

    Raises
    ------
    BrokerUnreachable, LogUnavailable
        Begin again: what was sent is known.
    """
    notes = _notes(connection)
    replayed = Replayed()
    async with EventLog(connection, partitions) as log:
        for portion in _portions(letters):
            mended = [one for letter in portion if (one := _mended(connection, letter, notes, replayed, force))]
            await _send(connection, log, partitions, mended, notes)
            replayed.sent += [one.id for one in mended]
            if on_progress is not None:
                on_progress(replayed)
    return replayed


def _portions(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    portion: dict[str, Letter] = {}
    for letter in letters:
        portion[letter.id] = letter
        if len(portion) >= TOGETHER:
            yield list(portion.values())
            portion = {}
    if portion:
        yield list(portion.values())


def _notes(connection: Connection) -> dict[str, Note]:
    found: dict[str, Note] = {}
    for record in reading.records(connection, TOPIC):
        note = msgspec.json.decode(record.value or b"", type=Note)
        name = (record.key or b"").decode()
        # Two that ran side by side may have written in any order: what is done stays done.
        if name not in found or found[name].state == "begun":
            found[name] = note
    return found


def _mended(
    connection: Connection, letter: Letter, notes: dict[str, Note], replayed: Replayed, force: bool
) -> Mended | None:
    note = notes.get(letter.id)
    if note is not None and (note.state == "done" or _is_there(connection, note)):
        replayed.before.append(letter.id)
        return None
    try:
        event = mend(letter.rejected, lambda source: _value(connection, *source), force=force)
    except StillRefused as error:
        replayed.refused[letter.id] = str(error)
        name = f"{letter.id}#withdrawal"
        return None if error.withdrawal is None or name in notes else Mended(name, error.withdrawal)
    return Mended(letter.id, event)


def _value(connection: Connection, topic: str, partition: int, offset: int) -> bytes | None:
    found = reading.record_at(connection, topic, partition, offset)
    return None if found is None else found.value


def _is_there(connection: Connection, note: Note) -> bool:
    """Whether a replay that was begun and never ended has written its event."""
    for record in reading.records_from(connection, EVENTS, note.partition, note.end):
        if not (record.key or b"").startswith(b"\x00") and _id_of(record.value) == note.message_id:
            return True
    return False


def _id_of(value: bytes | None) -> str | None:
    try:
        return decode_event(value or b"").id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _send(
    connection: Connection, log: EventLog, partitions: int, mended: Sequence[Mended], notes: dict[str, Note]
) -> None:
    if not mended:
        return
    places = {one.id: partition_of(one.event.user.encode(), partitions) for one in mended}
    ends = reading.ends(connection, EVENTS, sorted(set(places.values())))

    async def note(state: Literal["begun", "done"]) -> None:
        for one in mended:
            place = places[one.id]
            notes[one.id] = Note(state=state, message_id=one.event.id, partition=place, end=ends[place])
        await log.write([Output(TOPIC, one.id.encode(), msgspec.json.encode(notes[one.id])) for one in mended])

    await note("begun")
    await log.append([one.event for one in mended])
    await note("done")
