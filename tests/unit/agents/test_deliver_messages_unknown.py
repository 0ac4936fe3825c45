"""Messages with an unknown outcome are looked up. They are sent again only if that is safe."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from models.delivery.deliveries import LOOKUP_DELAYS_MS, RETENTION_MS, Result
from models.delivery.notices import Resolution
from tests.support.delivering import WAKE_UP, DeliveryLane, FakeDispatcher, batch, message
from tests.support.letters import NOW


async def test_an_attempt_with_an_unknown_outcome_is_looked_up_and_found() -> None:
    answers = [Result("unknown", "no answer"), Result("delivered", "found", "SM1")]
    lane = DeliveryLane(FakeDispatcher(lookup_delays_ms=LOOKUP_DELAYS_MS, answers={message().id: answers}))

    await lane.run(batch(message()), WAKE_UP)
    status, due = lane.status(message()), lane.last.next_due
    lane.now = due or 0
    await lane.run(WAKE_UP, WAKE_UP)

    assert (status, due) == ("unknown", NOW + LOOKUP_DELAYS_MS[0])
    assert lane.dispatcher.made == [(message().id, False), (message().id, True)]
    assert lane.status(message()) == "delivered"
    assert [event.type for event in lane.events] == ["message_unknown", "message_sent"]
    assert lane.counts == {("deliveries", "email", "unknown"): 1, ("deliveries", "email", "resolved"): 1}


async def test_a_message_that_is_never_found_stays_unknown_and_is_not_sent_again() -> None:
    answers = [Result("unknown", "no answer")] + [Result("failed", "not there")] * 10
    lane = DeliveryLane(FakeDispatcher(lookup_delays_ms=LOOKUP_DELAYS_MS, answers={message().id: answers}))

    await lane.run(batch(message(expires=NOW + 10 * RETENTION_MS)), WAKE_UP)
    for _ in range(6):
        lane.now = min(lane.last.next_due or lane.now, NOW + RETENTION_MS - 1)
        await lane.run(WAKE_UP, WAKE_UP)

    assert [looks_up for _, looks_up in lane.dispatcher.made] == [False, True, True, True]
    assert lane.state.records[message().id.encode()].startswith(b'{"status":"unknown","changed":')
    assert b"message" not in lane.state.records[message().id.encode()]


async def test_an_error_of_the_provider_is_retried_when_the_last_lookup_has_not_found_the_message() -> None:
    answers = [Result("unknown", "500", answered=True)] + [Result("failed", "not there")] * 3
    lane = DeliveryLane(FakeDispatcher(lookup_delays_ms=LOOKUP_DELAYS_MS, answers={message().id: answers}))

    await lane.run(batch(message(expires=NOW + RETENTION_MS)), WAKE_UP)
    while lane.status(message()) != "delivered":
        lane.now = lane.last.next_due or 0
        await lane.run(WAKE_UP, WAKE_UP)

    assert [looks_up for _, looks_up in lane.dispatcher.made] == [False, True, True, True, False]
    assert [event.type for event in lane.events] == ["message_unknown", "message_sent"]


@pytest.mark.parametrize("lookup_delays_ms", [(), LOOKUP_DELAYS_MS])
async def test_a_report_of_the_provider_resolves_an_unknown_outcome(lookup_delays_ms: Sequence[int]) -> None:
    lane = DeliveryLane(
        FakeDispatcher(lookup_delays_ms=lookup_delays_ms, answers={message().id: [Result("unknown", "no answer")]})
    )

    await lane.run(batch(message()), WAKE_UP, batch(Resolution(message().id, "email", "delivered")))
    lane.now += LOOKUP_DELAYS_MS[-1]
    await lane.run(WAKE_UP, WAKE_UP)

    assert lane.status(message()) == "delivered"
    assert len(lane.dispatcher.made) == 1
    assert lane.counts["deliveries", "email", "resolved"] == 1


async def test_a_report_about_a_known_outcome_changes_nothing() -> None:
    lane = DeliveryLane()

    await lane.run(batch(message()), WAKE_UP, batch(Resolution(message().id, "email", "rejected")))

    assert lane.status(message()) == "delivered"
