"""A link is split: both profiles are as if it had never been, and records on their way change nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from models.events import Event
from models.fold.unlinked import SplitSource, control_without_profile
from models.identity.split_plan import NotLinked, plan_split
from models.identity.splitting import PairOfIds
from models.log import ProfileSplit, encode_control
from models.units import HOUR, MINUTE
from tests.support.event_logs import START
from tests.support.persons import Persons
from tests.support.splitting import source_of, split, unlinked

VISITOR, USER = "anonymous:a1", "u1"


def event(number: int, user: str, type_: Any, at: int, **more: Any) -> Event:
    return Event(id=f"m{number}", user=user, type=type_, at=START + at, **more)


def login(number: int, at: int, user: str = USER, **more: Any) -> Event:
    return event(number, user, "identify", at, anonymous=VISITOR, **more)


def click(number: int, user: str, at: int) -> Event:
    return event(number, user, "click", at, item=f"sku{number}")


def merged(*, repeats: bool = False) -> Persons:
    """Return a log in which a visitor has looked, has logged in, and has looked again in another tab."""
    persons = Persons(3, repeats=repeats)
    assert persons.partition_of(VISITOR) != persons.partition_of(USER)
    persons.tell(
        event(1, VISITOR, "product_view", 0, item="sku1", category="shoes"),
        event(2, VISITOR, "cart_add", 1_000, item="sku1", amount=5_000_000),
        click(3, USER, 2_000),
        login(4, 3_000),
    )
    persons.settle()
    persons.tell(click(5, VISITOR, 4_000), click(6, USER, 5_000))
    persons.settle()
    assert persons.user(USER).facts.events == {"click": 3, "identify": 1, "product_view": 1, "cart_add": 1}
    return persons


def events_of(persons: Persons, user: str) -> dict[str, int]:
    return persons.user(user).facts.events


def carried(persons: Persons, user: str, split_id: str = "s1") -> ProfileSplit:
    """Return the control record that would split a profile now."""
    pair = PairOfIds(USER, VISITOR)
    plan = plan_split(pair, persons.user(USER).identity, persons.user(VISITOR).identity, persons.now, split_id)
    partition = persons.partition_of(user)
    return source_of(persons, SplitSource(plan, partition), partition).fold.control(plan, user, 3)


def bring(persons: Persons, control: ProfileSplit) -> None:
    persons.write_at([(persons.partition_of(control.user), *encode_control(control))])


@pytest.mark.parametrize("repeats", [False, True])
def test_the_events_of_the_visitor_go_back_those_before_the_login_and_those_after_it(repeats: bool) -> None:
    persons = merged(repeats=repeats)
    assert split(persons, USER, VISITOR) == 2

    reference = unlinked(persons)
    assert persons.user(VISITOR).facts == reference.user(VISITOR).facts
    assert persons.user(USER).facts == reference.user(USER).facts
    assert events_of(persons, VISITOR) == {"product_view": 1, "cart_add": 1, "click": 1}
    assert events_of(persons, USER) == {"click": 2, "identify": 1}
    assert list(persons.user(VISITOR).facts.cart) == ["sku1"]
    assert persons.counts["identity_records", "split"] == 2


def test_later_events_of_the_visitor_stay_with_the_visitor() -> None:
    persons = merged()
    split(persons, USER, VISITOR)
    persons.tell(click(7, VISITOR, 9_000), click(8, USER, 9_000))
    persons.settle()

    assert events_of(persons, VISITOR) == {"product_view": 1, "cart_add": 1, "click": 2}
    assert events_of(persons, USER) == {"click": 3, "identify": 1}
    assert persons.user(USER).facts == unlinked(persons).user(USER).facts


def test_both_profiles_remember_the_split() -> None:
    persons = merged()
    split(persons, USER, VISITOR, "s7")

    user, visitor = persons.user(USER).identity, persons.user(VISITOR).identity
    assert user is not None
    assert visitor is not None
    link, known = user.links[VISITOR].split, visitor.splits[USER]
    assert link is not None
    assert (link.id, link.until, link.events) == (known.id, known.until, known.events) == ("s7", START + 5_000, 3)
    assert (user.links[VISITOR].is_split, visitor.owner, visitor.number) == (True, None, 1)


def test_the_same_login_links_no_more_and_neither_does_an_older_one_that_comes_late() -> None:
    persons = merged()
    split(persons, USER, VISITOR)
    persons.now += HOUR
    persons.tell(login(4, 3_000), login(9, 4_500), event(10, USER, "click", 7_000, item="sku1", anonymous=VISITOR))

    assert persons.route() == 0
    assert persons.user(USER).identity is not None


def test_a_login_after_the_split_links_again_and_the_content_moves_again() -> None:
    persons = merged()
    split(persons, USER, VISITOR)
    persons.tell(login(9, HOUR))
    persons.settle()
    persons.tell(click(10, VISITOR, HOUR + 1))
    persons.settle()

    assert events_of(persons, USER) == {"click": 4, "identify": 2, "product_view": 1, "cart_add": 1}
    assert events_of(persons, VISITOR) == {}
    identity = persons.user(USER).identity
    assert identity is not None
    link = identity.links[VISITOR]
    assert (link.login, link.outcome, link.events, link.is_split) == ("m9", "merged", 3, False)

    split(persons, USER, VISITOR, "s2")
    assert events_of(persons, USER) == {"click": 2, "identify": 2}
    assert events_of(persons, VISITOR) == {"product_view": 1, "cart_add": 1, "click": 2}
    assert persons.user(VISITOR).facts == unlinked(persons).user(VISITOR).facts


@pytest.mark.parametrize("user", [USER, VISITOR])
def test_a_record_is_ignored_if_its_profile_had_an_event_since(user: str) -> None:
    persons = merged()
    control = carried(persons, user)
    persons.tell(click(7, user, 9_000))
    persons.settle()
    before = persons.user(user)
    bring(persons, control)

    assert (persons.user(user).facts, persons.user(user).identity) == (before.facts, before.identity)
    assert persons.counts["identity_records", "split_stale"] == 1
    split(persons, USER, VISITOR)
    assert persons.user(user).facts == unlinked(persons).user(user).facts


@pytest.mark.parametrize("user", [USER, VISITOR])
def test_a_record_that_comes_twice_changes_nothing_the_second_time(user: str) -> None:
    persons = merged()
    control = carried(persons, user)
    bring(persons, control)
    persons.tell(click(7, user, 9_000))
    before = persons.states[persons.partition_of(user)].records[user.encode()]
    bring(persons, replace(control, before=control.before + 10))

    assert persons.states[persons.partition_of(user)].records[user.encode()] == before
    assert persons.counts["identity_records", "split_repeated"] == 1


def test_what_is_on_its_way_to_the_user_at_the_split_is_passed_over() -> None:
    persons = merged()
    persons.tell(click(7, VISITOR, 6_000), click(8, VISITOR, 7_000))
    split(persons, USER, VISITOR)
    assert persons.route() == 2
    persons.settle()

    assert events_of(persons, USER) == {"click": 2, "identify": 1}
    assert events_of(persons, VISITOR) == {"product_view": 1, "cart_add": 1, "click": 3}
    assert persons.counts["identity_records", "passed_over"] == 2


def test_a_merge_that_is_on_its_way_is_passed_over() -> None:
    persons = Persons(3)
    persons.tell(click(1, VISITOR, 0), click(2, USER, 1), login(3, 2))
    persons.route()
    persons.fold()
    split(persons, USER, VISITOR)
    persons.settle()

    assert (events_of(persons, USER), events_of(persons, VISITOR)) == ({"click": 1, "identify": 1}, {"click": 1})


def test_a_notice_that_is_on_its_way_when_the_user_is_split_is_passed_over() -> None:
    persons = merged()
    persons.tell(login(7, 6_000))
    split(persons, USER, VISITOR)
    persons.settle()
    persons.tell(click(8, VISITOR, 7_000))
    persons.settle()

    assert events_of(persons, VISITOR) == {"product_view": 1, "cart_add": 1, "click": 2}
    assert persons.counts["identity_records", "passed_over"] == 1


def test_of_several_visitors_of_one_user_only_one_is_split() -> None:
    persons = merged()
    other = "anonymous:a2"
    persons.tell(click(20, other, 6_000), event(21, USER, "identify", 7_000, anonymous=other))
    persons.settle()
    persons.tell(click(22, other, 8_000))
    persons.settle()
    split(persons, USER, VISITOR)

    assert events_of(persons, USER) == {"click": 4, "identify": 2}
    split(persons, USER, other, "s2")
    assert events_of(persons, USER) == {"click": 2, "identify": 2}
    reference = unlinked(persons)
    for user in (USER, VISITOR, other):
        assert persons.user(user).facts == reference.user(user).facts


def test_a_visitor_who_has_logged_in_as_another_user_since_takes_everything_there() -> None:
    persons = merged()
    persons.tell(login(20, 10_000, user="u2"))
    persons.settle()
    persons.tell(click(21, VISITOR, 11_000))
    persons.settle()
    split(persons, USER, VISITOR)
    persons.settle()

    assert events_of(persons, USER) == {"click": 2, "identify": 1}
    assert events_of(persons, VISITOR) == {}
    assert events_of(persons, "u2") == {"identify": 1, "product_view": 1, "cart_add": 1, "click": 2}
    persons.tell(click(22, VISITOR, 12_000))
    persons.settle()
    assert events_of(persons, "u2")["click"] == 3


def test_after_a_split_from_the_newest_user_the_visitor_belongs_to_the_one_before() -> None:
    persons = merged()
    persons.tell(login(20, 10_000, user="u2"))
    persons.settle()
    persons.tell(click(21, VISITOR, 11_000))
    persons.settle()
    assert events_of(persons, "u2") == {"identify": 1, "click": 1}
    split(persons, "u2", VISITOR)
    persons.settle()
    persons.tell(click(22, VISITOR, 12_000))
    persons.settle()

    assert events_of(persons, "u2") == {"identify": 1}
    assert events_of(persons, USER) == {"click": 5, "identify": 1, "product_view": 1, "cart_add": 1}


def test_splits_from_both_users_leave_the_visitor_with_all_events() -> None:
    persons = merged()
    persons.tell(login(20, 10_000, user="u2"))
    persons.settle()
    persons.tell(click(21, VISITOR, 11_000))
    persons.settle()
    split(persons, "u2", VISITOR)
    persons.settle()
    split(persons, USER, VISITOR, "s2")
    persons.settle()

    assert persons.user(VISITOR).facts == unlinked(persons).user(VISITOR).facts
    assert events_of(persons, "u2") == {"identify": 1}
    assert persons.user(USER).facts == unlinked(persons).user(USER).facts


def test_without_a_profile_a_split_leaves_past_events_where_they_are() -> None:
    persons = merged()
    persons.tell(click(7, VISITOR, 6_000))
    pair = PairOfIds(USER, VISITOR)
    plan = plan_split(pair, persons.user(USER).identity, persons.user(VISITOR).identity, persons.now, "s1")
    for user in (VISITOR, USER):
        bring(persons, control_without_profile(plan, user))
    persons.tell(click(8, VISITOR, 7_000))
    persons.settle()

    assert events_of(persons, USER) == {"click": 4, "identify": 1, "product_view": 1, "cart_add": 1}
    assert events_of(persons, VISITOR) == {"click": 1}
    persons.tell(login(9, HOUR))
    persons.settle()
    assert events_of(persons, USER)["click"] == 5
    split(persons, USER, VISITOR, "s2")
    assert events_of(persons, USER)["click"] == 4
    assert events_of(persons, VISITOR) == {"click": 1}


def test_a_record_of_a_profile_that_cannot_be_read_is_a_dead_letter() -> None:
    persons = merged()
    before = persons.user(USER)
    bring(persons, replace(carried(persons, USER), profile=b"nothing"))

    assert persons.user(USER) == before
    assert len(persons.values("events.rejected")) == 1
    split(persons, USER, VISITOR)
    assert events_of(persons, USER) == {"click": 2, "identify": 1}


def test_a_split_that_has_reached_one_profile_is_continued_with_the_same_id() -> None:
    persons = merged()
    bring(persons, carried(persons, VISITOR, "first"))
    persons.now += MINUTE
    assert split(persons, USER, VISITOR, "second") == 1

    for user, other in ((USER, VISITOR), (VISITOR, USER)):
        identity = persons.user(user).identity
        assert identity is not None
        found = identity.splits.get(other) or identity.links[other].split
        assert found is not None
        assert (found.id, found.until) == ("first", START + 5_000)
    assert persons.user(USER).facts == unlinked(persons).user(USER).facts


@pytest.mark.parametrize(
    ("known", "visitor", "message"),
    [
        ("u2", VISITOR, f"u2 and {VISITOR} are not linked; {VISITOR} belongs to u1"),
        (USER, "anonymous:a2", "u1 and anonymous:a2 are not linked"),
        ("u3", VISITOR, f"u3 and {VISITOR} were not merged (other_origin), so there is nothing to split"),
        ("u4", "anonymous:a4", "u4 and anonymous:a4 are being merged; try again in a moment"),
    ],
)
def test_ids_that_are_not_linked_cannot_be_split(known: str, visitor: str, message: str) -> None:
    persons = merged()
    persons.tell(click(30, "anonymous:a2", 6_000), click(31, "u2", 6_000))
    persons.tell(event(32, "u4", "identify", 7_000, anonymous="anonymous:a4"))
    known_identity, visitor_identity = (
        persons.user(one).identity if persons.has(one) else None for one in (known, visitor)
    )
    if known == "u3":
        persons = Persons(3)
        persons.tell(event(1, VISITOR, "click", 0, item="sku1", origin="simulate"), login(2, 1, user="u3"))
        persons.settle()
        known_identity, visitor_identity = persons.user(known).identity, persons.user(visitor).identity

    with pytest.raises(NotLinked) as raised:
        plan_split(PairOfIds(known, visitor), known_identity, visitor_identity, START, "s1")

    assert str(raised.value) == message


def test_what_was_split_cannot_be_split_again() -> None:
    persons = merged()
    split(persons, USER, VISITOR)

    with pytest.raises(NotLinked, match="were split before, and no login has linked them again"):
        split(persons, USER, VISITOR, "s2")


def test_a_record_that_was_computed_before_another_split_is_ignored() -> None:
    persons = merged()
    other = "anonymous:a2"
    persons.tell(click(20, other, 6_000), event(21, USER, "identify", 7_000, anonymous=other))
    persons.settle()
    stale = carried(persons, USER)
    split(persons, USER, other, "s2")
    bring(persons, replace(stale, before=stale.before + 100))

    assert persons.counts["identity_records", "split_stale"] == 1
    assert events_of(persons, USER)["click"] == 3
    split(persons, USER, VISITOR)
    assert persons.user(USER).facts == unlinked(persons).user(USER).facts
