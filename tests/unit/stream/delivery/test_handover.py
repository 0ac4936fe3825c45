"""The new owner of a partition gets the results of calls that its previous owner began."""

from __future__ import annotations

import asyncio

import pytest

from models.delivery.deliveries import Result
from models.delivery.notices import Answer, InFlight, Notice, decode_notice
from stream.cluster.errors import BrokerUnavailable
from stream.delivery.handover import WriteToPartition
from tests.support.dispatching import FakeGate, begin_and_leave, call, open_dispatcher, take
from tests.support.letters import letter


class WrittenNotices(list[tuple[bytes, Notice | None]]):
    """Notices that were written to the partition, with their keys."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    async def write(self, pairs: list[tuple[bytes, bytes | None]]) -> None:
        """Write records to the partition."""
        self.extend((key, decode_notice(value or b"")) for key, value in pairs)
        self.changed.set()


@pytest.fixture
def written() -> WrittenNotices:
    """The notices that the dispatcher writes in this test."""
    return WrittenNotices()


@pytest.fixture
def write(written: WrittenNotices) -> WriteToPartition:
    """A function that writes to the partition."""
    return written.write


async def test_the_new_owner_gets_the_results_of_calls_in_flight(
    written: WrittenNotices, write: WriteToPartition
) -> None:
    gate = FakeGate(answer=Result("failed", "451 later", retry_after=3.0))
    dispatcher = open_dispatcher(gate)
    gate.open.clear()
    for number in range(2):
        await begin_and_leave(dispatcher, gate, call(number, attempt=2), partition=number)

    dispatcher.on_revoked(1, write)
    await written.changed.wait()
    before_the_end = list(written)
    gate.open.set()
    await dispatcher.reported()

    answer = Answer(
        message=letter(1).id,
        channel="email",
        attempt=2,
        by=dispatcher.name,
        status="failed",
        detail="451 later",
        retry_after=3.0,
    )
    assert before_the_end == [(letter(1).user.encode(), InFlight(letter(1).id, 2, dispatcher.name))]
    assert written[1:] == [(letter(1).user.encode(), answer)]


async def test_the_report_of_a_bounce_names_the_address(written: WrittenNotices, write: WriteToPartition) -> None:
    gate = FakeGate(answer=Result("rejected", "550 5.1.1 unknown", bounce="hard", code="550 5.1.1"))
    dispatcher = open_dispatcher(gate)
    gate.open.clear()
    await begin_and_leave(dispatcher, gate, call(0), partition=0)

    dispatcher.on_revoked(0, write)
    gate.open.set()
    await dispatcher.reported()

    _, answer = written[-1]
    assert isinstance(answer, Answer)
    assert (answer.status, answer.bounce, answer.to) == ("rejected", "hard", letter(0).to)


async def test_the_new_owner_is_notified_about_attempts_that_were_never_begun(
    written: WrittenNotices, write: WriteToPartition
) -> None:
    gate = FakeGate()
    dispatcher = open_dispatcher(gate, max_concurrency=1)
    take(dispatcher, call())

    dispatcher.leave(0, [call()])
    dispatcher.on_revoked(0, write)
    await dispatcher.reported()

    ((_, notice),) = written
    assert isinstance(notice, Answer)
    assert (notice.message, notice.attempt, notice.by) == (letter(0).id, 1, dispatcher.name)
    assert notice.status == "failed"
    assert gate.taken == []
    assert take(dispatcher, call(1)) == 1  # its slot is free


async def test_nothing_is_reported_about_a_partition_that_has_come_back(
    written: WrittenNotices, write: WriteToPartition
) -> None:
    gate = FakeGate()
    dispatcher = open_dispatcher(gate)
    gate.open.clear()
    await begin_and_leave(dispatcher, gate, call())
    dispatcher.on_revoked(0, write)
    await written.changed.wait()

    is_reclaimed = dispatcher.reclaim(call(), dispatcher.name)
    gate.open.set()
    await dispatcher.reported()

    assert (is_reclaimed, [type(notice) for _, notice in written]) == (True, [InFlight])


async def test_a_process_that_ends_does_not_report_unknown_results(
    written: WrittenNotices, write: WriteToPartition
) -> None:
    gate = FakeGate()
    dispatcher = open_dispatcher(gate)
    gate.open.clear()
    await begin_and_leave(dispatcher, gate, call())
    dispatcher.on_revoked(0, write)
    await written.changed.wait()

    await dispatcher.close()

    assert [type(notice) for _, notice in written] == [InFlight]


async def test_a_broker_that_is_away_leaves_the_message_unknown_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(_: object) -> None:
        raise BrokerUnavailable("away")

    dispatcher = open_dispatcher(FakeGate())
    take(dispatcher, call())
    await dispatcher.make(call())
    dispatcher.leave(0, [call()])

    dispatcher.on_revoked(0, refuse)
    await dispatcher.reported()

    assert f"the partition's new owner is not notified about message {letter(0).id}" in caplog.text
