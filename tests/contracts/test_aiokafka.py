"""Internals of aiokafka 0.14 that our code relies on, and mistakes in it that our code works around."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed, UnknownError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

from stream.cluster.connection import Connection
from stream.cluster.lean_records import LeanPartitionRecords, keep, make_consumer
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from tests.support.brokers import Cluster, create_topics
from tests.support.topic_reading import read_until, write


def test_the_installed_version_is_the_one_whose_private_methods_were_read() -> None:
    assert version("aiokafka") == "0.14.0"


@asynccontextmanager
async def transactional(connection: Connection) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**connection.client_options(), transactional_id=connection.group("contract"))
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def put(producer: AIOKafkaProducer, topic: str, value: bytes) -> asyncio.Future[Any]:
    batch = producer.create_batch()
    batch.append(key=b"u1", value=value, timestamp=None)
    batch.close()
    answer: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=0)
    return answer


@pytest.mark.kafka
async def test_aiokafka_commits_although_the_broker_refused_a_batch_so_every_answer_is_awaited_first(
    kafka: Cluster,
) -> None:
    create_topics(kafka.connection, {"copies": 1, "small": 1}, {"small": {"max.message.bytes": "1000"}})
    async with transactional(kafka.connection) as producer:
        await producer.begin_transaction()
        taken = await put(producer, kafka.connection.topic("copies"), b"1")
        refused = await put(producer, kafka.connection.topic("small"), b"x" * 5_000)
        await producer.commit_transaction()
        await taken
        with pytest.raises(MessageSizeTooLargeError):
            await refused

    assert [record.value for record in await read_until(kafka.connection, "copies", bool, within_s=30)] == [b"1"]


@pytest.mark.kafka
async def test_aborted_records_are_invisible_only_to_read_committed_readers(kafka: Cluster) -> None:
    kafka.create(copies=1)
    topic = kafka.connection.topic("copies")
    async with transactional(kafka.connection) as producer:
        await producer.begin_transaction()
        await (await put(producer, topic, b"aborted"))
        await producer.abort_transaction()
        async with producer.transaction():
            await (await put(producer, topic, b"committed"))

    committed = await read_until(kafka.connection, "copies", bool, within_s=30)
    everything = await read_until(
        kafka.connection, "copies", lambda found: len(found) > 1, within_s=5, isolation="read_uncommitted"
    )
    assert [record.value for record in committed] == [b"committed"]
    assert [record.value for record in everything] == [b"aborted", b"committed"]


@asynccontextmanager
async def reading(connection: Connection, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
    consumer = AIOKafkaConsumer(
        **connection.client_options(), group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    tp = TopicPartition(connection.topic(topic), 0)
    await consumer.start()
    try:
        consumer.assign([tp])
        yield consumer, tp
    finally:
        await consumer.stop()


async def test_a_fetch_that_is_cancelled_while_it_waits_takes_nothing_out_of_the_buffer(embedded: Cluster) -> None:
    embedded.create(events=1)
    async with reading(embedded.connection, "events") as (consumer, tp):
        for number in range(30):
            waiting = asyncio.ensure_future(consumer._fetcher.fetched_records({tp}, timeout=5))
            await asyncio.sleep(0.002 * (number % 5))  # cancel at various moments
            if number % 3 == 0:
                await write(embedded.connection, "events", [(b"u1", b"%d" % number)], 0)
            if waiting.done():
                consumer.seek(tp, 0)  # the fetch has ended before the cancellation, so read again from the start
            waiting.cancel()
            await asyncio.wait([waiting])
        consumer.seek(tp, 0)
        found: list[bytes] = []
        async with asyncio.timeout(5):
            while len(found) < 10:
                records = await consumer._fetcher.fetched_records({tp}, timeout=1)
                found.extend(record.value for record in records.get(tp, ()))

    assert found == [b"%d" % number for number in range(0, 30, 3)]


def test_a_fetch_takes_records_and_moves_its_position_without_an_await_in_between() -> None:
    # The transport reads the epoch directly after the fetch. An ``await`` before the fetch returns could change it.
    source = inspect.getsource(fetcher.Fetcher.fetched_records)
    taking = source.index("getall(max_records)")
    assert "await" not in source[taking : source.index("if drained or not timeout")]


async def test_the_high_watermark_of_a_fetch_is_right_although_the_embedded_broker_lists_too_low_an_end(
    embedded: Cluster,
) -> None:
    embedded.create(profiles=1)
    producer = AIOKafkaProducer(**embedded.connection.client_options())
    await producer.start()
    batch = producer.create_batch()
    for number in range(10):
        batch.append(key=b"%d" % number, value=b"", timestamp=None)
    await (await producer.send_batch(batch, embedded.connection.topic("profiles"), partition=0))
    await producer.stop()
    async with reading(embedded.connection, "profiles") as (consumer, tp):
        listed = (await consumer.end_offsets([tp]))[tp]
        await consumer.getmany(timeout_ms=2_000)
        fetched = consumer.highwater(tp)

    assert (listed, fetched) == (1, 10)


async def test_the_embedded_broker_gives_aiokafka_no_producer_id(embedded: Cluster) -> None:
    producer = AIOKafkaProducer(**embedded.connection.client_options(), enable_idempotence=True)
    with pytest.raises(UnknownError):
        await producer.start()
    await producer.stop()


async def test_a_producer_can_be_made_to_abandon_records_that_it_has_not_sent(embedded: Cluster) -> None:
    embedded.create(profiles=1)
    producer = AIOKafkaProducer(**embedded.connection.client_options())
    await producer.start()
    try:
        unsent = await producer.send(embedded.connection.topic("profiles"), b"1", partition=0)
        producer._message_accumulator.fail_all(ProducerClosed())
        with pytest.raises(ProducerClosed):
            await unsent
    finally:
        await producer.stop()


async def test_an_error_inside_a_fetch_context_leaves_the_number_of_open_fetches_too_high() -> None:
    state = SubscriptionState()
    with pytest.raises(KafkaError), state.fetch_context():
        raise KafkaError
    assert state._fetch_count == 1


async def test_the_fetch_delay_that_unread_records_cause_for_other_partitions_can_be_set(embedded: Cluster) -> None:
    embedded.create(events=1)
    async with reading(embedded.connection, "events") as (consumer, _):
        await consumer.getmany(timeout_ms=10)  # without a fetch, ``stop`` also cancels the task that calls it
        assert consumer._fetcher._prefetch_backoff == 0.1
        assert "backoff=self._prefetch_backoff" in inspect.getsource(fetcher.Fetcher._proc_fetch_request)


def test_a_control_batch_that_the_cleaner_has_emptied_is_not_an_abort_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    class Emptied:
        def __next__(self) -> None:
            raise StopIteration

    def contains(cls: Any) -> Any:
        return cls._contains_abort_marker(SimpleNamespace(), Emptied())

    theirs = next(cls for cls in LeanPartitionRecords.__mro__ if cls is not LeanPartitionRecords)
    with pytest.raises(KafkaError, match="did not contain any records"):
        contains(theirs)
    ours = LeanPartitionRecords.__new__(LeanPartitionRecords)
    assert ours._contains_abort_marker(Emptied()) is False


def fetched_of(key_deserializer: Any, *records: tuple[bytes | None, bytes | None]) -> LeanPartitionRecords:
    """Make the fetched records of a consumer with this deserializer."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for offset, (key, value) in enumerate(records):
        builder.append(offset, timestamp=1_700_000_000_000 + offset, key=key, value=value, headers=[])
    fetched = MemoryRecords(bytes(builder.build()))
    tp = TopicPartition("t.events", 3)
    return LeanPartitionRecords(tp, fetched, [], 0, key_deserializer, None, True, 1)


