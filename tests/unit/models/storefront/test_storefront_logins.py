"""Shoppers of the simulated shop who begin as anonymous visitors, fill a cart, and log in later."""

from __future__ import annotations

from collections import defaultdict

import pytest

from models.events import Event, encode_event
from models.storefront.storefront import ReceivedMessage, Storefront
from models.units import DAY

START = 1_767_571_200_000
SHARE = 0.5


def shop(logins: float = SHARE) -> Storefront:
    return Storefront(seed=5, shoppers=300, days=60, start_ms=START, logins=logins)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(shop().events())


def test_the_same_seed_gives_the_same_bytes(events: list[Event]) -> None:
    assert [encode_event(event) for event in events] == [encode_event(event) for event in shop().events()]


def test_all_other_shoppers_do_exactly_what_they_do_without_logins(events: list[Event]) -> None:
    storefront, alone = shop(), list(shop(logins=0.0).events())
    others = {shopper.user for shopper in storefront.shoppers if shopper.device is None}

    assert 0.4 < 1 - sum(user.startswith("shopper-") for user in others) / 264 < 0.6
    assert [event for event in events if event.user in others] == [event for event in alone if event.user in others]


def test_a_login_names_both_ids_and_the_traits(events: list[Event]) -> None:
    logins = [event for event in events if event.anonymous is not None]

    assert len(logins) > 90
    assert {event.type for event in logins} == {"identify"}
    for event in logins:
        number = event.user.removeprefix("shopper-")
        assert event.anonymous in {f"anonymous:visitor-{number}", f"anonymous:visitor-{number}-2"}
        assert event.traits is not None
        assert event.traits["email"].endswith(f".{int(number)}@shoppers.example")


def test_before_the_first_login_all_events_of_a_shopper_have_the_anonymous_id(events: list[Event]) -> None:
    logged_in: set[str] = set()
    shoppers = {shopper.user for shopper in shop().shoppers if shopper.device is not None}
    for event in events:
        if event.anonymous is not None:
            logged_in.add(event.user)
        elif event.user in shoppers:
            assert event.user in logged_in


def test_carts_are_filled_before_the_login_in_the_same_visit_or_in_an_earlier_one(events: list[Event]) -> None:
    filled: dict[str, int] = {}
    same_visit, later = 0, 0
    for event in events:
        if event.type == "cart_add":
            filled[event.user] = event.at
        elif event.type == "purchase":
            filled.pop(event.user, None)
        elif event.anonymous in filled:
            same_visit += event.at - filled[event.anonymous] < DAY // 24
            later += event.at - filled[event.anonymous] > DAY // 4

    assert same_visit > 20
    assert later > 5


def test_some_shoppers_come_logged_out_or_with_another_browser_and_log_in_again(events: list[Event]) -> None:
    browsers: dict[str, list[str]] = defaultdict(list)
    forwarded = 0
    for event in events:
        if event.anonymous is not None:
            browsers[event.user].append(event.anonymous)
        else:
            forwarded += any(event.user in known for known in browsers.values())

    assert any(len(names) > len(set(names)) for names in browsers.values())
    assert any(len(set(names)) == 2 for names in browsers.values())
    assert forwarded > 10


def test_an_id_of_a_visitor_belongs_to_the_shopper_and_so_does_its_truth() -> None:
    storefront = shop()
    for event in storefront.advance(START + 30 * DAY):
        if event.anonymous is not None:
            assert storefront.person(event.anonymous) == event.user
            assert storefront.kind_of(event.anonymous) == storefront.kind_of(event.user)
            visitor = storefront.truth().silence(event.anonymous, storefront.now, 14 * DAY)
            assert visitor == storefront.truth().silence(event.user, storefront.now, 14 * DAY)
            assert visitor is not None


def test_a_reaction_has_the_id_to_which_the_message_was_sent() -> None:
    storefront = shop()
    seen = {event.user for event in storefront.advance(START + 30 * DAY)}
    for user in sorted(seen):
        storefront.react(ReceivedMessage(id=f"m-{user}", user=user, channel="email", at=storefront.now))

    reactions = [event for event in storefront.advance(storefront.end) if event.message is not None]

    assert any(not event.identified for event in reactions)
    assert {(event.message, event.user) for event in reactions} <= {(f"m-{user}", user) for user in seen}
