"""Properties in which the committers differ, on real brokers.

``tests/contracts/test_committers.py`` checks the properties that all committers have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced

from models.batch import Checkpoint, Commit, Output, Restored
from stream.cluster.admin import admin
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection
from stream.cluster.writer import ANSWER_WITHIN_S, MAX_RECORD_BYTES, Writer
from stream.engine.committers import (
    ABORT_WITHIN_S,
    TRANSACTION_TIMEOUT_MS,
    Committer,
    OrderedCommitter,
    Ownership,
    RelayCommitter,
    TransactionalCommitter,
)
from stream.engine.state import restore
from tests.support.brokers import Cluster, create_topics
from tests.support.topic_reading import read_all, read_until

PARTITIONS = 2


def owned(connection: Connection, partition: int = 0) -> Ownership:
    return Ownership(f"{connection.group('fold')}-events-{partition}", partition, "profiles", frozenset({"copies"}))


@asynccontextmanager
async def committing(connection: Connection) -> AsyncIterator[Committer]:
    writer = Writer(connection)
    made: Committer = (
        TransactionalCommitter(connection, owned(connection))
        if connection.transactions
        else OrderedCommitter(connection, owned(connection), writer)
    )
    try:
        yield made
    finally:
        await made.stop()
        await writer.close()


async def take_over(committer: Committer) -> Restored:
    await committer.fence()
    return await committer.restore()


@pytest.fixture
def topics(cluster: Cluster) -> Connection:
    cluster.create(copies=PARTITIONS, profiles=PARTITIONS, signals=4)
    return cluster.connection


async def values(connection: Connection, topic: str, count: int) -> list[bytes]:
    found = await read_until(connection, topic, lambda records: len(records) >= count, within_s=30)
    return [record.value for record in found]


async def test_an_aligned_output_goes_to_the_partition_of_the_lane_and_any_other_output_to_the_partition_of_its_key(
    topics: Connection,
) -> None:
    keys = [b"u%d" % number for number in range(40)]
    async with committing(topics) as committer:
        await take_over(committer)
        await committer.commit(
            Commit([Output(topic, key, key) for topic in ("copies", "signals") for key in keys]), Checkpoint(1)
        )
    copies = await read_until(topics, "copies", lambda records: len(records) >= 40, within_s=30)
    signals = await read_until(topics, "signals", lambda records: len(records) >= 40, within_s=30)

    assert {record.partition for record in copies} == {0}
    assert [record.key for record in copies] == keys
    # Kafka's producers use murmur2, which gives partition 0 of 4 for the key u1
    assert {record.partition for record in signals if record.key == b"u1"} == {0}
    assert len({record.partition for record in signals}) == 4


async def test_outputs_that_need_several_batches_are_written_in_order(topics: Connection) -> None:
    outputs = [Output("copies", b"u1", b"%06d" % number + b"x" * 10_000) for number in range(300)]
    async with committing(topics) as committer:
        await take_over(committer)
        await committer.commit(Commit(outputs), Checkpoint(1))

    assert await values(topics, "copies", 300) == [output.value for output in outputs]


async def test_the_largest_output_that_is_allowed_is_accepted(topics: Connection) -> None:
    async with committing(topics) as committer:
        await take_over(committer)
        await committer.commit(Commit([Output("copies", b"a", b"x" * (MAX_RECORD_BYTES - 1))]), Checkpoint(1))

    assert [len(value) for value in await values(topics, "copies", 1)] == [MAX_RECORD_BYTES - 1]


@pytest.mark.kafka
class TestOnApacheKafka:
    async def test_the_broker_waits_longer_for_an_owner_than_the_owner_waits_for_the_broker(
        self, kafka: Cluster
    ) -> None:
        own = owned(kafka.connection)
        async with committing(kafka.connection) as committer:
            await committer.fence()
        with admin(kafka.connection) as client:
            (described,) = client.describe_transactions([own.transactional_id]).values()

        assert described.transaction_timeout_ms == TRANSACTION_TIMEOUT_MS
        assert TRANSACTION_TIMEOUT_MS / 1_000 >= ANSWER_WITHIN_S + ABORT_WITHIN_S + 10

    async def test_a_refused_output_makes_the_whole_commit_invisible(self, kafka: Cluster) -> None:
        connection = kafka.connection
        create_topics(
            connection,
            {"copies": 1, "signals": 1, "profiles": 1},
            {"signals": {"max.message.bytes": "1000"}},
        )
        refused = Commit([Output("copies", b"u1", b"1"), Output("signals", b"u1", b"x" * 5_000)], {b"u1": b"changed"})
        async with committing(connection) as committer:
            await take_over(committer)
            with pytest.raises(MessageSizeTooLargeError):
                await committer.commit(refused, Checkpoint(5))
        uncommitted = await read_until(connection, "copies", bool, within_s=5, isolation="read_uncommitted")
        committed = await read_all(connection, "copies")
        restored = await restore(connection, "profiles", 0)

        assert [record.value for record in uncommitted] == [b"1"]
        assert committed == []
        assert (restored.position, restored.records) == (0, {})

    async def test_a_previous_owner_is_fenced_and_its_open_transaction_is_aborted(self, kafka: Cluster) -> None:
        kafka.create(copies=1, profiles=1)
        connection = kafka.connection
        async with committing(connection) as previous, committing(connection) as owner:
            await take_over(previous)
            await previous.commit(Commit([Output("copies", b"u1", b"1")]), Checkpoint(1))
            await take_over(owner)
            with pytest.raises(ProducerFenced):
                await previous.commit(Commit([Output("copies", b"u1", b"zombie")], {b"u1": b"zombie"}), Checkpoint(2))
            await owner.commit(Commit([Output("copies", b"u1", b"2")]), Checkpoint(2))

        # If the output of the previous owner were accepted, it would be stored between these two outputs.
        assert await values(connection, "copies", 2) == [b"1", b"2"]
        assert await read_compacted(connection, "profiles", 0) != {}

    async def test_a_previous_owner_with_another_id_is_not_fenced(self, kafka: Cluster) -> None:
        # Without fencing, both outputs are stored. So the previous test passes only because the same id fences.
        kafka.create(copies=1, profiles=1)
        connection = kafka.connection
        own = owned(connection)
        previous = TransactionalCommitter(connection, own)
        owner = TransactionalCommitter(
            connection, Ownership(f"{own.transactional_id}-other", own.partition, own.state_topic, own.aligned)
        )
        try:
            await take_over(previous)
            await take_over(owner)
            await owner.commit(Commit([Output("copies", b"u1", b"2")]), Checkpoint(2))
            await previous.commit(Commit([Output("copies", b"u1", b"zombie")]), Checkpoint(2))
        finally:
            await previous.stop()
            await owner.stop()

        assert await values(connection, "copies", 2) == [b"2", b"zombie"]


async def test_a_relay_moves_its_offset_only_after_its_outputs_are_acknowledged(topics: Connection) -> None:
    written_before: list[list[bytes]] = []

    async def read() -> int | None:
        return 3

    async def move(_offset: int) -> None:
        written_before.append(await values(topics, "signals", 1))

    writer = Writer(topics)
    relay = RelayCommitter(writer, 0, read, move)
    try:
        restored = await take_over(relay)
        await relay.commit(Commit([Output("signals", b"u1", b"1")]), Checkpoint(4))
    finally:
        await writer.close()

    assert restored.position == 3
    assert written_before == [[b"1"]]


async def test_a_relay_keeps_no_state(topics: Connection) -> None:
    async def nothing(*_: object) -> None:
        return None

    relay = RelayCommitter(Writer(topics), 0, nothing, nothing)
    with pytest.raises(ValueError, match="neither state nor memo"):
        await relay.commit(Commit(state={b"u1": b"1"}), Checkpoint(4))
