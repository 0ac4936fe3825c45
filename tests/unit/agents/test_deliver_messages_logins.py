"""Marketing that waits for a visitor is withdrawn at the login and handed over, and never both sent and handed over."""

from __future__ import annotations

import pytest

from models.batch import Outputs
from models.delivery.deliveries import LOOKUP_DELAYS_MS, Result, decode_delivery
from models.delivery.messages import Message
from models.delivery.notices import ChannelPaused, Withdrawal
from models.events import HandoverNote, decode_event
from models.units import SECOND
from tests.support.delivering import RETRY_LATER, WAKE_UP, DeliveryLane, FakeDispatcher, batch, message
from tests.support.letters import NOW

VISITOR, USER = "anonymous:a1", "u1"
SIGNAL = b'{"kind":"cart_left"}'
LOGIN = Withdrawal(VISITOR, NOW, "the visitor has logged in", USER)


def waiting(number: int = 0, **changed: object) -> Message:
    """Make a marketing message to the visitor."""
    return message(number, **{"user": VISITOR, "signal": SIGNAL, **changed})


def handed_over(lane: DeliveryLane) -> list[tuple[str, str | None, HandoverNote]]:
    """Return type, reason and note of each outcome of a message that was handed over."""
    return [(one.type, one.reason, one.identity) for one in lane.events if isinstance(one.identity, HandoverNote)]


async def test_waiting_marketing_is_withdrawn_and_returns_its_signal_to_the_visitors_partition() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=0))

    await lane.run(batch(waiting(0), waiting(1, category="transactional", signal=b""), LOGIN), WAKE_UP)
    lane.dispatcher.slots = 8
    await lane.run(WAKE_UP, WAKE_UP)

    assert [lane.status(waiting(i)) for i in range(2)] == ["withdrawn", "delivered"]
    assert handed_over(lane) == [("message_failed", "withdrawn: the visitor has logged in", HandoverNote(USER, SIGNAL))]
    assert lane.events[0].user == VISITOR
    assert lane.dispatcher.sent == [waiting(1).id]


async def test_it_is_stopped_in_one_commit_and_reported_in_the_next_one() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=0))

    await lane.run(batch(waiting(), LOGIN))
    stored = decode_delivery(lane.state.records[waiting().id.encode()])
    events_before, due = list(lane.events), lane.last.next_due
    lane.dispatcher.slots = 8
    await lane.run(WAKE_UP, WAKE_UP)

    assert (stored.status, stored.known, events_before) == ("queued", USER, [])
    assert due is not None
    assert due <= lane.now
    assert len(handed_over(lane)) == 1
    assert lane.dispatcher.sent == []


@pytest.mark.parametrize("dies", [1, 2, 3])
async def test_a_process_that_dies_at_any_commit_hands_it_over_once_and_sends_it_never(dies: int) -> None:
    contents = batch(waiting(), LOGIN)
    lane = DeliveryLane(FakeDispatcher(slots=0))

    await lane.run(contents, WAKE_UP, dies_before_commit=dies)
    is_read = bool(lane.state.records)
    lane.dispatcher = FakeDispatcher(name="dispatcher 2", status_of=lane.status, slots=8 if is_read else 0)
    await lane.run(*(() if is_read else (contents,)), WAKE_UP, WAKE_UP)

    assert len(handed_over(lane)) == 1
    assert lane.dispatcher.sent == []
    assert lane.status(waiting()) == "withdrawn"


async def test_without_transactions_a_process_that_dies_after_its_outputs_sends_nothing_either() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=0))

    async def outputs_of_the_next_step() -> Outputs:
        async for outputs in lane.steps(WAKE_UP):
            if outputs.commit.records:
                return outputs
            lane.commit(outputs)
        raise AssertionError("nothing was reported")

    await lane.run(batch(waiting(), LOGIN))
    written = await outputs_of_the_next_step()  # its state is lost
    lane.dispatcher = FakeDispatcher(name="dispatcher 2", status_of=lane.status)
    await lane.run(WAKE_UP, WAKE_UP)

    assert lane.dispatcher.sent == []
    assert [decode_event(one.value or b"") for one in written.commit.records] == lane.events


async def test_a_stopped_message_is_withdrawn_even_if_the_channel_is_paused_or_its_time_has_passed() -> None:
    lane = DeliveryLane()

    await lane.run(batch(ChannelPaused(paused=True), waiting(), LOGIN))
    lane.now = waiting().expires
    await lane.run(WAKE_UP)

    assert len(handed_over(lane)) == 1


@pytest.mark.parametrize(("answer", "is_handed_over"), [(RETRY_LATER, True), (Result("delivered"), False)])
async def test_a_call_in_flight_decides_whether_the_message_is_handed_over(
    answer: Result, is_handed_over: bool
) -> None:
    lane = DeliveryLane(FakeDispatcher(answers={waiting().id: [answer]}, ends=False))

    steps = 0
    async for outputs in lane.steps(batch(waiting()), batch(LOGIN), WAKE_UP, WAKE_UP):
        lane.commit(outputs)
        lane.begin(outputs)
        steps += 1
        if steps == 3:
            lane.dispatcher.end_all()

    assert (len(handed_over(lane)) == 1) == is_handed_over
    assert lane.dispatcher.sent == [waiting().id]
    assert lane.status(waiting()) == ("withdrawn" if is_handed_over else "delivered")


@pytest.mark.parametrize("is_known_there", [False, True])
async def test_an_unknown_message_is_handed_over_only_if_it_certainly_did_not_arrive(is_known_there: bool) -> None:
    looked_up = Result("delivered") if is_known_there else Result("failed", "not there")
    answers = [Result("unknown", "500", answered=True)] + [looked_up] * 3
    lane = DeliveryLane(FakeDispatcher(lookup_delays_ms=LOOKUP_DELAYS_MS, answers={waiting().id: answers}))

    await lane.run(batch(waiting(expires=NOW + 3_600 * SECOND)), WAKE_UP)
    await lane.run(batch(LOGIN))
    for _ in LOOKUP_DELAYS_MS:
        lane.now = lane.last.next_due or lane.now
        await lane.run(WAKE_UP, WAKE_UP)

    assert (len(handed_over(lane)) == 0) == is_known_there


async def test_an_attempt_without_any_answer_is_never_handed_over() -> None:
    lane = DeliveryLane(FakeDispatcher(answers={waiting().id: [Result("unknown", "the connection broke")]}))

    await lane.run(batch(waiting()), WAKE_UP)
    await lane.run(batch(LOGIN), WAKE_UP, WAKE_UP)

    assert handed_over(lane) == []
    assert [one.type for one in lane.events] == ["message_unknown"]


async def test_a_message_without_a_signal_is_only_withdrawn() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=0))

    await lane.run(batch(waiting(signal=b""), LOGIN), WAKE_UP)

    assert lane.outcomes() == [("message_failed", "withdrawn: the visitor has logged in")]
    assert handed_over(lane) == []


async def test_a_withdrawal_of_consent_during_a_call_counts_more_than_the_login() -> None:
    lane = DeliveryLane(FakeDispatcher(answers={waiting().id: [RETRY_LATER]}, ends=False))

    steps = 0
    async for outputs in lane.steps(batch(waiting()), batch(LOGIN, Withdrawal(VISITOR, NOW, "link")), WAKE_UP):
        lane.commit(outputs)
        lane.begin(outputs)
        steps += 1
        if steps == 3:
            lane.dispatcher.end_all()

    assert lane.outcomes() == [("message_failed", "withdrawn: link")]
    assert handed_over(lane) == []
