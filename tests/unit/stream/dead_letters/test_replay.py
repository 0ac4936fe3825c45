"""Each dead letter is sent again only once, even after a replay was killed. The tests use both brokers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from models.batch import Output
from models.errors import InvalidEvent
from models.events import Event, decode_event, encode_event
from models.rejected import MAX_KEPT_BYTES, reject_value
from models.source import Source
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.dead_letters.reading import Letter, letters, record_at
from stream.dead_letters.replay import TOPIC, ReplayedLetters, ReplayMark, replay
from stream.log.event_log import EventLog, LogUnavailable
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_all, write

PARTITIONS = 2
AT = 1_777_636_800_250


@pytest.fixture
def connection(cluster: Cluster) -> Connection:
    topics.create(cluster.connection, PARTITIONS)
    return cluster.connection


def click(number: int) -> bytes:
    return json.dumps({"type": "click", "user": f"u{number}", "item": "sku1"}).encode()


def rejected(value: bytes, offset: int, topic: str = "events.in", reason: str = "bad_time") -> Output:
    return reject_value(value, Source(topic, 0, offset), InvalidEvent(reason, "at", "x", "y"), at=AT + offset)


async def keep(connection: Connection, outputs: Sequence[Output]) -> None:
    async with EventLog(connection, PARTITIONS) as log:
        await log.write(outputs)


async def replay_all(connection: Connection, *, force: bool = False) -> ReplayedLetters:
    return await replay(connection, PARTITIONS, letters(connection), force=force)


async def each(chosen: Sequence[Letter]) -> AsyncIterator[Letter]:
    for letter in chosen:
        yield letter


async def folded(connection: Connection) -> list[Event]:
    """Return all events of the log."""
    found = await read_all(connection, "events")
    return [decode_event(record.value or b"") for record in found]


async def test_each_letter_becomes_one_event_even_if_it_is_replayed_twice(connection: Connection) -> None:
    # After a crash, the embedded broker may store the same letter twice, under one key.
    await keep(connection, [*(rejected(click(n), n) for n in range(20)), rejected(click(3), 3), rejected(b"{}", 20)])

    first = await replay_all(connection)
    second = await replay_all(connection)

    assert sorted(first.sent) == sorted(f"events.in/0/{n}" for n in range(20))
    assert (second.sent, sorted(second.before)) == ([], sorted(first.sent))
    assert list(first.refused) == list(second.refused) == ["events.in/0/20"]
    events = await folded(connection)
    assert sorted(event.id for event in events) == sorted(first.sent)
    assert {event.id: event.at for event in events}["events.in/0/7"] == AT + 7


async def test_a_replay_continues_a_killed_one_and_sends_no_letter_twice(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(connection, [rejected(click(n), n) for n in range(4)])
    chosen = sorted([letter async for letter in letters(connection)])
    append = EventLog.append

    async def killed_before(self: EventLog, events: Sequence[Event]) -> None:
        raise LogUnavailable("killed")

    async def killed_after(self: EventLog, events: Sequence[Event]) -> None:
        await append(self, events)
        raise LogUnavailable("killed")

    for part, deed in ((chosen[:2], killed_before), (chosen[2:], killed_after)):
        monkeypatch.setattr(EventLog, "append", deed)
        with pytest.raises(LogUnavailable):
            await replay(connection, PARTITIONS, each(part))
    monkeypatch.undo()

    done = await replay_all(connection)

    assert sorted(done.sent) == ["events.in/0/0", "events.in/0/1"]
    assert sorted(done.before) == ["events.in/0/2", "events.in/0/3"]
    assert sorted(event.id for event in await folded(connection)) == [f"events.in/0/{n}" for n in range(4)]


async def test_a_letter_stays_replayed_if_a_mark_begun_follows_the_mark_done(connection: Connection) -> None:
    await keep(connection, [rejected(click(1), 1)])
    place = partition_of(b"u1", PARTITIONS)
    marks = [ReplayMark(state=state, message_id="events.in/0/1", partition=place, end=0) for state in ("done", "begun")]
    await keep(connection, [Output(TOPIC, b"events.in/0/1", msgspec.json.encode(mark)) for mark in marks])

    assert (await replay_all(connection)).before == ["events.in/0/1"]


async def test_an_event_that_came_too_late_needs_force(connection: Connection) -> None:
    late = encode_event(Event(id="m1", user="u1", type="click", at=AT))
    await keep(connection, [rejected(late, 1, "events", "too_late")])

    assert "--force" in (await replay_all(connection)).refused["events/0/1"]
    assert (await replay_all(connection, force=True)).sent == ["events/0/1"]
    (event,) = await folded(connection)
    assert (event.id, event.forced) == ("m1", True)


async def test_the_missing_part_of_a_letter_is_read_from_its_topic(connection: Connection) -> None:
    long = json.dumps({"type": "custom", "user": "u1", "name": "Note", "properties": {"text": "x" * 900}}).encode()
    padded = long + b" " * MAX_KEPT_BYTES
    await write(connection, "events.in", [(b"", click(0)), (b"", padded)], partition=0)
    await keep(connection, [rejected(padded, 1), rejected(padded, 99)])

    done = await replay_all(connection)

    assert done.sent == ["events.in/0/1"]
    assert "gone from its topic" in done.refused["events.in/0/99"]
    assert (await folded(connection))[0].properties == {"text": "x" * 900}


async def test_a_record_is_found_only_at_its_offset(connection: Connection) -> None:
    await write(connection, "events.in", [(b"", click(n)) for n in range(3)], partition=1)

    found = await record_at(connection, "events.in", 1, 2)

    assert found is not None
    assert found.value == click(2)
    assert await record_at(connection, "events.in", 1, 3) is None
    assert await record_at(connection, "events.in", 0, 0) is None


async def test_a_record_of_another_program_in_the_topic_is_not_a_letter(connection: Connection) -> None:
    await write(connection, "events.rejected", [(b"mine", b"hello")])
    await keep(connection, [rejected(click(1), 1)])

    assert [letter.id async for letter in letters(connection)] == ["events.in/0/1"]
