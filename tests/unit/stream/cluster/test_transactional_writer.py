"""A transaction is stored exactly once and in order, whatever is lost, refused or moved on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    ConcurrentTransactions,
    KafkaError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from stream.cluster import transaction_coordinator, transactional_writer
from stream.cluster.connection import Connection
from stream.cluster.transaction_coordinator import Producer, TransactionAbortable
from stream.cluster.transactional_writer import TransactionalWriter, packed
from tests.support.model_brokers import ANSWER_LOST, LOST, ModelBrokers

FIRST, SECOND = TopicPartition("t.profiles", 0), TopicPartition("t.copies", 1)
OLDER, NEWER = 1, 2
versions = pytest.mark.parametrize("version", [OLDER, NEWER])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_coordinator, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(transaction_coordinator, "LONGEST_PAUSE_S", 0.0)


def written_by(brokers: ModelBrokers) -> TransactionalWriter:
    """Return a writer whose client is the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transactional_writer, "AIOKafkaClient", lambda **_: brokers)
        return TransactionalWriter(Connection("127.0.0.1:9", prefix="t."), "id", timeout_ms=1_000)


def pairs(*values: bytes) -> list[tuple[bytes, bytes | None]]:
    return [(b"u1", value) for value in values]


async def transact(writer: TransactionalWriter, *values: bytes) -> None:
    """Commit a transaction with these values in two partitions."""
    await writer.send({FIRST: pairs(*values), SECOND: pairs(*values)})
    await writer.commit()


async def test_a_newer_transaction_takes_two_requests_and_an_older_one_three() -> None:
    kinds: dict[int, list[str]] = {}
    for version in (OLDER, NEWER):
        brokers = ModelBrokers(version)
        writer = written_by(brokers)
        await writer.start()
        brokers.requests.clear()
        await transact(writer, b"1", b"2")
        kinds[version] = [kind for kind, _ in brokers.requests]
        assert brokers.stored == {FIRST: [b"1", b"2"], SECOND: [b"1", b"2"]}

    assert kinds == {OLDER: ["add", "produce", "end"], NEWER: ["produce", "end"]}


@pytest.mark.parametrize(("version", "pause_s", "asked"), [(OLDER, 0.0, 0), (NEWER, 0.0, 3), (NEWER, 1.0, 0)])
async def test_a_newer_transaction_that_follows_at_once_first_asks_whether_the_previous_one_has_ended(
    monkeypatch: pytest.MonkeyPatch, version: int, pause_s: float, asked: int
) -> None:
    clock = [0.0]
    monkeypatch.setattr(transactional_writer, "monotonic", lambda: clock[0])
    brokers = ModelBrokers(version)
    writer = written_by(brokers)
    await writer.start()
    await transact(writer, b"1")
    brokers.ending, clock[0] = 2, pause_s
    await transact(writer, b"2")
    kinds = [kind for kind, _ in brokers.requests]

    assert kinds.count("describe") == asked
    assert brokers.stored[FIRST] == [b"1", b"2"]


@versions
async def test_sequence_numbers_continue_within_an_epoch_and_begin_with_0_in_the_next(version: int) -> None:
    brokers = ModelBrokers(version)
    writer = written_by(brokers)
    await writer.start()
    for _ in range(3):
        await transact(writer, b"1", b"2")

    assert [sent[FIRST] for sent in brokers.sent] == (
        [(1, 0), (1, 2), (1, 4)] if version == OLDER else [(1, 0), (2, 0), (3, 0)]
    )


def test_sequence_numbers_continue_with_0_after_the_largest_one() -> None:
    batches, following = packed(pairs(b"1", b"2"), Producer(7, 1), 2**31 - 1)

    assert (len(batches), following) == (1, 1)


def test_records_that_need_several_batches_keep_their_order_and_their_sequence_numbers() -> None:
    values = [b"%04d" % number + b"x" * 10_000 for number in range(250)]
    batches, following = packed(pairs(*values), Producer(7, 3), 5)
    found = [MemoryRecords(bytes(one)).next_batch() for one in batches]
    sizes = [len(list(batch)) for batch in found]

    assert [batch.base_sequence for batch in found] == [5, 5 + sizes[0], 5 + sizes[0] + sizes[1]]
    assert (sum(sizes), following) == (250, 255)
    assert {(batch.producer_id, batch.producer_epoch, batch.is_transactional) for batch in found} == {(7, 3, True)}
    assert [record.value for one in batches for record in MemoryRecords(bytes(one)).next_batch()] == values


