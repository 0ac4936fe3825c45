"""A few of the hostile records: first for router and fold alone, then for a real lane with a broker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from agents.route_events import route_events
from models.batch import Batch, Output, Record
from models.events import decode_event
from models.log import is_control
from models.rejected import TOPIC, decode_rejected
from stream.cluster import topics
from stream.log.event_log import EventLog
from tests.chaos import hostile
from tests.chaos.attacks import KINDS, LARGEST_BYTES, Hostile, attack
from tests.chaos.hostile import HostileRun, NotKept
from tests.integration.test_bad_input import PARTITIONS, folding
from tests.support.brokers import Cluster
from tests.support.event_logs import PartitionRecord
from tests.support.topic_reading import read_until

RECORDS = 2_000


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_hostile_record_is_folded_or_a_dead_letter_with_its_reason(seed: int) -> None:
    books = await HostileRun().run(attack(6_000, seed))

    outcomes = books.folded + books.repeats + books.salvaged + books.refused.total()
    assert outcomes == 6_000 + books.withdrawals
    assert books.sent.keys() == {*KINDS, "hypothesis"}
    assert books.accepted["good"] == books.sent["good"]
    assert len({reason for reason, _ in books.refused}) > 20


def test_the_same_seed_sends_the_same_records() -> None:
    assert list(attack(500, 7)) == list(attack(500, 7))
    assert list(attack(500, 7)) != list(attack(500, 8))


async def test_a_record_that_gets_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from agents import route_events as router

    monkeypatch.setattr(router, "reject", lambda record, source, error: Output("events", b"u", b"{}"))

    with pytest.raises((NotKept, ValueError)):
        await HostileRun().run(attack(500, 1))


async def test_a_failure_of_the_fold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.profile import reducers

    monkeypatch.setitem(reducers.REDUCERS, "rating", lambda facts, event: 1 / 0)

    with pytest.raises(NotKept, match="fold_failed"):
        await HostileRun().run(attack(2_000, 1))


def test_a_section_replaces_the_previous_one_with_its_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "RESULTS", tmp_path / "HOSTILE.md")
    for text in ("one", "two"):
        hostile.write(f"## 5 records, seed 1\n\n{text}\n")
        hostile.write("## 5 records, seed 2\n\nother\n")

    written = hostile.RESULTS.read_text()

    assert written.startswith("# Hostile records")
    assert [line for line in written.split("\n") if line in ("one", "two", "other")] == ["two", "other"]


async def test_a_real_lane_loses_no_record_and_refuses_the_same_ones_as_the_router_alone(cluster: Cluster) -> None:
    sent = [record for record in attack(RECORDS, 5) if len(record.value or b"") < LARGEST_BYTES]
    expected = await _reasons(sent)
    await asyncio.to_thread(topics.create, cluster.connection, PARTITIONS)
    async with EventLog(cluster.connection, PARTITIONS) as log:
        await log.ensure_clock("wall")

    async with folding(cluster):
        await _send(cluster, sent)
        letters = await read_until(
            cluster.connection,
            TOPIC,
            lambda found: sum(decode_rejected(one.value).topic == "events.in" for one in found) >= expected.total(),
        )
        events = await read_until(
            cluster.connection,
            "events",
            lambda found: sum(map(_is_sent, found)) >= len(sent) - expected.total(),
        )

    refused = [letter for one in letters if (letter := decode_rejected(one.value)).topic == "events.in"]
    assert Counter(letter.reason for letter in refused) == expected
    assert sum(map(_is_sent, events)) == len(sent) - expected.total()
    assert "fold_failed" not in {decode_rejected(one.value).reason for one in letters}


def _is_sent(record: Record) -> bool:
    """Return whether a record is an event that was sent, and no record by which a visitor moves to a known user."""
    return not is_control(record.key) and decode_event(record.value or b"").identity is None


async def _reasons(sent: list[Hostile]) -> Counter[str]:
    """Return the reasons for which the router alone refuses records."""

    async def batches() -> AsyncIterator[Batch]:
        now = time.time_ns() // 1_000_000
        records = [PartitionRecord(n, now, record.key, record.value) for n, record in enumerate(sent)]
        yield Batch("events.in", 0, records)

    given = [outputs async for outputs in route_events(batches())]
    letters = [decode_rejected(one.value) for outputs in given for one in outputs.commit.records if one.topic == TOPIC]
    return Counter(letter.reason for letter in letters)


async def _send(cluster: Cluster, sent: list[Hostile]) -> None:
    """Write as a foreign producer would: any key, any partition, large records allowed."""
    producer = AIOKafkaProducer(**cluster.connection.client_options(), max_request_size=8_000_000)
    await producer.start()
    try:
        physical, rest = cluster.connection.topic("events.in"), iter(sent)
        while portion := list(islice(rest, 200)):
            futures = [await producer.send(physical, one.value, key=one.key or b"") for one in portion]
            await asyncio.gather(*futures)
    finally:
        await producer.stop()
