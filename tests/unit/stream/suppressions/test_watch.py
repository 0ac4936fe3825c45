"""Messages are held until the whole suppression list is read, and while the list is too old."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression import TOPIC, SuppressionEntry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from stream.cluster.connection import Connection
from stream.delivery.holds import Holds
from stream.installation.embedded_broker import EmbeddedBroker
from stream.suppressions.watch import HOLD, MAX_AGE_S, NOT_READ, TOO_OLD, AnswerAges, SuppressionWatch
from tests.support.brokers import Cluster
from tests.support.inprocess import until
from tests.support.topic_reading import producing, write

HASHES = AddressHashes([b"0123456789abcdef"])
ENTRY = encode_entry(SuppressionEntry(scope="all", reason="manual", channel="email", at=5))


def _key(number: int, hashes: AddressHashes = HASHES) -> bytes:
    return key_of(hashes.newest("email", f"u{number}@example.com"), "manual")


def _stopped(watch: SuppressionWatch, number: int) -> bool:
    return watch.listed.stops("email", f"u{number}@example.com", "transactional") is not None


@asynccontextmanager
async def _following(
    connection: Connection, holds: Holds | None = None, *, is_judged: bool = True
) -> AsyncIterator[SuppressionWatch]:
    watch = SuppressionWatch(connection, SuppressionList(HASHES), holds, is_judged=is_judged)
    task = asyncio.create_task(watch.follow())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_the_list_is_read_again_after_a_failure_of_any_kind(
    embedded: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.create(suppressions=1)
    await write(embedded.connection, TOPIC, [(_key(1), ENTRY)])
    failures: list[Exception] = [RuntimeError("a bug")]
    apply = SuppressionList.apply

    def failing(listed: SuppressionList, key: bytes, value: bytes | None) -> None:
        if failures:
            raise failures.pop()
        apply(listed, key, value)

    monkeypatch.setattr(SuppressionList, "apply", failing)
    holds = Holds()
    async with _following(embedded.connection, holds) as watch, asyncio.timeout(20):
        await watch.current()

    assert (failures, holds.reasons(), len(watch.listed)) == ([], {}, 1)


async def test_delivery_is_held_until_the_whole_list_is_read(cluster: Cluster) -> None:
    cluster.create(suppressions=1)
    await write(cluster.connection, TOPIC, [(_key(number), ENTRY) for number in range(5_000)])
    holds = Holds()

    async with _following(cluster.connection, holds) as watch:
        assert (watch.behind(), holds.reasons()) == (NOT_READ, {HOLD: NOT_READ})
        async with asyncio.timeout(20):
            await watch.current()

        assert len(watch.listed) == 5_000
        assert holds.reasons() == {}
        assert _stopped(watch, 4_999)


async def test_an_entry_takes_effect_within_a_fraction_of_a_second(cluster: Cluster) -> None:
    cluster.create(suppressions=1)

    async with _following(cluster.connection) as watch, producing(cluster.connection) as producer:
        async with asyncio.timeout(20):
            await watch.current()
        for number in range(5):
            await producer.send_and_wait(cluster.connection.topic(TOPIC), ENTRY, key=_key(number), partition=0)
            await until(lambda number=number: _stopped(watch, number), within_s=MAX_AGE_S)  # type: ignore[misc]


async def test_an_empty_list_is_complete_immediately(cluster: Cluster) -> None:
    cluster.create(suppressions=1)

    async with _following(cluster.connection) as watch, asyncio.timeout(20):
        await watch.current()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def stoppable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Cluster, int]]:
    """A broker that a test may stop, and its process id."""
    if request.param == "kafka":
        kafka: Cluster = request.getfixturevalue("kafka")
        assert kafka.kafka is not None
        yield kafka, kafka.kafka.pid
        return
    with EmbeddedBroker(None, tmp_path) as broker:
        yield Cluster(Connection(broker.address, prefix="stopped.", transactions=False)), broker.pid


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_nothing_is_sent_while_the_broker_does_not_answer(stoppable: tuple[Cluster, int]) -> None:
    cluster, pid = stoppable
    cluster.create(suppressions=1)
    holds = Holds()
    async with _following(cluster.connection, holds) as watch:
        async with asyncio.timeout(20):
            await watch.current()

        with _frozen(pid):
            await until(lambda: watch.behind() == TOO_OLD, within_s=2 * MAX_AGE_S + 1)
            await until(lambda: holds.reasons() == {HOLD: TOO_OLD}, within_s=5)
        await write(cluster.connection, TOPIC, [(_key(1), ENTRY)])

        async with asyncio.timeout(30):
            await watch.current()
        await until(lambda: _stopped(watch, 1), within_s=5)  # the list may be current as of a moment before the entry
        await until(lambda: holds.reasons() == {}, within_s=5)


async def test_the_list_is_not_read_and_nothing_is_sent_without_any_broker(caplog: pytest.LogCaptureFixture) -> None:
    holds = Holds()

    async with _following(Connection("127.0.0.1:1"), holds) as watch:
        await until(lambda: "the suppression list cannot be read" in caplog.text)

        assert (watch.behind(), holds.reasons()) == (NOT_READ, {HOLD: NOT_READ})


@pytest.mark.kafka
async def test_a_writer_that_stops_in_a_transaction_hides_no_entry(kafka: Cluster) -> None:
    from aiokafka import AIOKafkaProducer

    kafka.create(suppressions=1)
    topic = kafka.connection.topic(TOPIC)
    frozen = AIOKafkaProducer(**kafka.connection.client_options(), transactional_id=kafka.connection.group("frozen"))
    await frozen.start()
    try:
        await frozen.begin_transaction()
        await frozen.send_and_wait(topic, ENTRY, key=_key(1), partition=0)
        await write(kafka.connection, TOPIC, [(_key(2), ENTRY)], partition=0)

        async with _following(kafka.connection) as watch, asyncio.timeout(20):
            await watch.current()
            assert _stopped(watch, 2)
        await frozen.abort_transaction()
    finally:
        await frozen.stop()


async def test_an_entry_of_an_unknown_secret_holds_delivery_and_says_what_to_do(embedded: Cluster) -> None:
    embedded.create(suppressions=1)
    stranger = AddressHashes([b"an-unknown-secret"])
    await write(embedded.connection, TOPIC, [(_key(1, stranger), ENTRY)])
    holds = Holds()

    async with _following(embedded.connection, holds) as watch:
        await until(lambda: "delivery.suppression_secrets" in holds.reasons().get(HOLD, ""))

        assert next(iter(stranger.ids)) in watch.behind()


async def test_a_record_that_is_not_an_entry_is_skipped_and_the_next_one_counts(embedded: Cluster) -> None:
    embedded.create(suppressions=1)
    broken = [(b"what?", ENTRY), (_key(1), b"{"), (_key(1), b'{"scope":"none"}'), (_key(2), ENTRY)]
    await write(embedded.connection, TOPIC, broken)

    async with _following(embedded.connection) as watch, asyncio.timeout(20):
        await watch.current()
        assert (len(watch.listed), _stopped(watch, 2)) == (1, True)


def test_an_answer_is_as_new_as_the_arrival_of_the_previous_answer() -> None:
    ages = AnswerAges()

    assert ages.poll(None, 0.0) is None
    assert ages.poll(1, 1.0) is None  # without an earlier answer, the time of the request is unknown
    assert ages.poll(2, 2.0) == 1.0
    assert ages.poll(2, 3.0) == 1.0  # nothing new
    # The process was stopped from 3 to 60, with an earlier answer in its buffer.
    assert ages.poll(3, 60.0) == 2.0
    assert ages.poll(4, 61.0) == 60.0


async def test_a_process_that_does_not_judge_the_list_gets_entries_as_fast(embedded: Cluster) -> None:
    embedded.create(suppressions=1)
    async with _following(embedded.connection, is_judged=False) as watch:
        async with asyncio.timeout(20):
            await watch.read()
        for number in (1, 2):
            await write(embedded.connection, TOPIC, [(_key(number), ENTRY)])
            await until(functools.partial(_stopped, watch, number), within_s=1)  # half of the wait without entries