@versions
@pytest.mark.parametrize("lost", [LOST, ANSWER_LOST])
async def test_a_batch_whose_answer_is_lost_is_stored_once(version: int, lost: str) -> None:
    brokers = ModelBrokers(version, {"produce": [lost, lost]})
    writer = written_by(brokers)
    await writer.start()
    await transact(writer, b"1")

    assert brokers.stored == {FIRST: [b"1"], SECOND: [b"1"]}
    assert brokers.ended == [True]


@versions
@pytest.mark.parametrize("lost", [LOST, ANSWER_LOST])
async def test_a_commit_whose_answer_is_lost_is_asked_for_again_at_the_coordinator_of_then(
    version: int, lost: str
) -> None:
    brokers = ModelBrokers(version, {"end": [lost]})
    writer = written_by(brokers)
    await writer.start()
    await transact(writer, b"1")
    await transact(writer, b"2")

    assert (brokers.stored[FIRST], brokers.ended) == ([b"1", b"2"], [True, True])
    assert [node for kind, node in brokers.requests if kind == "end"] == [11, 12, 12]


@versions
async def test_a_leader_that_has_moved_is_asked_for_again(version: int) -> None:
    brokers = ModelBrokers(version, {"produce": [NotLeaderForPartitionError.errno]})
    writer = written_by(brokers)
    await writer.start()
    await transact(writer, b"1")

    assert (brokers.stored[FIRST], brokers.refreshed) == ([b"1"], 1)


async def test_a_partition_without_a_leader_waits_for_one_and_the_others_do_not() -> None:
    brokers = ModelBrokers(leaders={SECOND: -1})
    writer = written_by(brokers)
    await writer.start()
    await transact(writer, b"1")

    assert [set(sent) for sent in brokers.sent] == [{FIRST}, {SECOND}]


async def test_a_producer_whose_epochs_are_used_up_continues_with_another_id() -> None:
    class Exhausted(ModelBrokers):
        def _end(self, prepared: Any, code: int) -> Any:
            answer = super()._end(prepared, code)
            self.epoch = answer.producer_epoch = 0
            answer.producer_id = 8
            return answer

    brokers = Exhausted()
    writer = written_by(brokers)
    await writer.start()
    await transact(writer, b"1", b"2")

    assert repr(writer) == "<TransactionalWriter id Producer(id=8, epoch=0)>"
    await transact(writer, b"3")
    assert [sent[FIRST] for sent in brokers.sent] == [(1, 0), (0, 0)]
    assert brokers.stored[FIRST] == [b"1", b"2", b"3"]


async def test_each_leader_gets_one_request_with_all_its_partitions() -> None:
    third = TopicPartition("t.signals", 0)
    brokers = ModelBrokers(leaders={SECOND: 2})
    writer = written_by(brokers)
    await writer.start()
    await writer.send({FIRST: pairs(b"1"), SECOND: pairs(b"1"), third: pairs(b"1")})

    assert sorted(map(sorted, brokers.sent)) == sorted([sorted([FIRST, third]), [SECOND]])


@versions
@pytest.mark.parametrize("code", [ConcurrentTransactions.errno, NotEnoughReplicasError.errno])
async def test_a_partition_that_still_ends_the_previous_transaction_is_asked_again(version: int, code: int) -> None:
    brokers = ModelBrokers(version, {"produce": [code, code]})
    writer = written_by(brokers)
    await writer.start()
    await transact(writer, b"1")

    assert (brokers.stored[FIRST], brokers.refreshed) == ([b"1"], 0)


@versions
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (OutOfOrderSequenceNumber.errno, OutOfOrderSequenceNumber),
        (MessageSizeTooLargeError.errno, MessageSizeTooLargeError),
        (120, TransactionAbortable),
        (47, ProducerFenced),
        (90, ProducerFenced),
    ],
)
async def test_a_refused_batch_ends_the_attempt_and_the_transaction_is_aborted(
    version: int, code: int, error: type[Exception]
) -> None:
    brokers = ModelBrokers(version, {"produce": [0, code]})
    writer = written_by(brokers)
    await writer.start()
    await writer.send({FIRST: pairs(b"1")})
    with pytest.raises(error):
        await writer.send({SECOND: pairs(b"1")})
    await writer.abort()

    assert (brokers.ended, brokers.stored[FIRST]) == ([False], [])


