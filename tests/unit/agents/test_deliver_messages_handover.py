"""A partition that moves to another process while a call is in flight."""

from __future__ import annotations

from typing import Any

import pytest

from models.delivery.address_hashes import AddressHashes
from models.delivery.deliveries import HANDOVER_ANSWER_MS, HANDOVER_WAIT_MS, RETENTION_MS, Status
from models.delivery.messages import Message
from models.delivery.notices import Answer, InFlight, Withdrawal
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppressor import Suppressor
from models.units import SECOND
from tests.support.delivering import WAKE_UP, DeliveryLane, FakeDispatcher, batch, message
from tests.support.letters import NOW


def answer_to(message: Message, *, status: Status, attempt: int = 1, by: str = "dispatcher 1", **more: Any) -> Answer:
    """Make the report of the previous owner of the partition."""
    return Answer(message=message.id, channel="email", attempt=attempt, by=by, status=status, **more)  # type: ignore[arg-type]  # a status that is reported


@pytest.fixture
async def lane() -> DeliveryLane:
    """A lane whose partition comes from another process. That process still has a call in flight."""
    lane = DeliveryLane(FakeDispatcher(ends=False))
    await lane.run(batch(message()))
    lane.dispatcher = FakeDispatcher("dispatcher 2")
    return lane


async def test_the_answer_that_the_previous_owner_reports_is_the_outcome(lane: DeliveryLane) -> None:
    answer = answer_to(message(), status="delivered", provider_id="p7")

    await lane.run(WAKE_UP, lane.after(HANDOVER_WAIT_MS - 1), batch(answer), lane.after(HANDOVER_WAIT_MS))

    assert lane.status(message()) == "delivered"
    assert [event.type for event in lane.events] == ["message_sent"]
    assert lane.events[0].properties == {"rule": "win_back", "provider_id": "p7"}
    assert lane.dispatcher.sent == []


async def test_a_temporary_refusal_is_retried_by_the_new_owner(lane: DeliveryLane) -> None:
    answer = answer_to(message(), status="failed", retry_after=20.0)

    await lane.run(batch(answer), lane.after(20 * SECOND - 1))
    too_early = list(lane.dispatcher.sent)
    await lane.run(batch(answer), lane.after(1), WAKE_UP)

    assert too_early == []
    assert lane.dispatcher.sent == [message().id]
    assert lane.outcomes() == [("message_sent", None)]


@pytest.mark.parametrize(("attempt", "by"), [(2, "dispatcher 1"), (1, "dispatcher 0")])
async def test_a_report_about_another_attempt_has_no_effect(lane: DeliveryLane, attempt: int, by: str) -> None:
    answer = answer_to(message(), attempt=attempt, by=by, status="failed")

    await lane.run(batch(answer), lane.after(HANDOVER_WAIT_MS))

    assert lane.status(message()) == "unknown"


@pytest.mark.parametrize(
    ("status", "becomes", "reported"),
    [
        ("delivered", "delivered", ["message_sent"]),
        ("rejected", "rejected", ["message_failed"]),
        ("failed", "unknown", []),
    ],
)
async def test_a_report_that_comes_too_late_still_resolves_an_unknown_delivery_without_sending_again(
    lane: DeliveryLane, status: Status, becomes: str, reported: list[str]
) -> None:
    answer = answer_to(message(), status=status)

    await lane.run(lane.after(HANDOVER_WAIT_MS), batch(answer), lane.after(60 * SECOND))

    assert lane.status(message()) == becomes
    assert lane.dispatcher.sent == []
    assert [event.type for event in lane.events] == ["message_unknown", *reported]
    assert {event.user for event in lane.events} == {message().user}


async def test_a_bounce_that_is_reported_too_late_still_suppresses_its_address(lane: DeliveryLane) -> None:
    listed = SuppressionList(AddressHashes([b"a-secret-of-16-b"]))
    lane.dispatcher.suppressor = Suppressor("email", listed)
    answer = answer_to(message(), status="rejected", bounce="hard", code="550 5.1.1", to=message().to)

    await lane.run(lane.after(HANDOVER_WAIT_MS), batch(answer), batch(answer))

    assert [event.type for event in lane.events] == ["message_unknown", "message_failed"]
    assert lane.suppressed == ["bounce"]
    assert listed.stops("email", message().to, "transactional") is not None


async def test_the_new_owner_waits_for_a_call_that_is_reported_to_be_in_flight(lane: DeliveryLane) -> None:
    goes_on = InFlight(message().id, 1, "dispatcher 1")
    answer = answer_to(message(), status="delivered")

    await lane.run(batch(goes_on), lane.after(HANDOVER_WAIT_MS), lane.after(HANDOVER_ANSWER_MS - 2 * HANDOVER_WAIT_MS))
    meanwhile = lane.status(message())
    await lane.run(batch(goes_on, answer))

    assert (meanwhile, lane.status(message())) == ("attempted", "delivered")
    assert lane.outcomes() == [("message_sent", None)]


async def test_the_new_owner_does_not_wait_forever(lane: DeliveryLane) -> None:
    await lane.run(batch(InFlight(message().id, 1, "dispatcher 1")), lane.after(HANDOVER_ANSWER_MS))

    assert lane.status(message()) == "unknown"


async def test_an_unknown_delivery_is_forgotten_14_days_after_it_was_resolved(lane: DeliveryLane) -> None:
    answer = answer_to(message(), status="delivered")

    await lane.run(lane.after(HANDOVER_WAIT_MS), lane.after(RETENTION_MS - 1), batch(answer), lane.after(SECOND))
    remembered = lane.status(message())
    await lane.run(lane.after(RETENTION_MS))

    assert remembered == "delivered"
    assert message().id.encode() not in lane.state.records


async def test_a_process_that_made_the_call_itself_ignores_reports_about_it() -> None:
    lane = DeliveryLane(FakeDispatcher(ends=False))
    await lane.run(batch(message()))
    answer = answer_to(message(), status="failed")

    await lane.run(batch(answer))
    held = lane.status(message())
    lane.dispatcher.end_all()
    await lane.run(WAKE_UP)

    assert (held, lane.status(message())) == ("attempted", "delivered")


async def test_a_user_who_withdraws_meanwhile_gets_no_further_attempt(lane: DeliveryLane) -> None:
    answer = answer_to(message(), status="failed")

    await lane.run(batch(Withdrawal("u1", NOW)), batch(answer))

    assert lane.status(message()) == "withdrawn"
