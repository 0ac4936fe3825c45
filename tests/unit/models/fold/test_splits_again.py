"""Facts of profiles that were split are computed again, and equal those of a log that the new code alone has folded."""

from __future__ import annotations

import random
from typing import Any

import pytest

from models.events import Event
from models.fold import step
from models.fold.splits_again import split_in
from tests.support.event_logs import START
from tests.support.facts import assert_same
from tests.support.folding_worker import wrong
from tests.support.persons import Persons
from tests.support.splitting import split
from tests.support.two_passes import customers, fold_in_two_passes

VISITORS = ("anonymous:a1", "anonymous:a2")
USERS = ("u1", "u2")


def happened(seed: int) -> Persons:
    """Fold a random log with logins and splits; a router moves records between profiles at random."""
    chance, persons, splits = random.Random(seed), Persons(3), 0
    for number in range(90):
        at, user, visitor = START + number * 5_000, chance.choice(USERS), chance.choice(VISITORS)
        common: dict[str, Any] = {"id": f"m{number}", "at": at}
        if chance.random() < 0.12:
            persons.tell(Event(user=user, type="identify", anonymous=visitor, **common))
        else:
            key = chance.choice([user, visitor, visitor])
            kind: Any = chance.choice(["click", "cart_add", "cart_add"])
            persons.tell(Event(user=key, type=kind, item=f"sku{number % 4}", amount=1_000_000, **common))
        if chance.random() < 0.5:
            persons.settle()
        links = persons.user(user).identity if persons.has(user) else None
        link = None if links is None else links.links.get(visitor)
        if link is not None and link.outcome == "merged" and not link.is_split and chance.random() < 0.3:
            persons.settle()
            splits += 1
            split(persons, user, visitor, f"s{splits}")
    persons.settle()
    return persons


@pytest.mark.parametrize("seed", range(25))
def test_two_passes_with_changed_code_equal_a_log_that_this_code_alone_has_folded(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        old = happened(seed)
    reference = happened(seed)

    again, wanted = customers(fold_in_two_passes(old.logs, (7, 30, 1))), customers(reference.states)

    assert sum(split_in(record) is not None for log in old.logs for record in log) > 0 or seed
    assert again.keys() == wanted.keys()
    for user, customer in wanted.items():
        assert_same(again[user].facts, customer.facts)


def logged_in(*visitors: str) -> Persons:
    """Return a log in which each of these visitors of one user adds to the cart, and logs in."""
    persons = Persons(3)
    for number, visitor in enumerate(visitors):
        at = START + number * 10_000
        persons.tell(
            Event(id=f"a{number}", user=visitor, type="cart_add", item=f"sku{number}", at=at, amount=1_000_000)
        )
        persons.tell(Event(id=f"b{number}", user="u1", type="identify", anonymous=visitor, at=at + 1_000))
        persons.settle()
    return persons


def test_a_split_has_the_facts_of_this_code_about_the_users_other_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        old = logged_in(*VISITORS)
    reference = logged_in(*VISITORS)
    for persons in (old, reference):
        split(persons, "u1", VISITORS[0])

    for user in ("u1", VISITORS[0]):
        assert_same(old.user(user).facts, reference.user(user).facts)
    assert old.user("u1").facts.events == {"cart_add": 1, "identify": 2}
