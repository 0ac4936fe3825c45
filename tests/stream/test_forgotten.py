"""A transaction that Kafka has forgotten to end holds a state back: it is aborted everywhere, and nothing is twice."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from models.batch import Output
from stream import transaction
from stream.bursts import Place, send, stop_producer
from stream.connection import Connection
from stream.restore import POSITION_KEY, encode_position
from stream.transaction import Commit, Ownership, TransactionalCommitter
from tests.brokers import ApacheKafka, create_topics
from tests.chaos.reference import committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

OWN = Ownership("test.count-events-0", 0, "profiles", frozenset({"copies"}))
TOPICS = ("profiles", "copies")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A broker that lets records in whose transaction its coordinator has never heard of."""
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    kafka = ApacheKafka(
        Path(os.environ["KAFKA_HOME"]), tmp_path, {"transaction.partition.verification.enable": "false"}
    )
    kafka.start(180)
    try:
        found = Connection(kafka.address, prefix="test.")
        create_topics(found, dict.fromkeys(TOPICS, 2))
        yield found
    finally:
        kafka.stop()


async def leave_open(connection: Connection) -> None:
    """Write outputs and state as the owner would, in a transaction that its coordinator knows nothing of."""
    producer = AIOKafkaProducer(**connection.client_options(), transactional_id=OWN.transactional_id, acks="all")
    await producer.start()
    try:
        await producer.begin_transaction()
        physical = [connection.topic(name) for name in TOPICS]
        # aiokafka's own list of partitions that the coordinator was told of
        producer._txn_manager._txn_partitions.update(TopicPartition(name, 0) for name in physical)
        profiles, copies = physical
        state = [(b"ann", b"2"), (POSITION_KEY, encode_position(2, b"m"))]
        await send(producer, {Place(copies, 0): [(b"ann", b"second")], Place(profiles, 0): state})
    finally:
        await stop_producer(producer, 1)


async def owned(connection: Connection) -> TransactionalCommitter:
    """Take the partition over, as a lane does."""
    committer = TransactionalCommitter(connection, OWN)
    await committer.fence()
    return committer


async def test_what_the_broker_forgot_to_end_is_aborted_and_the_next_life_goes_on_from_what_is_committed(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "UNREADABLE_S", 3.0)
    first = await owned(connection)
    await first.commit(Commit(1, b"m", [Output("copies", b"ann", b"first")], {b"ann": b"1"}))
    await first.stop()
    await leave_open(connection)

    lives = itertools.count(1)
    while True:
        heir = await owned(connection)
        try:
            restored = await heir.restore()
        except TimeoutError:
            assert next(lives) < 5, "nobody can read the state"
            await heir.stop()
        else:
            break
    await heir.commit(Commit(2, b"m", [Output("copies", b"ann", b"second")], {b"ann": b"2"}))
    await heir.stop()
    written = await committed(connection, "copies", 2)

    assert next(lives) > 1, "the transaction held nothing back"
    assert (restored.position, restored.records) == (1, {b"ann": b"1"})
    # what was left open is not committed together with what its owner writes next
    assert [record.value for record in written] == [b"first", b"second"]
