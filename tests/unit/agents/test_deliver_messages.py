"""No message is sent twice, and none is lost, at whatever moment the process dies."""

from __future__ import annotations

import msgspec
import pytest

from models.batch import Restored
from models.delivery.deliveries import HANDOVER_WAIT_MS, RETENTION_MS, RETRY_FOR_MS, Result
from models.delivery.messages import encode_message
from models.delivery.open_messages import MAX_OPEN
from models.units import SECOND
from tests.support.delivering import CLOSING, RETRY_LATER, WAKE_UP, DeliveryLane, FakeDispatcher, batch, message
from tests.support.letters import NOW


async def test_a_message_is_attempted_then_sent_and_its_outcome_is_an_event_of_its_user() -> None:
    lane = DeliveryLane()

    await lane.run(batch(message()), WAKE_UP)

    assert lane.dispatcher.sent == [message().id]
    assert lane.status(message()) == "delivered"
    assert [(event.type, event.user, event.message, event.origin) for event in lane.events] == [
        ("message_sent", "u1", message().id, "live")
    ]
    assert lane.events[0].properties == {"rule": "win_back", "provider_id": "p1"}
    assert lane.counts == {("deliveries", "email", "sent"): 1}


async def test_the_state_of_a_finished_message_contains_no_personal_data() -> None:
    lane = DeliveryLane()

    await lane.run(batch(message()), WAKE_UP)

    assert lane.state.records[message().id.encode()] == b'{"status":"delivered","changed":%d}' % NOW


async def test_a_message_that_comes_again_within_14_days_is_not_sent_again() -> None:
    lane = DeliveryLane()

    await lane.run(batch(message(), message()), batch(message()), WAKE_UP)
    lane.now += RETENTION_MS - 1
    await lane.run(batch(message(expires=lane.now + 1)))

    assert lane.dispatcher.sent == [message().id]
    assert lane.counts["deliveries", "email", "duplicate"] == 3


async def test_an_id_is_forgotten_after_14_days() -> None:
    lane = DeliveryLane()
    await lane.run(batch(message(0)), WAKE_UP)
    due = lane.last.next_due
    lane.now += RETENTION_MS

    await lane.run(WAKE_UP)

    assert due == NOW + RETENTION_MS
    assert lane.state.records == {}


@pytest.mark.parametrize("dies", [1, 2, 3, 4, 5])
async def test_nothing_is_sent_twice_and_nothing_is_forgotten_whenever_the_process_dies(dies: int) -> None:
    lane = DeliveryLane(FakeDispatcher(slots=2))
    messages = [message(i) for i in range(5)]

    await lane.run(batch(*messages), WAKE_UP, WAKE_UP, WAKE_UP, dies_before_commit=dies)
    lane.dispatcher = FakeDispatcher("dispatcher 2", slots=2, status_of=lane.status, made=lane.dispatcher.made)
    # The first commit also stores the position. So only after a death before this commit, the same batch is read again.
    reread = batch(*messages) if dies == 1 else batch(message(9))
    await lane.run(reread, WAKE_UP, WAKE_UP, WAKE_UP, WAKE_UP, lane.after(HANDOVER_WAIT_MS), WAKE_UP)

    assert len(lane.dispatcher.sent) == len(set(lane.dispatcher.sent))
    types = {event.message: event.type for event in lane.events}
    assert {one.id for one in messages} <= set(types)
    lost_results = [one.id for one in messages if types[one.id] == "message_unknown"]
    assert len(lost_results) <= 2  # the attempts that were in flight
    assert set(lane.dispatcher.sent) | set(lost_results) >= {one.id for one in messages}


async def test_an_attempt_of_a_process_that_ended_is_unknown_and_is_never_made_again() -> None:
    lane = DeliveryLane(FakeDispatcher(ends=False))

    await lane.run(batch(message()))
    lane.dispatcher = FakeDispatcher("dispatcher 2", made=lane.dispatcher.made)
    await lane.run(WAKE_UP)
    at_first, due = lane.status(message()), lane.last.next_due
    await lane.run(WAKE_UP, lane.after(HANDOVER_WAIT_MS))

    assert (at_first, due) == ("attempted", NOW + HANDOVER_WAIT_MS)
    assert lane.dispatcher.sent == [message().id]
    assert lane.status(message()) == "unknown"
    assert lane.outcomes() == [("message_unknown", "unknown: the process ended between attempt and result")]


