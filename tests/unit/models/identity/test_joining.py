"""The joint profile equals that of a fold that has known the user's id from the start."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events import Event, OrderLine
from models.profile.state import Facts
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.facts import assert_same
from tests.support.persons import Persons

VISITOR, USER = "anonymous:a1", "u1"
KINDS = ("page_view", "product_view", "click", "cart_add", "cart_remove", "purchase", "refund", "rating", "custom")


class PersonDeed(NamedTuple):
    """One thing that a person does, some time after the one before."""

    gap: int
    kind: str
    item: int
    as_visitor: bool


DEEDS = st.builds(
    PersonDeed,
    gap=st.sampled_from([0, 1, 1_000, 5 * MINUTE, 29 * MINUTE, 31 * MINUTE, 3 * HOUR, DAY]),
    kind=st.sampled_from([*KINDS, "consent", "traits"]),
    item=st.integers(0, 4),
    as_visitor=st.booleans(),
)


def made(deed: PersonDeed, number: int, at: int, user: str) -> Event:
    """Make the event of a deed."""
    common: dict[str, Any] = {"id": f"m{number}", "user": user, "at": at}
    item, price = f"sku{deed.item}", (deed.item + 1) * 500_000
    if deed.kind in ("purchase", "refund"):
        common |= {"order": f"o{number}", "amount": price, "lines": (OrderLine(item, 1, price, "c1"),)}
        return Event(type=deed.kind, **common)  # type: ignore[arg-type]
    if deed.kind == "consent":
        return Event(type="consent", granted=deed.item % 2 == 0, channel="email", **common)
    if deed.kind == "traits":
        return Event(type="identify", traits={f"t{deed.item % 3}": number}, **common)
    if deed.kind == "rating":
        return Event(type="rating", item=item, rating=float(deed.item + 1), **common)
    if deed.kind == "custom":
        return Event(type="custom", name="Thing", **common)
    category = f"c{deed.item}"
    return Event(type=deed.kind, item=item, category=category, amount=price, **common)  # type: ignore[arg-type]


def same(one: Facts, other: Facts) -> None:
    """Assert that facts are equal; the statements that are remembered may have another order."""
    for facts in (one, other):
        facts.stated = b"".join(sorted(facts.stated[place : place + 8] for place in range(0, len(facts.stated), 8)))
    assert_same(one, other)


def folded(deeds: list[PersonDeed], login: int, *, apart: bool) -> Facts:
    """Fold what a person does, with the login before the deed of this number; return the facts about the user.

    Parameters
    ----------
    deeds, login
        The deeds, and the number of the deed that comes after the login.
    apart
        Whether some deeds come under the visitor's id; otherwise all of them come under the user's id.
    """
    persons, at = Persons(3), START
    for number, deed in enumerate(deeds):
        at += deed.gap
        if number == login:
            persons.tell(Event(id="login", user=USER, type="identify", at=at, anonymous=VISITOR if apart else None))
            persons.settle()
        is_visitor = apart and (deed.as_visitor if number >= login else True)
        persons.tell(made(deed, number, at, VISITOR if is_visitor else USER))
        persons.settle()
    return persons.user(USER).facts


@settings(max_examples=80, deadline=None)
@given(deeds=st.lists(DEEDS, min_size=1, max_size=25), share=st.floats(0, 1))
def test_a_new_user_is_as_if_the_visitor_had_been_known_from_the_start(deeds: list[PersonDeed], share: float) -> None:
    login = min(int(share * len(deeds)), len(deeds) - 1)

    same(folded(deeds, login, apart=True), folded(deeds, login, apart=False))


def history(deeds: list[PersonDeed], login: int, *, apart: bool) -> Persons:
    """Fold a history in which the user has done some things before the visitor came; return the log."""
    persons, at = Persons(3), START
    for number, deed in enumerate(deeds):
        at += deed.gap
        if number == login:
            persons.tell(Event(id="login", user=USER, type="identify", at=at, anonymous=VISITOR if apart else None))
        persons.tell(made(deed, number, at, VISITOR if apart and deed.as_visitor and number < login else USER))
        persons.settle()
    return persons


@settings(max_examples=80, deadline=None)
@given(deeds=st.lists(DEEDS, min_size=1, max_size=25), share=st.floats(0, 1))
def test_counts_and_money_are_exact_however_the_two_histories_are_interleaved(
    deeds: list[PersonDeed], share: float
) -> None:
    login = min(int(share * len(deeds)), len(deeds) - 1)
    one, other = (history(deeds, login, apart=apart).user(USER).facts for apart in (True, False))

    same(with_same_order(one, other), other)


def with_same_order(facts: Facts, reference: Facts) -> Facts:
    """Replace the facts of which ``docs/identity.md`` says that interleaved histories may differ in them."""
    for name in ("sessions", "session_at", "gap", "cart", "cart_at"):
        setattr(facts, name, getattr(reference, name))
    return facts


@settings(max_examples=80, deadline=None)
@given(deeds=st.lists(DEEDS, min_size=1, max_size=25), share=st.floats(0, 1))
def test_within_the_reordering_window_nothing_depends_on_how_the_histories_are_interleaved(
    deeds: list[PersonDeed], share: float
) -> None:
    # Within one millisecond, the order of what happens under two ids is not known.
    near = [deed._replace(gap=max(deed.gap % (2 * MINUTE), 1)) for deed in deeds]
    login = min(int(share * len(near)), len(near) - 1)

    same(*(history(near, login, apart=apart).user(USER).facts for apart in (True, False)))


CART_DEEDS = st.builds(
    PersonDeed,
    gap=st.sampled_from([0, 0, 0, 1, MINUTE]),
    kind=st.sampled_from(["cart_add", "cart_add", "cart_remove", "purchase"]),
    item=st.integers(0, 1),
    as_visitor=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(deeds=st.lists(CART_DEEDS, min_size=1, max_size=12))
def test_of_changes_of_a_cart_in_one_millisecond_those_of_the_known_user_come_first(deeds: list[PersonDeed]) -> None:
    apart, together, at, timed = Persons(3), Persons(3), START, list[tuple[int, bool, int]]()
    for number, deed in enumerate(deeds):
        at += deed.gap
        timed.append((at, deed.as_visitor, number))
        apart.tell(made(deed, number, at, VISITOR if deed.as_visitor else USER))
    apart.tell(Event(id="login", user=USER, type="identify", at=at, anonymous=VISITOR))
    apart.settle()
    for moment, _, number in sorted(timed):
        together.tell(made(deeds[number], number, moment, USER))
    together.tell(Event(id="login", user=USER, type="identify", at=at))

    one, other = apart.user(USER).facts, together.user(USER).facts
    assert (one.cart, one.cart_at) == (other.cart, other.cart_at)


def test_an_order_that_both_profiles_know_counts_once() -> None:
    persons = Persons(3)
    common: dict[str, Any] = {"type": "purchase", "order": "o1", "order_form": "whole", "amount": 7_000_000}
    persons.tell(Event(id="m1", user=VISITOR, at=START, **common), Event(id="m2", user=USER, at=START + 9, **common))
    persons.tell(Event(id="m3", user=USER, type="identify", at=START + 99, anonymous=VISITOR))
    persons.settle()

    facts = persons.user(USER).facts
    assert (facts.orders, facts.spent) == (1, {"USD": 7_000_000})


def test_a_cart_that_was_bought_is_empty_even_if_the_merge_record_comes_hours_after_the_purchase() -> None:
    persons = Persons(3)
    persons.tell(
        Event(id="m1", user=VISITOR, type="cart_add", at=START, item="sku1", amount=1_000_000),
        Event(id="m2", user=USER, type="identify", at=START + 1, anonymous=VISITOR),
        Event(id="m3", user=USER, type="purchase", at=START + 2, amount=1_000_000),
    )
    persons.route()
    persons.fold()  # the visitor's profile has answered, and the answer is late
    persons.tell(Event(id="m4", user=USER, type="cart_add", at=START + 3 * HOUR, item="sku2", amount=1_000_000))
    persons.settle()

    assert list(persons.user(USER).facts.cart) == ["sku2"]


def test_a_withdrawal_of_either_profile_holds_until_a_later_grant() -> None:
    for granted, withdrawn in ((VISITOR, USER), (USER, VISITOR)):
        for first in (granted, withdrawn):
            persons = Persons(3)
            at = START
            for user in (first, withdrawn if first == granted else granted):
                at += 1_000
                yes = user == granted
                persons.tell(Event(id=f"{user}-c", user=user, type="consent", at=at, granted=yes, channel="email"))
            persons.tell(Event(id="m3", user=USER, type="identify", at=at + 1, anonymous=VISITOR))
            persons.settle()

            assert persons.user(USER).facts.consent["email"].granted == (first == withdrawn)


def test_an_address_of_the_known_user_is_never_replaced() -> None:
    persons = Persons(3)
    persons.tell(
        Event(id="m1", user=USER, type="identify", at=START, traits={"email": "ada@example.org", "plan": "free"}),
        Event(id="m2", user=VISITOR, type="identify", at=START + 9, traits={"email": "eve@example.org", "plan": "pro"}),
        Event(id="m3", user=USER, type="identify", at=START + 99, anonymous=VISITOR),
    )
    persons.settle()

    assert persons.user(USER).facts.traits == {"email": "ada@example.org", "plan": "pro"}


@pytest.mark.parametrize("count", [9_000])
def test_a_visitor_with_more_ids_than_are_kept_is_merged_within_the_limits(count: int) -> None:
    persons = Persons(3)
    persons.tell(
        *(
            Event(id=f"m{number}", user=VISITOR, type="click", at=START + number, item="sku1")
            for number in range(count)
        ),
        *(Event(id=f"k{number}", user=USER, type="click", at=START + number, item="sku1") for number in range(200)),
        Event(id="login", user=USER, type="identify", at=START + count, anonymous=VISITOR),
    )
    persons.settle()

    facts = persons.user(USER).facts
    assert facts.events["click"] == count + 200
    assert len(facts.seen_ids) <= 8_192
    assert persons.counts["ids_forgotten",] > 0