def parsed(key_deserializer: Any, *records: tuple[bytes | None, bytes | None]) -> list[Any]:
    """Return the records that a consumer with this deserializer returns."""
    return list(fetched_of(key_deserializer, *records))


def test_a_fetch_that_is_read_in_parts_continues_where_it_stopped() -> None:
    held, tp = fetched_of(keep, *[(b"u1", b"%d" % number) for number in range(5)]), TopicPartition("t.events", 3)
    state = SimpleNamespace(paused=False, position=0)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    result = fetcher.FetchResult(tp, assignment=assignment, partition_records=held, backoff=0)

    parts = []
    while result.has_more():
        parts.append(([record.value for record in result.getall(max_records=2)], state.position))

    assert parts == [([b"0", b"1"], 2), ([b"2", b"3"], 4), ([b"4"], 5)]
    assert list(held) == []


def test_the_records_of_the_parser_have_all_fields_that_an_agent_reads() -> None:
    lean = parsed(keep, (b"u1", b"one"), (b"u2", None))

    assert [(one.offset, one.timestamp, one.key, one.value) for one in lean] == [
        (0, 1_700_000_000_000, b"u1", b"one"),
        (1, 1_700_000_000_001, b"u2", None),
    ]
    assert not any(isinstance(one, ConsumerRecord) for one in lean)


def test_a_consumer_without_our_deserializer_gets_aiokafkas_records() -> None:
    (one,) = parsed(None, (b"u1", b"one"))

    assert isinstance(one, ConsumerRecord)
    assert (one.topic, one.partition, one.key, one.serialized_value_size) == ("t.events", 3, b"u1", 3)


async def test_every_consumer_that_we_make_gives_lean_records(embedded: Cluster) -> None:
    embedded.create(events=1)
    await write(embedded.connection, "events", [(b"u1", b"one")], 0)
    tp = TopicPartition(embedded.connection.topic("events"), 0)
    consumer = make_consumer(**embedded.connection.client_options(), group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([tp])
        async with asyncio.timeout(10):
            while not (found := await consumer.getmany(tp, timeout_ms=200)):
                pass
    finally:
        await consumer.stop()

    (record,) = found[tp]
    assert (record.offset, record.key, record.value) == (0, b"u1", b"one")
    assert not isinstance(record, ConsumerRecord)


async def test_a_reader_that_has_read_everything_waits_longer_and_asks_rarely(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    send = AIOKafkaClient.send

    async def send_and_note(self: AIOKafkaClient, node: int, request: Any, **options: Any) -> Any:
        if isinstance(request, FetchRequest):
            waits.append(request._max_wait_ms)
        return await send(self, node, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", send_and_note)
    cluster.create(events=2)
    for partition in (0, 1):
        await write(cluster.connection, "events", [(b"u1", b"1")], partition)
    options = ReadOptions(wait_ms=20, idle_wait_ms=600)
    found: list[bytes | None] = []
    async with TopicReader(cluster.connection, partitions_of(cluster.connection, "events", 2), options) as reader:
        async with asyncio.timeout(20):
            while len(found) < 2 or waits.count(600) < 2:
                found += [record.value for records in (await reader.poll()).values() for record in records]
        asked = len(waits)
        await write(cluster.connection, "events", [(b"u1", b"2")], 1)
        async with asyncio.timeout(20):
            while len(found) < 3:
                found += [record.value for records in (await reader.poll()).values() for record in records]

    assert found == [b"1", b"1", b"2"]
    assert waits[asked - 1] == 600
    assert asked < 20  # a wait of 20 ms would need 30 fetches for the same time
