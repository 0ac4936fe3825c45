"""A visitor logs in: their profile moves to the known user, in another partition, exactly once."""

from __future__ import annotations

from typing import Any

import pytest

from models.events import Event, OrderLine
from models.profile.links import IdentityLink
from models.units import HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.persons import Persons

VISITOR, USER = "anonymous:a1", "u1"


def event(number: int, user: str, type_: Any, at: int, **more: Any) -> Event:
    return Event(id=f"m{number}", user=user, type=type_, at=START + at, **more)


def login(number: int, at: int, user: str = USER, **more: Any) -> Event:
    return event(number, user, "identify", at, anonymous=VISITOR, traits={"email": "ada@example.org"}, **more)


def apart() -> Persons:
    """Return a log in which visitor and user have different partitions."""
    persons = Persons(3)
    assert persons.partition_of(VISITOR) != persons.partition_of(USER)
    return persons


def test_what_a_visitor_did_counts_for_the_user_after_the_login() -> None:
    persons = apart()
    persons.tell(
        event(1, VISITOR, "product_view", 0, item="sku1", category="shoes"),
        event(2, VISITOR, "cart_add", 1_000, item="sku1", amount=5_000_000),
        login(3, 2_000),
    )
    persons.settle()

    facts = persons.user(USER).facts
    assert facts.events == {"identify": 1, "product_view": 1, "cart_add": 1}
    assert (facts.first_seen, facts.last_seen, facts.sessions) == (START, START + 1_000, 1)
    assert list(facts.cart) == ["sku1"]
    assert [recent.item for recent in facts.recent] == ["sku1", "sku1"]


def test_the_visitors_profile_keeps_its_owner_and_nothing_else() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"), login(2, 2_000))
    persons.settle()

    visitor = persons.user(VISITOR)
    assert visitor.identity is not None
    assert visitor.identity.owner is not None
    assert visitor.identity.owner.user == USER
    assert (visitor.facts.events, visitor.facts.sessions, len(visitor.facts.seen_ids)) == ({}, 0, 1)
    persons.pass_time(50 * HOUR)
    assert (len(persons.user(VISITOR).facts.seen_ids), persons.user(VISITOR).ledger.timers) == (0, [])


@pytest.mark.parametrize("repeats", [False, True])
def test_later_events_of_the_visitor_are_forwarded_once(repeats: bool) -> None:
    persons = Persons(3, repeats=repeats)
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"), login(2, 2_000))
    persons.settle()
    late = event(3, VISITOR, "click", 3_000, item="sku2")
    persons.tell(late, late, event(4, USER, "click", 4_000, item="sku3"))
    persons.settle()
    persons.tell(late)
    persons.settle()

    assert persons.user(USER).facts.events == {"identify": 1, "click": 3}
    assert persons.user(VISITOR).facts.events == {}
    assert persons.counts["identity_records", "forwarded"] == 1


def alias(number: int, at: int) -> Event:
    return event(number, USER, "custom", at, name="Alias", anonymous=VISITOR, properties={"previousId": "a1"})


@pytest.mark.parametrize("repeats", [False, True])
def test_an_identify_and_an_alias_at_the_same_time_are_one_merge(repeats: bool) -> None:
    persons = Persons(3, repeats=repeats)
    persons.tell(event(1, VISITOR, "product_view", 0, item="sku1"), event(2, VISITOR, "click", 1_000, item="sku1"))
    persons.tell(login(3, 2_000), alias(4, 2_001))
    persons.settle()

    assert persons.user(USER).facts.events == {"identify": 1, "custom": 1, "product_view": 1, "click": 1}
    assert persons.counts["identity_records", "merged"] == 1


def test_a_later_answer_without_content_does_not_hide_the_merge() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"), login(2, 2_000))
    persons.settle()
    merged = link_of(persons, USER)
    persons.tell(login(3, 3_000, user="u2"))
    persons.settle()
    persons.tell(event(4, VISITOR, "click", 4_000, item="sku2"), alias(5, 5_000))
    persons.settle()

    found = link_of(persons, USER)
    assert (found.merge, found.merged_at, found.outcome, found.events) == (merged.merge, START + 2_000, "merged", 1)
    assert found.number == 1, "numbers go on after those that the other user got"


def link_of(persons: Persons, user: str) -> IdentityLink:
    identity = persons.user(user).identity
    assert identity is not None
    return identity.links[VISITOR]


def test_an_event_that_was_read_before_the_login_is_a_repeat_for_the_user_too() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"), login(2, 2_000))
    persons.settle()
    persons.tell(event(1, USER, "click", 0, item="sku1"))

    assert persons.user(USER).facts.events == {"identify": 1, "click": 1}


def test_at_the_first_level_nothing_is_linked() -> None:
    persons = Persons(3, level=1)
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"), login(2, 2_000))

    assert persons.route() == 0
    assert persons.user(USER).identity is None
    assert persons.user(USER).facts.events == {"identify": 1}


def test_any_event_with_both_ids_links_them_but_only_the_first_one_and_logins_cause_a_notice() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"))
    persons.tell(*(event(number, USER, "click", number, item="sku1", anonymous=VISITOR) for number in range(2, 6)))

    assert persons.route() == 1
    persons.settle()
    assert persons.user(USER).facts.events == {"click": 5}
    persons.tell(event(9, USER, "click", 9_000, item="sku1", anonymous=VISITOR))
    assert persons.route() == 0


