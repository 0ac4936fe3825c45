"""Values of goals that are not the amount of an order, and conversions of two profiles of one person."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.journeys.definition import EventMatch, Goal
from models.engage.attribution import ReachedGoal, attribute, follow_order
from models.events import Event
from models.profile.conversions import MAX_CONVERSIONS, CountedConversion, joined_conversions
from models.profile.ledger import SentMessage
from models.profile.orders import WHOLE
from models.profile.state import KnownOrder
from models.units import DAY

EUR = 1_000_000
MESSAGE = SentMessage("m1", "trial/a", "email", "marketing", DAY)


def goal(value: str, *, is_repeated: bool = False) -> ReachedGoal:
    found = Goal(EventMatch("Subscribed"), 5 * DAY, value=value, is_repeated=is_repeated)
    return ReachedGoal("trial", False, "r1", "trial/", found)


def subscribed(**properties: Any) -> Event:
    return Event(id="e1", user="u1", type="custom", name="Subscribed", at=2 * DAY, properties=properties)


@pytest.mark.parametrize(
    ("value", "properties", "currency", "amount"),
    [
        ("margin", {"margin": 9.5, "currency": "USD"}, "USD", 9_500_000),
        ("seats", {"seats": 3}, "", 3 * EUR),
        ("seats", {"seats": "3"}, "", 0),
        ("seats", {"seats": 3, "currency": "a very long currency"}, "", 3 * EUR),
        ("", {"seats": 3}, "", 0),
    ],
)
def test_a_value_is_a_number_of_the_event_in_the_currency_that_it_states(
    value: str, properties: dict[str, Any], currency: str, amount: int
) -> None:
    found = attribute((), [MESSAGE], [goal(value)], subscribed(**properties), None, 2 * DAY)

    (credit,) = found.credits
    assert (credit.credited, credit.currency, credit.amount) == (1, currency, amount)
    assert sum(one.amount for one in found.values) == amount
    assert found.conversions == ()


def test_the_money_of_a_run_that_converts_often_is_squared_as_a_whole() -> None:
    known: tuple[CountedConversion, ...] = ()
    square = 0.0
    for _ in range(3):
        found = attribute(known, [], [goal("seats", is_repeated=True)], subscribed(seats=2), None, 2 * DAY)
        known, square = found.conversions, square + sum(one.square for one in found.values)

    assert square == 36.0


def test_another_value_of_an_order_is_reduced_by_the_refunded_share() -> None:
    order = KnownOrder(1, 40 * EUR, "EUR", known=WHOLE)
    event = Event(
        id="e1", user="u1", type="purchase", at=2 * DAY, order="o1", amount=40 * EUR, properties={"margin": 10}
    )
    found = attribute((), [MESSAGE], [goal("margin")], event, order, 2 * DAY)

    part = follow_order(found.conversions, "o1", KnownOrder(1, 40 * EUR, "EUR", 10 * EUR, WHOLE), 3 * DAY)
    again = follow_order(part.conversions, "o1", order, 3 * DAY)

    assert [one.amount for one in part.credits] == [-2_500_000]
    assert [(one.amount, one.credited) for one in again.credits] == [(2_500_000, 0)]
    assert follow_order(found.conversions, "o1", KnownOrder(1, claimed=5), 3 * DAY).credits == ()


def test_an_order_that_turns_out_to_be_in_another_currency_moves_its_money() -> None:
    known = (CountedConversion("trial", False, "r1", False, "o1", 9 * DAY, "EUR", EUR, rule="trial/a", channel="sms"),)

    found = follow_order(known, "o1", KnownOrder(1, 3 * EUR, "USD", known=WHOLE), DAY)

    assert [(one.currency, one.amount) for one in found.values] == [("EUR", -EUR), ("USD", 3 * EUR)]
    assert [(one.currency, one.amount) for one in found.credits] == [("EUR", -EUR), ("USD", 3 * EUR)]


def test_the_oldest_conversions_are_forgotten_and_keep_their_value() -> None:
    ones = [CountedConversion("trial", False, f"r{number}", False, f"o{number}", number) for number in range(40)]

    kept = joined_conversions(ones[20:], ones[:20])

    assert [one.run for one in kept] == [f"r{number}" for number in range(40 - MAX_CONVERSIONS, 40)]


def test_one_order_that_both_profiles_have_counted_follows_refunds_once() -> None:
    one = CountedConversion("trial", False, "r1", False, "o1", 20, "EUR", 5, rule="trial/a", channel="email")

    assert joined_conversions([one], [one]) == (one,)
