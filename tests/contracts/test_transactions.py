"""Checks that a lane's transactions pass on Apache Kafka, with the cluster's transactions and with the older ones.

An answer of a broker is lost between aiokafka's client and our code. So the broker has processed the request, as it has
when a connection breaks before the answer arrives.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, OutOfOrderSequenceNumber, ProducerFenced
from kafka.admin import UpdateFeatureType

from models.batch import Checkpoint, Commit, Output, Restored
from stream.cluster import transaction_coordinator, transactional_writer
from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.transaction_coordinator import Producer
from stream.cluster.transactional_writer import TransactionalWriter
from stream.engine import committers
from stream.engine.committers import Ownership, TransactionalCommitter
from tests.support.brokers import ApacheKafka, Cluster, create_topics
from tests.support.topic_reading import read_all, read_until

pytestmark = pytest.mark.kafka


@pytest.fixture(params=["cluster's", "older"])
def transactions(request: pytest.FixtureRequest, kafka: Cluster, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A connection to topics, and the kind of transactions that are used."""
    if request.param == "older":
        monkeypatch.setattr(transaction_coordinator, "transaction_version", lambda _: 1)
    kafka.create(copies=2, profiles=1)
    return kafka.connection


class Losses:
    """Answers of brokers that are lost: the first ``count`` answers to requests with this part in their name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, count: int = 1, before: int = 0) -> None:
        self.lost = 0
        real = AIOKafkaClient.send

        async def send(client: AIOKafkaClient, node: int, request: Any, **named: Any) -> Any:
            nonlocal before
            answer = await real(client, node, request, **named)
            if name in type(request).__name__ and self.lost < count:
                before -= 1
                if before < 0:
                    self.lost += 1
                    raise KafkaConnectionError(f"answer to {name} lost")
            return answer

        monkeypatch.setattr(AIOKafkaClient, "send", send)


def ownership(connection: Connection) -> Ownership:
    return Ownership(f"{connection.group('fold')}-events-0", 0, "profiles", frozenset({"copies"}))


@asynccontextmanager
async def owning(connection: Connection) -> AsyncIterator[tuple[TransactionalCommitter, Restored]]:
    """Take the partition over, and release it afterwards."""
    committer = TransactionalCommitter(connection, ownership(connection))
    try:
        await committer.fence()
        yield committer, await committer.restore()
    finally:
        await committer.stop()


def numbered(number: int) -> Commit:
    """Return the commit with this number: an output and a changed state."""
    return Commit([Output("copies", b"u1", b"%d" % number)], {b"u1": b"%d" % number})


async def copies(connection: Connection) -> list[bytes]:
    """Return all committed outputs."""
    return [record.value for record in await read_all(connection, "copies")]


async def restored(connection: Connection) -> tuple[int, dict[bytes, bytes]]:
    async with owning(connection) as (_, found):
        return found.position, dict(found.records)


async def test_transactions_that_follow_one_another_at_once_are_stored_once_and_in_order(
    transactions: Connection,
) -> None:
    async with owning(transactions) as (committer, _):
        for number in range(30):
            await committer.commit(numbered(number), Checkpoint(number))

    assert await copies(transactions) == [b"%d" % number for number in range(30)]
    assert await restored(transactions) == (29, {b"u1": b"29"})


@pytest.mark.parametrize("request_name", ["Produce", "End"])
async def test_a_request_that_is_repeated_because_its_answer_was_lost_has_its_effect_once(
    transactions: Connection, request_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with owning(transactions) as (committer, _):
        losses = Losses(monkeypatch, request_name, count=3, before=2)
        for number in range(8):
            await committer.commit(numbered(number), Checkpoint(number))

    assert losses.lost == 3
    assert await copies(transactions) == [b"%d" % number for number in range(8)]
    assert await restored(transactions) == (7, {b"u1": b"7"})


async def test_a_commit_of_unknown_outcome_is_what_the_next_owner_restores(
    transactions: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with owning(transactions) as (committer, _):
        await committer.commit(numbered(1), Checkpoint(1))
        with monkeypatch.context() as patch:
            patch.setattr(committers, "ANSWER_WITHIN_S", 0.5)
            losses = Losses(patch, "End", count=1_000_000)
            with pytest.raises(TimeoutError):
                await committer.commit(numbered(2), Checkpoint(2))
        assert losses.lost > 1

    assert await restored(transactions) == (2, {b"u1": b"2"})
    assert await copies(transactions) == [b"1", b"2"]


async def test_a_batch_out_of_order_is_refused_and_its_transaction_is_aborted(
    transactions: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transactional_writer.packed

    def shifted(pairs: Any, producer: Producer, first: int) -> Any:
        return real(pairs, producer, first + 9)

    async with owning(transactions) as (committer, _):
        await committer.commit(numbered(1), Checkpoint(1))
        with monkeypatch.context() as patch:
            patch.setattr(transactional_writer, "packed", shifted)
            with pytest.raises(OutOfOrderSequenceNumber):
                await committer.commit(numbered(2), Checkpoint(2))

    assert await restored(transactions) == (1, {b"u1": b"1"})
    assert await copies(transactions) == [b"1"]


def state_of(client: Any, transactional_id: str) -> str:
    return str(client.describe_transactions([transactional_id])[transactional_id].state.value)


async def test_an_owner_that_takes_longer_than_the_transaction_may_last_cannot_commit_it(
    transactions: Connection,
) -> None:
    place, name = TopicPartition(transactions.topic("copies"), 0), transactions.group("slow")
    writer = TransactionalWriter(transactions, name, timeout_ms=500)
    try:
        await writer.start()
        await writer.send({place: [(b"u1", b"late")]})
        with admin(transactions) as client:
            async with asyncio.timeout(30):
                while await asyncio.to_thread(state_of, client, name) != "CompleteAbort":
                    pass  # the broker notifies no client; each question takes a few milliseconds
        with pytest.raises(ProducerFenced):
            await writer.commit()
    finally:
        await writer.stop()

    assert await copies(transactions) == []


async def test_an_owner_that_is_fenced_within_its_transaction_can_neither_write_nor_commit(
    transactions: Connection,
) -> None:
    place, other = (TopicPartition(transactions.topic("copies"), number) for number in (0, 1))
    for step in ("send to the same partition", "send to another partition", "commit"):
        previous, owner = (
            TransactionalWriter(transactions, transactions.group("taken"), timeout_ms=60_000) for _ in range(2)
        )
        try:
            await previous.start()
            await previous.send({place: [(b"u1", step.encode())]})
            await owner.start()
            target = {other if "another" in step else place: [(b"u1", b"zombie")]}
            with pytest.raises(ProducerFenced):
                await (previous.commit() if step == "commit" else previous.send(target))
            await owner.send({place: [(b"u1", b"owner")]})
            await owner.commit()
        finally:
            await previous.stop()
            await owner.stop()

    assert await copies(transactions) == [b"owner"] * 3


async def test_two_owners_write_at_the_same_time_and_only_the_newest_one_commits(transactions: Connection) -> None:
    async with owning(transactions) as (previous, _):
        began = asyncio.Event()

        async def commit_until_fenced() -> int:
            for number in range(1_000):
                await previous.commit(numbered(number), Checkpoint(number))
                if number == 5:
                    began.set()
            raise AssertionError("the previous owner is never fenced")

        committing = asyncio.ensure_future(commit_until_fenced())
        await began.wait()
        async with owning(transactions) as (owner, found):
            with pytest.raises(ProducerFenced):
                await committing
            await owner.commit(numbered(found.position + 1), Checkpoint(found.position + 1))

    assert await copies(transactions) == [b"%d" % number for number in range(found.position + 2)]


@pytest.fixture(scope="module")
def downgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A broker of a cluster that still has the older transactions."""
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    found = ApacheKafka(Path(os.environ["KAFKA_HOME"]), tmp_path_factory.mktemp("downgraded"))
    found.start(180)
    with admin(Connection(found.address)) as client:
        asked = {"transaction.version": (UpdateFeatureType.SAFE_DOWNGRADE, 1)}
        assert client.update_features(asked) == {"transaction.version": "OK"}
    yield found
    found.stop()


@pytest.mark.slow
async def test_a_cluster_that_was_not_finally_upgraded_gets_older_transactions(downgraded: ApacheKafka) -> None:
    connection = Connection(downgraded.address, prefix="older.")
    create_topics(connection, {"copies": 1, "profiles": 1})
    sent: list[str] = []
    real = AIOKafkaClient.send

    async def send(client: AIOKafkaClient, node: int, request: Any, **named: Any) -> Any:
        sent.append(type(request).__name__)
        return await real(client, node, request, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AIOKafkaClient, "send", send)
        async with owning(connection) as (committer, _):
            await committer.commit(numbered(1), Checkpoint(1))

    assert "AddPartitionsToTxnRequest" in sent
    assert [record.value for record in await read_until(connection, "copies", bool, within_s=30)] == [b"1"]