async def test_an_answer_that_arrives_while_the_lane_restarts_counts() -> None:
    lane = DeliveryLane(FakeDispatcher(ends=False))

    await lane.run(batch(message()))
    left = list(lane.dispatcher.left)
    lane.dispatcher.end_all()
    await lane.run(WAKE_UP)

    assert [call.message.id for call in left] == [message().id]
    assert lane.status(message()) == "delivered"
    assert lane.dispatcher.sent == [message().id]


async def test_an_attempt_of_this_process_that_was_never_begun_is_made_again() -> None:
    lane = DeliveryLane()

    await lane.run(batch(message()), dies_before_effects=1)
    attempted, sent = lane.status(message()), list(lane.dispatcher.sent)
    await lane.run(WAKE_UP)
    lane.now += SECOND
    await lane.run(WAKE_UP, WAKE_UP)

    assert (attempted, sent) == ("attempted", [])
    assert lane.dispatcher.sent == [message().id]
    assert lane.status(message()) == "delivered"


async def test_a_temporary_refusal_is_retried_when_its_timer_is_due_even_after_a_restart() -> None:
    lane = DeliveryLane(FakeDispatcher(answers={message().id: [RETRY_LATER, RETRY_LATER]}))

    await lane.run(batch(message()), WAKE_UP)
    first_due = lane.last.next_due or 0
    await lane.run(WAKE_UP)
    sent_too_early = len(lane.dispatcher.sent)
    lane.now = first_due
    await lane.run(WAKE_UP, WAKE_UP)
    second_due = lane.last.next_due or 0
    lane.now = second_due
    await lane.run(WAKE_UP, WAKE_UP)

    assert sent_too_early == 1
    assert SECOND // 2 <= first_due - NOW < SECOND <= second_due - first_due < 2 * SECOND
    assert len(lane.dispatcher.sent) == 3
    assert lane.outcomes() == [("message_sent", None)]
    assert lane.counts == {("delivery_retries", "email"): 2, ("deliveries", "email", "sent"): 1}


async def test_the_provider_decides_how_long_to_wait() -> None:
    lane = DeliveryLane(FakeDispatcher(answers={message().id: [Result("failed", "429", retry_after=20.0)]}))

    await lane.run(batch(message()), WAKE_UP)

    assert lane.last.next_due == NOW + 20 * SECOND


async def test_retries_end_when_the_message_expires_and_the_last_failure_is_reported() -> None:
    lane = DeliveryLane(FakeDispatcher(answers={message().id: [RETRY_LATER] * 100}))
    await lane.run(batch(message()), WAKE_UP)
    while lane.status(message()) == "queued":
        lane.now = lane.last.next_due or 0
        await lane.run(WAKE_UP, WAKE_UP)

    attempts = len(lane.dispatcher.sent)
    assert lane.now == message().expires
    assert 5 <= attempts <= 8
    assert lane.status(message()) == "expired"
    reason = f"expired: not handed over within its time; attempts: {attempts}, the last: 451 later"
    assert lane.outcomes() == [("message_failed", reason)]


async def test_a_message_that_is_not_live_is_retried_for_a_day() -> None:
    one = message(origin="simulate")
    lane = DeliveryLane(FakeDispatcher(answers={one.id: [RETRY_LATER] * 1_000}), now=NOW + 10**9)
    await lane.run(batch(one), WAKE_UP)

    lane.now += RETRY_FOR_MS
    await lane.run(WAKE_UP)

    assert lane.status(one) == "expired"


async def test_a_failure_for_one_recipient_affects_no_other() -> None:
    answers = {
        message(1).id: [Result("unknown", "RuntimeError: boom")],
        message(2).id: [Result("rejected", "550 no such user")],
        message(3).id: [RETRY_LATER],
    }
    lane = DeliveryLane(FakeDispatcher(answers=answers))

    await lane.run(batch(*(message(i) for i in range(5))), WAKE_UP)

    assert [lane.status(message(i)) for i in range(5)] == ["delivered", "unknown", "rejected", "queued", "delivered"]
    reasons = {event.message: (event.type, event.reason) for event in lane.events}
    assert reasons[message(1).id] == ("message_unknown", "unknown: RuntimeError: boom")
    assert reasons[message(2).id] == ("message_failed", "rejected: 550 no such user")