@versions
async def test_a_previous_owner_is_fenced_wherever_it_stands(version: int) -> None:
    for sent in (False, True):
        brokers = ModelBrokers(version)
        writer = written_by(brokers)
        await writer.start()
        await transact(writer, b"1")
        if sent:
            await writer.send({FIRST: pairs(b"2")})
        brokers.take_over_again()
        with pytest.raises(ProducerFenced):
            await (writer.commit() if sent else transact(writer, b"2"))

        assert brokers.stored[FIRST] == [b"1"]


async def test_nothing_is_aborted_when_nothing_is_open() -> None:
    brokers = ModelBrokers()
    writer = written_by(brokers)
    await writer.start()
    await writer.abort()
    await transact(writer, b"1")
    await writer.abort()

    assert brokers.ended == [True]


async def test_a_commit_that_has_begun_is_never_followed_by_an_abort() -> None:
    brokers = ModelBrokers(script={"end": [LOST] * 100_000})
    writer = written_by(brokers)
    await writer.start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await transact(writer, b"1")
    asked = len(brokers.requests)
    await writer.abort()

    assert (brokers.ended, len(brokers.requests)) == ([], asked)


async def test_a_cancelled_write_waits_for_the_answers_to_what_it_has_sent() -> None:
    class Slow(ModelBrokers):
        def __init__(self) -> None:
            super().__init__()
            self.sending, self.may_answer = asyncio.Event(), asyncio.Event()

        async def send(self, node: int, request: Any) -> Any:
            answer = await super().send(node, request)
            if self.sent:
                self.sending.set()
                await self.may_answer.wait()
            return answer

    brokers = Slow()
    writer = written_by(brokers)
    await writer.start()
    writing = asyncio.ensure_future(writer.send({FIRST: pairs(b"1")}))
    await brokers.sending.wait()
    writing.cancel()
    done, _ = await asyncio.wait([writing], timeout=0.05)
    assert not done

    brokers.may_answer.set()
    with suppress(asyncio.CancelledError):
        await writing
    assert writing.cancelled()


async def test_the_writer_closes_its_connections_and_a_debugger_shows_its_producer() -> None:
    brokers = ModelBrokers()
    writer = written_by(brokers)
    await writer.start()
    await writer.stop()

    assert brokers.closed
    assert repr(writer) == "<TransactionalWriter id Producer(id=7, epoch=1)>"


FAULTS: dict[str, Iterable[int | str]] = {
    "produce": [0, LOST, ANSWER_LOST, NotLeaderForPartitionError.errno, ConcurrentTransactions.errno, 45],
    "add": [0, LOST, ANSWER_LOST, ConcurrentTransactions.errno, 16],
    "describe": [0, LOST, 16],
    "end": [0, LOST, ANSWER_LOST, ConcurrentTransactions.errno, 15, 16],
}


@given(
    version=st.sampled_from([OLDER, NEWER]),
    leaders=st.fixed_dictionaries({FIRST: st.sampled_from([1, 2, -2]), SECOND: st.sampled_from([1, -1])}),
    script=st.fixed_dictionaries({kind: st.lists(st.sampled_from(list(steps))) for kind, steps in FAULTS.items()}),
)
def test_every_committed_transaction_is_stored_once_and_in_order_whatever_happens(
    version: int, leaders: dict[TopicPartition, int], script: dict[str, list[int | str]]
) -> None:
    brokers = ModelBrokers(version, script, leaders)
    expected: list[bytes] = []

    async def commit_ten() -> None:
        writer = written_by(brokers)
        await writer.start()
        for number in range(10):
            try:
                await transact(writer, b"%d" % number, b"%d again" % number)
            except KafkaError:  # refused, so this writer ends, as a lane's run does
                with suppress(KafkaError):
                    await writer.abort()
                writer = written_by(brokers)
                await writer.start()
            else:
                expected.extend([b"%d" % number, b"%d again" % number])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction_coordinator, "FIRST_PAUSE_S", 0.0)
        asyncio.run(commit_ten())

    assert dict(brokers.stored) == ({FIRST: expected, SECOND: expected})
