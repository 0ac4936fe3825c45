"""A hanging transaction blocks a state partition until the new owner ends it as its transaction coordinator decided."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest

from models.batch import Checkpoint, Commit, Output, Restored
from stream.cluster.connection import Connection
from stream.cluster.hanging_transactions import end_hanging_transactions
from stream.cluster.transaction_coordinator import TransactionCoordinator
from stream.cluster.transaction_protocol import ProduceInTransaction
from stream.cluster.transactional_writer import packed
from stream.engine import committers as transaction
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.engine.state import POSITION_KEY, encode_position
from tests.chaos.reference import committed
from tests.support.brokers import ApacheKafka, create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

OWN = Ownership("test.count-events-0", 0, "profiles", frozenset({"copies"}))
TOPICS = ("profiles", "copies")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A broker that accepts a transaction's records in partitions that the transaction's coordinator does not know."""
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    found = ApacheKafka(
        Path(os.environ["KAFKA_HOME"]),
        tmp_path_factory.mktemp("forgetting"),
        {"transaction.partition.verification.enable": "false"},
    )
    found.start(180)
    yield found
    found.stop()


@pytest.fixture
def connection(kafka: ApacheKafka, request: pytest.FixtureRequest) -> Connection:
    found = Connection(kafka.address, prefix=f"test{abs(hash(request.node.name))}.")
    create_topics(found, dict.fromkeys(TOPICS, 2))
    return found


async def leave_open(connection: Connection, *, commit: bool, newer: bool = True) -> None:
    """End a transaction whose coordinator knows only one of its partitions; outputs and state stay open."""
    profiles, copies = (connection.topic(name) for name in TOPICS)
    client = AIOKafkaClient(**connection.client_options())
    await client.bootstrap()
    try:
        coordinator = TransactionCoordinator(client, OWN.transactional_id)
        producer = await coordinator.take_over(60_000)
        coordinator.adds_by_produce = newer

        def batch_of(*pairs: tuple[bytes, bytes]) -> bytes:
            (batch,), _ = packed(pairs, producer, 0)
            return batch

        state = batch_of((b"ann", b"2"), (POSITION_KEY, encode_position(2, b"m")))
        known = [(copies, [(1, batch_of((b"bob", b"second of bob")))])]
        hanging = [(copies, [(0, batch_of((b"ann", b"second")))]), (profiles, [(0, state)])]
        if newer:
            await store(client, ProduceInTransaction(OWN.transactional_id, 10_000, known))
        else:
            await coordinator.add(producer, [TopicPartition(copies, 1)])
            await store(client, ProduceRequest(OWN.transactional_id, -1, 10_000, known))
        # A request of the older transactions adds no partition.
        await store(client, ProduceRequest(OWN.transactional_id, -1, 10_000, hanging))
        await coordinator.end(producer, commit=commit)
    finally:
        await client.close()


async def store(client: AIOKafkaClient, request: object) -> None:
    """Send a produce request to the only node until it has stored all batches, because a new topic is not ready."""
    async with asyncio.timeout(30):
        codes = None
        while codes != {0}:
            answer = await client.send(client.get_random_node(), request)
            codes = {code for _, partitions, *_ in answer.topics for _, code, *_ in partitions}


async def owned(connection: Connection) -> TransactionalCommitter:
    """Take the partition over, as a lane does."""
    committer = TransactionalCommitter(connection, OWN)
    await committer.fence()
    return committer


async def take_over(connection: Connection) -> tuple[TransactionalCommitter, Restored, int]:
    """Repeat to take the partition over until its state can be read; return owner, state and number of attempts."""
    for attempt in range(1, 5):
        owner = await owned(connection)
        try:
            return owner, await owner.restore(), attempt
        except TimeoutError:
            await owner.stop()
    raise AssertionError("the state cannot be read")


@pytest.mark.parametrize("newer", [True, False], ids=["newer", "older"])
@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
async def test_a_hanging_transaction_is_ended_everywhere_as_decided_and_the_new_owner_continues(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, commit: bool, newer: bool
) -> None:
    monkeypatch.setattr(transaction, "UNREADABLE_S", 3.0)
    first = await owned(connection)
    await first.commit(Commit([Output("copies", b"ann", b"first")], {b"ann": b"1"}), Checkpoint(1, b"m"))
    await first.stop()
    await leave_open(connection, commit=commit, newer=newer)

    owner, restored, attempts = await take_over(connection)
    await owner.commit(Commit([Output("copies", b"ann", b"third")], {b"ann": b"3"}), Checkpoint(3, b"m"))
    await owner.stop()
    written = Counter(record.value for record in await committed(connection, "copies", 2))

    assert attempts > 1, "the transaction did not block the reading"
    assert (restored.position, restored.records) == ((2, {b"ann": b"2"}) if commit else (1, {b"ann": b"1"}))
    # Hanging outputs are committed or aborted like the state of their own transaction, whatever happens to later ones.
    assert written == Counter([b"first", *([b"second", b"second of bob"] if commit else []), b"third"])


async def test_nothing_is_ended_without_a_decision(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.cluster.hanging_transactions.decision", lambda *_: None)
    await leave_open(connection, commit=True)
    owner = await owned(connection)

    assert (
        await asyncio.to_thread(
            end_hanging_transactions, connection, OWN.transactional_id, connection.topic("profiles"), 0
        )
        == []
    )
    await owner.stop()