async def test_a_call_that_hangs_delays_no_other_message() -> None:
    lane = DeliveryLane(FakeDispatcher(ends=False))

    async for outputs in lane.steps(batch(message(0)), batch(message(1)), WAKE_UP):
        lane.commit(outputs)
        lane.begin(outputs)
        lane.dispatcher.ends = bool(lane.dispatcher.sent)  # the first call hangs; the calls after it are answered

    assert [lane.status(message(i)) for i in range(2)] == ["attempted", "delivered"]


async def test_no_more_attempts_begin_than_there_are_slots() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=2, ends=False))

    await lane.run(batch(*(message(i) for i in range(5))))

    assert [lane.status(message(i)) for i in range(5)] == ["attempted"] * 2 + ["queued"] * 3
    assert lane.last.next_due == NOW + SECOND  # the lane asks again if it is not woken earlier


async def test_messages_wait_while_the_provider_is_not_called_and_none_is_lost() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=0, waits_until=NOW + 5 * SECOND))

    await lane.run(batch(message()))
    due, waiting = lane.last.next_due, lane.dispatcher.waiting
    lane.dispatcher.slots, lane.now = 1, NOW + 5 * SECOND
    await lane.run(WAKE_UP, WAKE_UP)

    assert (due, waiting) == (NOW + 5 * SECOND, 1)
    assert lane.status(message()) == "delivered"


async def test_a_lane_with_too_many_messages_asks_for_no_more() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=0))
    many = [message(i) for i in range(MAX_OPEN)]

    await lane.run(batch(*many[1:]))
    enough = lane.last.full
    await lane.run(batch(many[0]))

    assert (enough, lane.last.full) == (False, True)
    lane.dispatcher.slots = 10
    await lane.run(WAKE_UP, WAKE_UP)
    assert not lane.last.full


async def test_a_partition_that_may_soon_move_reports_results_and_begins_nothing() -> None:
    lane = DeliveryLane(FakeDispatcher(slots=1))

    await lane.run(batch(message(0), message(1)), CLOSING)

    assert [lane.status(message(i)) for i in range(2)] == ["delivered", "queued"]


async def test_an_expired_message_is_not_sent() -> None:
    lane = DeliveryLane(now=message().expires)

    await lane.run(batch(message()))

    assert lane.dispatcher.sent == []
    assert lane.status(message()) == "expired"
    assert [event.type for event in lane.events] == ["message_failed"]


async def test_a_replayed_message_does_not_expire_by_the_wall_clock() -> None:
    lane = DeliveryLane(now=NOW + 10**12)

    await lane.run(batch(message(origin="replay")), WAKE_UP)

    assert lane.dispatcher.sent == [message().id]
    assert [(event.at, event.origin) for event in lane.events] == [(NOW, "replay")]


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff garbage",
        b"{}",
        b'{"notice":"hold"}',
        encode_message(message(channel="sms")),
        encode_message(message()).replace(message().id.encode(), b"../../../etc/cron.d/0000000000000"),
    ],
)
async def test_a_record_that_is_not_a_message_of_this_channel_is_rejected_and_affects_no_other(bad: bytes) -> None:
    lane = DeliveryLane()

    await lane.run(batch(bad, message()), WAKE_UP)

    assert lane.dispatcher.sent == [message().id]
    assert len(lane.rejected) == 1


async def test_control_records_of_the_lane_are_not_deliveries() -> None:
    lane = DeliveryLane(state=Restored(records={b"\x00position": b"\x01\x02"}))

    await lane.run(batch(message()), WAKE_UP)

    assert lane.status(message()) == "delivered"


async def test_state_of_a_release_without_retries_is_read() -> None:
    old = msgspec.json.encode({"status": "queued", "changed": NOW, "message": msgspec.to_builtins(message())})
    lane = DeliveryLane(state=Restored(records={message().id.encode(): old}))

    await lane.run(WAKE_UP, WAKE_UP)

    assert lane.status(message()) == "delivered"