def test_a_visitor_who_logs_in_as_another_user_belongs_to_the_newer_one() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"), login(2, 1_000))
    persons.settle()
    persons.tell(login(3, 9_000, user="u2"))
    persons.settle()
    persons.tell(event(4, VISITOR, "click", 10_000, item="sku1"))
    persons.settle()

    assert persons.user(USER).facts.events == {"identify": 1, "click": 1}
    assert persons.user("u2").facts.events == {"identify": 1, "click": 1}
    persons.tell(login(5, 20_000))
    persons.settle()
    persons.tell(event(6, VISITOR, "click", 21_000, item="sku1"))
    persons.settle()
    assert persons.user(USER).facts.events == {"identify": 2, "click": 2}


def test_an_older_login_that_arrives_later_does_not_take_the_visitor_away() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"), login(2, 9_000))
    persons.settle()
    persons.tell(login(3, 1_000, user="u2"), event(4, VISITOR, "click", 10_000, item="sku1"))
    persons.settle()

    assert persons.user(USER).facts.events == {"identify": 1, "click": 2}
    links = persons.user("u2").identity
    assert links is not None
    assert links.links[VISITOR].outcome == "newer_login"


def test_of_two_logins_at_the_same_time_the_larger_id_wins_in_any_order() -> None:
    for first, second in (("u1", "u2"), ("u2", "u1")):
        persons = Persons(3)
        numbers = {"u1": 7, "u2": 8}
        persons.tell(event(1, VISITOR, "click", 0, item="sku1"))
        persons.tell(login(numbers[first], 1_000, user=first))
        persons.settle()
        persons.tell(login(numbers[second], 1_000, user=second))
        persons.settle()
        persons.tell(event(9, VISITOR, "click", 9_000, item="sku2"))
        persons.settle()

        assert persons.user("u2").facts.recent[-1].item == "sku2"


def test_two_known_users_are_never_merged_but_the_conflict_is_shown() -> None:
    persons = apart()
    persons.tell(event(1, "old", "click", 0, item="sku1"))
    alias = event(2, USER, "custom", 1_000, name="Alias", anonymous="anonymous:old", properties={"previousId": "old"})
    persons.tell(alias)
    persons.settle()

    assert persons.user("old").facts.events == {"click": 1}
    assert persons.user(USER).facts.events == {"custom": 1}
    conflicts = persons.user("old").identity
    assert conflicts is not None
    assert [(one.other, one.reason) for one in conflicts.conflicts] == [(USER, "known_to_known")]
    assert persons.counts["identity_records", "known_to_known"] == 1


def test_an_alias_merges_the_visitor_with_the_previous_id_and_creates_no_user_of_that_name() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1"))
    persons.tell(event(2, USER, "custom", 1_000, name="Alias", anonymous=VISITOR, properties={"previousId": "a1"}))
    persons.settle()

    assert persons.user(USER).facts.events == {"click": 1, "custom": 1}
    assert not persons.has("a1")


def test_profiles_of_different_origins_stay_apart() -> None:
    persons = apart()
    persons.tell(event(1, VISITOR, "click", 0, item="sku1", origin="simulate"), login(2, 1_000))
    persons.settle()
    persons.tell(event(3, VISITOR, "click", 2_000, item="sku1", origin="simulate"))
    persons.settle()

    assert persons.user(USER).facts.events == {"identify": 1}
    assert persons.user(VISITOR).facts.events == {"click": 2}
    assert persons.counts["identity_records", "other_origin"] >= 1


def test_a_visitor_who_is_new_is_linked_and_forwards_from_then_on() -> None:
    persons = apart()
    persons.tell(login(1, 0))
    persons.settle()
    persons.tell(event(2, VISITOR, "click", 1_000, item="sku1"))
    persons.settle()

    assert persons.user(USER).facts.events == {"identify": 1, "click": 1}


def test_a_purchase_right_after_the_login_empties_the_cart_that_was_filled_before() -> None:
    persons = apart()
    persons.tell(
        event(1, VISITOR, "cart_add", 0, item="sku1", amount=5_000_000),
        login(2, MINUTE),
        event(3, USER, "purchase", 2 * MINUTE, amount=5_000_000, lines=(OrderLine("sku1", 1, 5_000_000),)),
    )
    persons.settle()

    customer = persons.user(USER)
    assert (customer.facts.cart, customer.facts.orders) == ({}, 1)
    assert [timer.name for timer in customer.ledger.timers] == ["assess", "buyer"]


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7, 500])
def test_a_log_cut_into_any_batches_gives_the_same_bytes(size: int, repeats: bool) -> None:
    persons = Persons(3, repeats=repeats)
    persons.tell(
        event(1, VISITOR, "cart_add", 0, item="sku1", amount=5_000_000),
        event(2, USER, "click", 10, item="sku2"),
        login(3, 2_000),
        event(4, USER, "rating", 2_100, item="sku2", rating=4.0),
    )
    persons.settle()
    persons.tell(event(5, VISITOR, "click", 3_000, item="sku3"), event(6, USER, "click", 4_000, item="sku2"))
    persons.settle()
    again = Persons(3)
    again.logs, again.now = persons.logs, persons.now
    again.fold(size)

    for one, other in zip(persons.states, again.states, strict=True):
        assert (one.records, one.memo) == (other.records, other.memo)
    assert sorted(map(repr, persons.written)) == sorted(map(repr, again.written))
