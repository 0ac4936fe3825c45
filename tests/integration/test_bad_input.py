"""Bad records in ``events.in`` go through a running router and fold: each is rejected with its reason, or ignored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from aiokafka import AIOKafkaProducer

from models.log import is_control
from models.profile.codec import unpack
from models.profile.state import Customer
from models.rejected import Rejected, decode_rejected
from monitoring.testing import MetricsCapture, capture_metrics
from stream.cluster import topics
from stream.cluster.partitioner import partition_of
from stream.log.event_log import EventLog
from stream.transport.app import LaneApp, create_app
from stream.worker.metrics import MetricsObserver
from stream.worker.topology import fold_agents
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_until

PARTITIONS = 2
USERS = 3
ROUNDS = 2
"""Number of times that each good event is sent; all but the first are duplicates."""

BAD: dict[bytes, str] = {
    b"\x00\xff\xfe garbage": "bad_json",
    b"": "empty",
    b"x" * 5_000_000: "too_large",
    b"[1, 2]": "not_an_object",
    b'{"type":"click","item":"a"}': "missing_user",
    b'{"type":"click","user":7}': "wrong_type",
    b'{"type":"click","user":"u1","quantity":"two"}': "wrong_type",
    b'{"type":"click","user":"u1","at":"9999-12-31T23:59:59Z"}': "time_in_future",
    b'{"type":"click","user":"u1","at":1700000000}': "bad_time",
    b'{"type":"click","user":"\\u0000tick"}': "control_character",
    b'{"type":"message_bounced","user":"u1"}': "reserved_type",
    b'{"type":"purchase","user":"u1","amount":-1}': "bad_money",
}
"""Bad records, each with the reason of its refusal; good events are sent between them."""


async def test_bad_records_become_dead_letters_and_do_not_affect_others(cluster: Cluster) -> None:
    await asyncio.to_thread(topics.create, cluster.connection, PARTITIONS)
    async with EventLog(cluster.connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
    good = len(BAD) * ROUNDS

    with capture_metrics() as captured:
        async with folding(cluster) as app:
            await send_each_between_good_ones(cluster)
            found = await rejected(cluster)
            events = await read_until(
                cluster.connection, "events", lambda records: sum(not is_control(r.key) for r in records) >= good
            )
            users = await folded(app, good, captured)

    assert Counter(one.reason for one in found) == Counter(BAD.values())
    assert {one.value for one in found} == {bad[:65_536] for bad in BAD}
    assert max(one.length for one in found) == 5_000_000
    assert all(one.topic == "events.in" and one.allowed for one in found)
    assert Counter(record.key for record in events if not is_control(record.key)) == Counter(
        {f"u{user}".encode(): good // USERS for user in range(USERS)}
    )
    assert sum(user.facts.events["click"] for user in users) == len(BAD)
    refused = {("events_rejected", reason): count for reason, count in Counter(BAD.values()).items()}
    assert {key: count for key, count in captured.items() if key[0] == "events_rejected"} == refused
    assert captured["events_accepted", "kafka"] == good
    assert captured["events_duplicate",] == good - len(BAD)


@asynccontextmanager
async def folding(cluster: Cluster) -> AsyncIterator[LaneApp]:
    """Run router and fold in this process."""
    left: list[str] = []
    app = create_app("fold", cluster.connection, fold_agents(), observer=MetricsObserver(), on_leave=left.append)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()
    assert left == []


async def send_each_between_good_ones(cluster: Cluster) -> None:
    """Write as an unknown program would: with any key, to any partition, and large records."""
    producer = AIOKafkaProducer(**cluster.connection.client_options(), max_request_size=8_000_000)
    await producer.start()
    try:
        physical = cluster.connection.topic("events.in")
        for index, bad in enumerate(BAD):
            click = {"type": "click", "user": f"u{index % USERS}", "item": "a", "messageId": f"m{index}"}
            for attempt in range(ROUNDS):
                await producer.send_and_wait(physical, orjson.dumps(click), key=b"k%d" % attempt)
            await producer.send_and_wait(physical, bad, key=None if index % 2 else b"\xff")
    finally:
        await producer.stop()


async def rejected(cluster: Cluster) -> list[Rejected]:
    records = await read_until(cluster.connection, "events.rejected", lambda found: len(found) >= len(BAD))
    return [decode_rejected(record.value) for record in records]


async def folded(app: LaneApp, good: int, captured: MetricsCapture) -> list[Customer]:
    """Wait until all good events are folded, and return the states of all users."""
    async with asyncio.timeout(20):
        while True:
            users = [state_of(app, f"u{user}".encode()) for user in range(USERS)]
            known = [user for user in users if user is not None]
            if captured["events_duplicate",] + sum(sum(user.facts.events.values()) for user in known) >= good:
                return known
            await asyncio.sleep(0.02)


def state_of(app: LaneApp, user: bytes) -> Customer | None:
    restored = app.lanes.restored("events", partition_of(user, PARTITIONS))
    packed = restored.records.get(user) if restored is not None else None
    return unpack(packed) if packed is not None else None
