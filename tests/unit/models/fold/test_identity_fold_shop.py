"""A shop in which one in five shoppers logs in: each event counts once, and users are as if known from the start."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from msgspec.structs import replace

from models.events import Event
from models.log import is_control
from models.profile.codec import unpack
from models.storefront.storefront import Storefront
from tests.chaos.logins import Logins
from tests.support.event_logs import START
from tests.support.facts import assert_same
from tests.support.persons import Persons

BY_ORDER = ("sessions", "session_at", "gap", "cart", "cart_at", "categories")
"""Facts that depend on the order of events. The router is hours behind here, so forwarded events are late."""


def shop(seed: int) -> list[Event]:
    """Return the events of a simulated month of a small shop."""
    events = Storefront(seed=seed, shoppers=40, days=30, start_ms=START).events()
    return [replace(event, origin="live") for event in events]


def folded(events: list[Event], seed: int, *, repeats: bool) -> Persons:
    """Fold events in four partitions; the router falls behind at random, and processes start again."""
    persons, rng = Persons(4, repeats=repeats), random.Random(seed)
    while events:
        size = rng.randrange(1, 60)
        taken, events = events[:size], events[size:]
        persons.tell(*taken, *(one for one in taken if rng.random() < 0.08))
        if rng.random() < 0.6:
            persons.route()
        if rng.random() < 0.2:
            persons.restart()
    persons.settle()
    return persons


@pytest.mark.parametrize(("seed", "repeats"), [(1, False), (2, True), (3, False)])
def test_each_event_of_a_shop_counts_once_in_exactly_one_profile(seed: int, repeats: bool) -> None:
    logins = Logins(seed)
    events = [event for one in shop(seed) for event in logins.rewritten(one)]
    persons = folded(events, seed, repeats=repeats)
    assert len(logins.owners) > 3
    assert {event.user for event in events} >= logins.owners.keys() - {"anonymous:"}

    expected: dict[str, Counter[str]] = {}
    for event in events:
        expected.setdefault(logins.person(event.user), Counter())[event.type] += 1
    counted = {
        key.decode(): Counter(unpack(packed).facts.events)
        for state in persons.states
        for key, packed in state.records.items()
        if not is_control(key)
    }
    assert {user: counts for user, counts in counted.items() if counts} == expected
    assert persons.counts["identity_records", "forwarded"] > 10

    as_one = [
        replace(event, user=logins.person(event.user), anonymous=None)
        for event in sorted(events, key=lambda event: event.at)
    ]
    reference = folded(as_one, seed, repeats=False)
    for user in logins.owners.values():
        one, other = persons.user(user).facts, reference.user(user).facts
        for facts in (one, other):  # the statements that are remembered may have another order
            facts.stated = b"".join(sorted(facts.stated[i : i + 8] for i in range(0, len(facts.stated), 8)))
        for name in BY_ORDER:
            setattr(one, name, getattr(other, name))
        assert_same(one, other)
