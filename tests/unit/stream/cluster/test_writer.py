"""Writing to a broker that does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from models.batch import Output
from stream.cluster import writer as bursts
from stream.cluster.connection import Connection
from stream.cluster.writer import Place, Writer, send
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_until

FIRST, SECOND = Place("t.events", 0), Place("t.events", 1)
PAIRS: bursts.Pairs = [(b"u1", b"1")]


class _Builder:
    def append(self, **_: object) -> object:
        return self

    def record_count(self) -> int:
        return 1

    def close(self) -> None:
        """Nothing is packed."""


class Silent:
    """A producer whose broker has stopped answering; it can take only so many batches before it makes wait."""

    def __init__(
        self, room: int = 100, answers: Iterable[BaseException | None] = (), refuses: Exception | None = None
    ) -> None:
        self.room = room
        self.refuses = refuses
        self.given: list[asyncio.Future[Any]] = []
        self.waited_for = asyncio.Event()
        self.stopped = False
        self._answers = list(answers)

    def create_batch(self) -> _Builder:
        return _Builder()

    async def send_batch(self, _batch: object, _topic: str, *, partition: int) -> asyncio.Future[Any]:
        if len(self.given) == self.room:
            self.waited_for.set()
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
        return answer

    async def stop(self) -> None:
        self.stopped = True


def producer(silent: Silent) -> AIOKafkaProducer:
    return cast("AIOKafkaProducer", silent)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(bursts, "LEFT_WITHIN_S", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_who_is_cancelled_while_the_producer_takes_no_more_waits_no_longer_for_the_rest() -> None:
    silent = Silent(room=1)
    sending = asyncio.create_task(send(producer(silent), {FIRST: PAIRS, SECOND: PAIRS}))
    await asyncio.wait_for(silent.waited_for.wait(), 5)
    sending.cancel()
    done, _ = await asyncio.wait([sending], timeout=5)

    assert done
    assert sending.cancelled()


async def test_the_first_refusal_is_raised_after_all_were_answered() -> None:
    silent = Silent(answers=[MessageSizeTooLargeError()])
    sending = asyncio.create_task(send(producer(silent), {FIRST: PAIRS, SECOND: PAIRS}))
    await asyncio.sleep(0.01)
    too_early = sending.done()
    silent.given[1].set_result(None)

    with pytest.raises(MessageSizeTooLargeError):
        await asyncio.wait_for(sending, 5)
    assert not too_early


async def test_a_batch_that_is_not_taken_is_the_error_that_is_raised_once_those_before_it_were_answered() -> None:
    silent = Silent(room=1, answers=[MessageSizeTooLargeError()], refuses=KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await asyncio.wait_for(send(producer(silent), {FIRST: PAIRS, SECOND: PAIRS}), 5)


@pytest.mark.usefixtures("impatient")
async def test_a_write_that_nobody_acknowledges_fails_and_its_producer_is_replaced() -> None:
    writer, silent = Writer(Connection("127.0.0.1:9", prefix="t.")), Silent()
    writer._producer = producer(silent)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.send_to("events", 0, PAIRS), 5)

    assert time.monotonic() - began < 2
    assert silent.stopped
    assert writer._producer is None


@pytest.mark.usefixtures("impatient")
async def test_a_producer_that_never_gets_its_id_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: AIOKafkaProducer) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaProducer, "start", never)
    writer = Writer(Connection("127.0.0.1:9", prefix="t."))
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.send_everywhere("events", PAIRS), 5)
    assert time.monotonic() - began < 3


async def test_after_a_write_that_failed_the_next_one_is_written(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.create(events=1)
    writer = Writer(cluster.connection)
    try:
        await writer.send([Output("events", b"u1", b"1")])
        monkeypatch.setattr(bursts, "ANSWER_WITHIN_S", 0.0)
        with pytest.raises(TimeoutError):
            await writer.send([Output("events", b"u1", b"lost or not")])
        monkeypatch.undo()
        await writer.send([Output("events", b"u1", b"2")])
    finally:
        await writer.close()
    found = await read_until(
        cluster.connection, "events", lambda records: records[-1:] != [] and records[-1].value == b"2", within_s=10
    )

    assert [record.value for record in found if record.value != b"lost or not"] == [b"1", b"2"]
