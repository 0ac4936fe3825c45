"""Withdrawals of consent and pauses of the channel stop messages that wait."""

from __future__ import annotations

import pytest

from models.delivery.deliveries import LOOKUP_DELAYS_MS, RETENTION_MS, Result, decode_delivery
from models.delivery.notices import Answer, ChannelPaused, Withdrawal
from models.units import SECOND
from tests.support.delivering import RETRY_LATER, WAKE_UP, DeliveryLane, FakeDispatcher, batch, message
from tests.support.letters import NOW


async def test_waiting_marketing_is_not_sent_after_its_user_has_withdrawn_consent() -> None:
    waiting, other = message(0), message(1, user="u2")
    receipt = message(2, category="transactional")
    lane = DeliveryLane(FakeDispatcher(slots=0))

    await lane.run(batch(waiting, other, receipt), batch(Withdrawal("u1", NOW, "unsubscribe link")))
    lane.dispatcher.slots = 8
    await lane.run(WAKE_UP, WAKE_UP)

    assert [lane.status(one) for one in (waiting, other, receipt)] == ["withdrawn", "delivered", "delivered"]
    assert lane.outcomes()[0] == ("message_failed", "withdrawn: unsubscribe link")
    assert waiting.id not in lane.dispatcher.sent


async def test_a_withdrawal_of_one_purpose_stops_its_messages_alone_also_one_that_is_tried_again() -> None:
    news, tips, tried = message(0, purpose="news"), message(1, purpose="tips"), message(2, purpose="news")
    lane = DeliveryLane(FakeDispatcher(answers={tried.id: [RETRY_LATER]}))

    await lane.run(batch(tried), WAKE_UP)
    lane.dispatcher.slots = 0
    await lane.run(batch(news, tips), batch(Withdrawal("u1", NOW, purpose="news")))
    lane.dispatcher.slots, lane.now = 8, lane.now + 2 * SECOND
    await lane.run(WAKE_UP, WAKE_UP)

    assert [lane.status(one) for one in (news, tips, tried)] == ["withdrawn", "delivered", "withdrawn"]


async def test_a_withdrawal_does_not_concern_messages_that_were_decided_after_it() -> None:
    lane = DeliveryLane()

    await lane.run(batch(Withdrawal("u1", NOW), message()), WAKE_UP)

    assert lane.status(message()) == "delivered"


async def test_a_withdrawn_message_that_waits_for_its_next_attempt_is_not_tried_again() -> None:
    lane = DeliveryLane(FakeDispatcher(answers={message().id: [RETRY_LATER]}))

    await lane.run(batch(message()), WAKE_UP)
    lane.now += 2 * SECOND
    await lane.run(batch(Withdrawal("u1", NOW)), WAKE_UP)

    assert lane.status(message()) == "withdrawn"
    assert len(lane.dispatcher.sent) == 1


async def test_a_call_in_flight_cannot_be_recalled_but_is_not_tried_again() -> None:
    lane = DeliveryLane(FakeDispatcher(answers={message(0).id: [RETRY_LATER]}, ends=False))

    steps = 0
    async for outputs in lane.steps(batch(message(0), message(1)), batch(Withdrawal("u1", NOW)), WAKE_UP):
        lane.commit(outputs)
        lane.begin(outputs)
        steps += 1
        if steps == 3:
            lane.dispatcher.end_all()

    assert [lane.status(message(i)) for i in range(2)] == ["withdrawn", "delivered"]


async def test_a_call_in_flight_is_not_tried_again_even_if_another_process_gets_its_outcome() -> None:
    lane = DeliveryLane(FakeDispatcher(ends=False))

    await lane.run(batch(message()), batch(Withdrawal("u1", NOW, "unsubscribe link")))
    lane = DeliveryLane(FakeDispatcher(name="dispatcher 2"), state=lane.state)
    by = decode_delivery(lane.state.records[message().id.encode()]).by
    reported = Answer(message=message().id, channel="email", attempt=1, by=by, status="failed")
    await lane.run(batch(reported), WAKE_UP)

    assert lane.status(message()) == "withdrawn"
    assert lane.outcomes() == [("message_failed", "withdrawn: unsubscribe link")]
    assert lane.dispatcher.sent == []


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_unknown_message_that_did_not_arrive_is_not_tried_again(restarts: bool) -> None:
    answers = [Result("unknown", "500", answered=True)] + [Result("failed", "not there")] * 3
    one = message(expires=NOW + RETENTION_MS)
    lane = DeliveryLane(FakeDispatcher(lookup_delays_ms=LOOKUP_DELAYS_MS, answers={one.id: answers}))

    await lane.run(batch(one), WAKE_UP)
    if restarts:
        lane.dispatcher = FakeDispatcher(
            lookup_delays_ms=LOOKUP_DELAYS_MS, answers={one.id: answers}, status_of=lane.status
        )
    await lane.run(batch(Withdrawal("u1", NOW)))
    for _ in LOOKUP_DELAYS_MS:
        lane.now = lane.last.next_due or lane.now
        await lane.run(WAKE_UP, WAKE_UP)

    assert lane.status(one) == "withdrawn"
    assert lane.dispatcher.sent in ([one.id], [])
    assert [event.type for event in lane.events] == ["message_unknown", "message_failed"]


async def test_messages_of_a_paused_channel_are_sent_when_it_is_resumed() -> None:
    lane = DeliveryLane()

    await lane.run(batch(ChannelPaused(paused=True), message()), WAKE_UP)
    sent_in_the_pause = list(lane.dispatcher.sent)
    await lane.run(WAKE_UP)  # a restart does not end a pause
    sent_after_a_restart = list(lane.dispatcher.sent)
    await lane.run(batch(ChannelPaused(paused=False)), WAKE_UP)

    assert (sent_in_the_pause, sent_after_a_restart) == ([], [])
    assert lane.status(message()) == "delivered"


async def test_a_message_that_expires_during_a_pause_names_the_pause() -> None:
    lane = DeliveryLane()

    await lane.run(batch(ChannelPaused(paused=True), message()))
    lane.now = message().expires
    await lane.run(WAKE_UP)

    assert lane.outcomes() == [("message_failed", "expired: not handed over within its time; the channel is paused")]
