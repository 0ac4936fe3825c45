"""The feeder on the embedded broker, with a fold whose progress the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from models.events import Event, decode_event
from models.log import Tick, decode_control, is_control, opening
from models.units import DAY, HOUR, MINUTE
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.feed.feeder import Feeder, Pace
from stream.feed.progress import GroupProgress, NobodyFolds, await_folded
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import EventLog, WrongClock

PARTITIONS = 2
START = 1_767_571_200_000


class SettableProgress:
    """Progress of the fold, set by a test.

    Attributes
    ----------
    is_quick
        Whether everything is folded immediately; otherwise nothing more is folded.
    awaited
        Set when the feeder has asked twice without progress, so the feeder waits.
    """

    def __init__(self) -> None:
        self.is_quick = True
        self.awaited = asyncio.Event()
        self._polls = 0

    async def committed(self) -> dict[int, int]:
        if self.is_quick:
            return dict.fromkeys(range(PARTITIONS), 1 << 60)
        self._polls += 1
        if self._polls > 1:
            self.awaited.set()
        return dict.fromkeys(range(PARTITIONS), 0)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(None, tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def connection(broker: EmbeddedBroker, request: pytest.FixtureRequest) -> Connection:
    connection = broker.connection(prefix=f"{request.node.name}.")
    topics.create(connection, PARTITIONS)
    return connection


@pytest.fixture
async def log(connection: Connection) -> AsyncIterator[EventLog]:
    async with EventLog(connection, PARTITIONS) as log:
        yield log


def event(number: int, at: int) -> Event:
    return Event(id=f"m{number}", user=f"u{number % 5}", type="page_view", at=at, origin="simulate")


async def read(connection: Connection, partition: int) -> list[Event | object]:
    """Return all records of a partition, the first one first."""
    place = TopicPartition(connection.topic("events"), partition)
    consumer = AIOKafkaConsumer(**connection.client_options(), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    found: list[Event | object] = []
    try:
        consumer.assign([place])
        while batches := await consumer.getmany(timeout_ms=500):
            found += [
                decode_control(record.value) if is_control(record.key) else decode_event(record.value)
                for record in batches[place]
            ]
    finally:
        await consumer.stop()
    return found


async def test_an_event_follows_a_tick_with_the_time_of_the_event(connection: Connection, log: EventLog) -> None:
    feeder = Feeder(log, PARTITIONS, SettableProgress(), Pace(tick_ms=10 * MINUTE))
    await feeder.begin()

    await feeder.feed([event(n, START + n * 4 * MINUTE) for n in range(40)])
    await feeder.drain()

    for partition in range(PARTITIONS):
        clock, *rest = await read(connection, partition)
        assert clock == opening("feeder")
        now = 0
        for found in rest:
            if isinstance(found, Tick):
                assert found.at > now
                now = found.at
            else:
                assert isinstance(found, Event)
                assert found.at == now


async def test_every_partition_ticks_at_each_interval(connection: Connection, log: EventLog) -> None:
    feeder = Feeder(log, PARTITIONS, SettableProgress(), Pace(tick_ms=10 * MINUTE))
    await feeder.begin()

    await feeder.feed([event(n, START + n * 4 * MINUTE) for n in range(40)])
    await feeder.drain()

    intervals = {START + n * 10 * MINUTE for n in range(1, 16)}
    for partition in range(PARTITIONS):
        assert intervals <= {found.at for found in await read(connection, partition) if isinstance(found, Tick)}


async def test_the_clock_moves_by_the_hour_while_there_are_no_events(connection: Connection, log: EventLog) -> None:
    feeder = Feeder(log, PARTITIONS, SettableProgress(), Pace(tick_ms=10 * MINUTE))
    await feeder.begin()

    await feeder.feed([event(1, START), event(2, START + 5 * HOUR)])

    ticks = [found.at for found in await read(connection, 0) if isinstance(found, Tick)]
    assert ticks == [START + hour * HOUR for hour in range(6)]


async def test_the_feeder_stays_within_a_day_of_the_slowest_fold(connection: Connection, log: EventLog) -> None:
    folded = SettableProgress()
    feeder = Feeder(log, PARTITIONS, folded)
    await feeder.begin()
    folded.is_quick = False

    feeding = asyncio.create_task(feeder.feed(event(n, START + n * HOUR) for n in range(72)))
    await asyncio.wait_for(folded.awaited.wait(), 20)
    stopped_at = feeder.now
    folded.is_quick = True
    await feeding

    assert stopped_at is not None
    assert DAY - 4 * HOUR <= stopped_at - START <= DAY
    assert feeder.now == START + 71 * HOUR


async def test_a_log_with_live_events_is_refused(connection: Connection, log: EventLog) -> None:
    await log.append([event(1, START)])

    with pytest.raises(WrongClock, match="live events"):
        await Feeder(log, PARTITIONS, SettableProgress()).begin()


async def test_the_feeder_fails_with_the_reason_without_a_worker(connection: Connection, log: EventLog) -> None:
    async with GroupProgress(connection, PARTITIONS) as progress:
        with pytest.raises(NobodyFolds, match="perennial worker"):
            await Feeder(log, PARTITIONS, progress, Pace(silence_s=0.2)).begin()


async def test_the_progress_is_the_offsets_that_the_group_has_committed(connection: Connection, log: EventLog) -> None:
    await log.ensure_clock("feeder")
    worker = AIOKafkaConsumer(
        **connection.client_options(), group_id=connection.group("fold"), enable_auto_commit=False
    )
    await worker.start()
    try:
        places = [TopicPartition(connection.topic("events"), partition) for partition in range(PARTITIONS)]
        worker.assign(places)
        worker.pause(*places)
        async with GroupProgress(connection, PARTITIONS) as progress:
            await worker.commit(dict.fromkeys(places, 1))

            await await_folded(progress, dict.fromkeys(range(PARTITIONS), 1), silence_s=5)
    finally:
        await worker.stop()
