"""The simulated shop is deterministic, its events are sorted by time, and a message affects only its reader."""

from __future__ import annotations

from collections import defaultdict

import pytest

from models.events import Event, encode_event
from models.storefront.storefront import ReceivedMessage, Storefront
from models.units import DAY

START = 1_767_571_200_000


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(Storefront(seed=5, shoppers=300, days=60, start_ms=START).events())


def test_the_same_seed_gives_the_same_bytes(events: list[Event]) -> None:
    again = Storefront(seed=5, shoppers=300, days=60, start_ms=START).events()

    assert [encode_event(event) for event in events] == [encode_event(event) for event in again]


def test_another_seed_gives_another_shop(events: list[Event]) -> None:
    other = list(Storefront(seed=6, shoppers=300, days=60, start_ms=START).events())

    assert [event.at for event in events] != [event.at for event in other]


def test_small_steps_give_the_same_events_as_large_ones(events: list[Event]) -> None:
    storefront = Storefront(seed=5, shoppers=300, days=60, start_ms=START)

    stepped: list[Event] = []
    while storefront.now < storefront.end:
        stepped += storefront.advance(storefront.now + DAY // 7)

    assert stepped == events


def test_events_are_in_time_order_with_different_ids(events: list[Event]) -> None:
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert len({event.id for event in events}) == len(events)


def test_every_type_of_event_of_a_shop_occurs(events: list[Event]) -> None:
    assert {event.type for event in events} == {
        "page_view", "product_view", "click", "cart_add", "cart_remove", "purchase", "refund", "rating",
        "support_message", "identify", "consent",
    }  # fmt: skip


def test_consent_is_given_and_withdrawn(events: list[Event]) -> None:
    assert {event.granted for event in events if event.type == "consent"} == {True, False}


def test_some_carts_are_left_behind(events: list[Event]) -> None:
    open_carts: dict[str, set[str | None]] = defaultdict(set)
    for event in events:
        if event.type == "cart_add":
            open_carts[event.user].add(event.item)
        elif event.type == "purchase":
            open_carts.pop(event.user, None)

    assert len(open_carts) > 20


def test_anonymous_shoppers_are_never_identified(events: list[Event]) -> None:
    anonymous = {event.user for event in events if not event.identified}

    assert len(anonymous) > 15
    assert not [event for event in events if event.user in anonymous and event.type == "identify"]


def test_the_amount_of_an_order_is_the_sum_of_its_lines(events: list[Event]) -> None:
    orders = [event for event in events if event.type == "purchase"]

    assert orders
    assert all(order.amount == sum(line.price * line.quantity for line in order.lines) for order in orders)


def test_every_event_is_of_origin_simulate(events: list[Event]) -> None:
    assert {event.origin for event in events} == {"simulate"}


def _halfway() -> tuple[Storefront, list[str]]:
    storefront = Storefront(seed=5, shoppers=300, days=60, start_ms=START)
    users = sorted({event.user for event in storefront.advance(START + 30 * DAY) if event.identified})
    return storefront, users


def test_reactions_to_messages_are_in_the_future() -> None:
    storefront, users = _halfway()
    now = storefront.now

    for user in users:
        storefront.react(ReceivedMessage(id=f"m-{user}", user=user, channel="email", at=now - DAY))
    reactions = [event for event in storefront.advance(storefront.end) if event.message is not None]

    assert {event.type for event in reactions} == {"message_opened", "message_clicked", "consent"}
    assert all(event.at > now for event in reactions)


def test_a_message_affects_only_its_reader() -> None:
    storefront, users = _halfway()
    undisturbed, _ = _halfway()
    probe, _ = _halfway()
    for user in users:
        probe.react(ReceivedMessage(id=f"m-{user}", user=user, channel="email", at=probe.now))
    reader = next(event.user for event in probe.advance(probe.end) if event.type == "message_clicked")

    storefront.react(ReceivedMessage(id=f"m-{reader}", user=reader, channel="email", at=storefront.now))
    events, others = storefront.advance(storefront.end), undisturbed.advance(undisturbed.end)

    assert [event for event in events if event.user == reader] != [event for event in others if event.user == reader]
    assert [event for event in events if event.user != reader] == [event for event in others if event.user != reader]


def test_a_shopper_who_clicks_visits_the_shop_immediately() -> None:
    storefront, users = _halfway()
    for user in users:
        storefront.react(ReceivedMessage(id=f"m-{user}", user=user, channel="email", at=storefront.now))
    later = storefront.advance(storefront.end)
    clicked = {event.user: event.at for event in later if event.type == "message_clicked"}

    back = {
        event.user
        for event in later
        if event.type == "page_view" and event.user in clicked and 0 < event.at - clicked[event.user] < 3_600_000
    }

    assert back == set(clicked)


def test_a_message_to_a_stranger_changes_nothing() -> None:
    storefront, _ = _halfway()
    undisturbed, _ = _halfway()

    storefront.react(ReceivedMessage(id="m", user="nobody", channel="email", at=storefront.now))

    assert storefront.advance(storefront.end) == undisturbed.advance(undisturbed.end)
