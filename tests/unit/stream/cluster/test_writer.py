"""Writing to a broker, even to one that gives no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from models.batch import Output
from stream.cluster import writer as module
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerSilent, BrokerUnavailable
from stream.cluster.writer import MAX_QUEUED, Pairs, Writer, send
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_until

FIRST, SECOND = TopicPartition("t.events", 0), TopicPartition("t.events", 1)
PAIRS: Pairs = [(b"u1", b"1")]


class FakeBatch:
    """A batch that only counts its records."""

    def __init__(self) -> None:
        self._count = 0

    def append(self, **_: object) -> object:
        self._count += 1
        return self

    def record_count(self) -> int:
        return self._count

    def close(self) -> None:
        """Ignore the call, because this batch holds no bytes."""


class UnansweredProducer:
    """A producer that accepts ``room`` batches, and then blocks or raises ``refuses``.

    Its broker gives only the listed answers.
    """

    def __init__(
        self,
        room: int = 100,
        answers: Iterable[BaseException | None] = (),
        refuses: Exception | None = None,
        *,
        starts: bool = True,
    ) -> None:
        self.room = room
        self.refuses = refuses
        self.given: list[asyncio.Future[Any]] = []
        self.given_all = asyncio.Event()
        self.full = asyncio.Event()
        self.started = False
        self.stopped = False
        self._answers = list(answers)
        self._starts = starts

    async def start(self) -> None:
        if not self._starts:
            await asyncio.Event().wait()
        self.started = True

    def create_batch(self) -> FakeBatch:
        return FakeBatch()

    async def send_batch(self, _batch: object, _topic: str, *, partition: int) -> asyncio.Future[Any]:
        if len(self.given) == self.room:
            self.full.set()
            if self.refuses is not None:
                raise self.refuses
            await asyncio.Event().wait()
        answer = asyncio.get_running_loop().create_future()
        if self._answers:
            error = self._answers.pop(0)
            if error is None:
                answer.set_result(partition)
            else:
                answer.set_exception(error)
        self.given.append(answer)
        if len(self.given) == self.room:
            self.given_all.set()
        return answer

    async def stop(self) -> None:
        self.stopped = True


def producer(silent: UnansweredProducer) -> AIOKafkaProducer:
    return cast("AIOKafkaProducer", silent)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABANDON_WITHIN_S", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_cancelled_write_does_not_wait_for_answers_when_the_producer_is_full() -> None:
    silent = UnansweredProducer(room=1)
    sending = asyncio.create_task(send(producer(silent), {FIRST: PAIRS, SECOND: PAIRS}))
    await asyncio.wait_for(silent.full.wait(), 5)
    sending.cancel()
    done, _ = await asyncio.wait([sending], timeout=5)

    assert done
    assert sending.cancelled()


async def test_the_first_rejection_is_raised_after_all_answers_have_arrived() -> None:
    silent = UnansweredProducer(room=2, answers=[MessageSizeTooLargeError()])
    sending = asyncio.create_task(send(producer(silent), {FIRST: PAIRS, SECOND: PAIRS}))
    await asyncio.wait_for(silent.given_all.wait(), 5)
    done, _ = await asyncio.wait([sending], timeout=0)
    assert not done

    silent.given[1].set_result(None)
    with pytest.raises(MessageSizeTooLargeError):
        await asyncio.wait_for(sending, 5)


async def test_a_refused_batch_raises_its_error_after_the_earlier_answers_have_arrived() -> None:
    silent = UnansweredProducer(room=1, answers=[MessageSizeTooLargeError()], refuses=KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await asyncio.wait_for(send(producer(silent), {FIRST: PAIRS, SECOND: PAIRS}), 5)


@pytest.mark.parametrize("write", ["send_to", "append"])
async def test_a_write_without_an_acknowledgement_fails_and_its_producer_is_replaced(
    monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    silent = UnansweredProducer()
    monkeypatch.setattr(module, "AIOKafkaProducer", lambda **_: silent)
    writer = Writer(Connection("127.0.0.1:9", prefix="t."), answer_within_s=0.05)
    records = [(FIRST, key, value) for key, value in PAIRS] * (MAX_QUEUED + 1)
    with pytest.raises(BrokerSilent):
        await asyncio.wait_for(writer.send_to("events", 0, PAIRS) if write == "send_to" else writer.append(records), 5)

    assert silent.started
    assert silent.stopped
    assert not writer.is_started


async def test_a_producer_that_never_starts_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = UnansweredProducer(starts=False)
    monkeypatch.setattr(module, "AIOKafkaProducer", lambda **_: silent)
    writer = Writer(Connection("127.0.0.1:9", prefix="t."), answer_within_s=0.05)
    with pytest.raises(BrokerSilent):
        await asyncio.wait_for(writer.send_everywhere("events", PAIRS), 5)

    assert silent.stopped
    assert not writer.is_started


async def test_the_next_write_succeeds_after_a_failed_one(cluster: Cluster) -> None:
    cluster.create(events=1)
    writer = Writer(cluster.connection)
    try:
        await writer.send([Output("events", b"u1", b"1")])
        writer.answer_within_s = 0.0
        with pytest.raises(BrokerUnavailable):
            await writer.send([Output("events", b"u1", b"lost or not")])
        writer.answer_within_s = 60.0
        await writer.send([Output("events", b"u1", b"2")])
    finally:
        await writer.close()
    found = await read_until(
        cluster.connection, "events", lambda records: records[-1:] != [] and records[-1].value == b"2", within_s=10
    )

    assert [record.value for record in found if record.value != b"lost or not"] == [b"1", b"2"]


@pytest.mark.parametrize("count", [1, MAX_QUEUED, MAX_QUEUED + 1, 1_000])
async def test_each_appended_record_is_stored_at_the_reported_offset(cluster: Cluster, count: int) -> None:
    cluster.create(events=2)
    topic = cluster.connection.topic("events")
    records = [(TopicPartition(topic, number % 2), b"u", b"%05d" % number * 600) for number in range(count)]
    writer = Writer(cluster.connection)
    try:
        places = await writer.append(records)
    finally:
        await writer.close()
    found = await read_until(cluster.connection, "events", lambda found: len(found) >= count, within_s=20)

    stored = {(record.partition, record.offset): record.value for record in found}
    assert [stored[place] for place in places] == [value for _, _, value in records]
