"""The history of new clauses contains what a visitor did before the login, whenever the login comes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from models.configuration.compiled import decode, encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.prospects import ConditionsPlan
from models.fold.visitor_fold import VisitorFold
from models.log import Use
from models.units import DAY, HOUR, MINUTE
from stream.rebuild import history
from stream.rebuild.history import MergesMissing
from tests.support.event_logs import START
from tests.support.histories import InMemory, bring_history
from tests.support.persons import Persons
from tests.support.splitting import split
from tests.support.two_passes import customers, fold_in_two_passes

PARTITIONS = 3
SEGMENTS: list[dict[str, Any]] = [
    {"name": "viewers", "when": {"event": "product_view", "times": {"at_least": 3}, "within": "20d"}},
    {
        "name": "spenders",
        "when": {"event": "purchase", "sum": "amount", "currency": "USD", "at_least": 10, "within": "30d"},
    },
    {"name": "silent", "when": {"absent": "click", "for": "1d"}},
    {"name": "varied", "when": {"event": "product_view", "distinct": "category", "at_least": 3, "within": "30d"}},
    {"name": "few", "when": {"event": "click", "times": {"at_most": 1}, "within": "25d"}},
]


def configuration() -> Use:
    return Use("configuration", 1, msgspec.Raw(encode(parse({"segments": SEGMENTS}, {}))))


def plan() -> ConditionsPlan:
    return ConditionsPlan(decode(bytes(configuration().content)), None)


def nothing() -> None: ...


async def bring(persons: Persons, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] = nothing) -> InMemory:
    """Bring the history of the segments into a log."""
    return await bring_history(persons, configuration(), monkeypatch, meanwhile)


def members(persons: Persons) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the segments of each user."""
    return {
        user: tuple(sorted(customer.ledger.memberships.since)) if customer.ledger.memberships else ()
        for user, customer in customers(persons.states).items()
    }


def assert_as_always(persons: Persons) -> None:
    """Assert that users are in the segments in which they would be if these had always been there."""
    again = fold_in_two_passes(persons.logs, watched=plan().asked)
    wanted = {
        user: tuple(sorted(customer.ledger.memberships.since)) if customer.ledger.memberships else ()
        for user, customer in customers(again).items()
    }
    assert members(persons) == wanted
    assert sum(map(len, wanted.values())) > 0


VISITOR, USER = "anonymous:a1", "u1"


def viewed(number: int, user: str = VISITOR) -> Event:
    return Event(id=f"m{number}", user=user, type="product_view", at=START + number * 1_000, item=f"sku{number}")


def login(number: int) -> Event:
    return Event(id=f"m{number}", user=USER, type="identify", at=START + number * 1_000, anonymous=VISITOR)


async def test_a_user_is_in_a_new_segment_by_what_the_visitor_did(monkeypatch: pytest.MonkeyPatch) -> None:
    persons = Persons(PARTITIONS)
    persons.tell(viewed(1), viewed(2), login(3))
    persons.settle()
    persons.tell(viewed(4, USER))

    await bring(persons, monkeypatch)
    persons.pass_time(HOUR)

    assert len(members(persons)[USER]) == 2  # viewers and few
    assert_as_always(persons)


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("delay", [1, 2, 3, 5, 8])
async def test_a_login_while_the_history_is_brought_loses_nothing(
    place: int, delay: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    persons, moments = Persons(PARTITIONS), [0]
    persons.tell(viewed(1), viewed(2), viewed(4, USER))

    def meanwhile() -> None:
        moments[0] += 1
        if moments[0] == place:
            persons.tell(login(5))
            persons.route()  # the notice
            persons.fold()
        elif moments[0] == place + delay:
            persons.settle()

    await bring(persons, monkeypatch, meanwhile)
    persons.settle()
    persons.pass_time(HOUR)

    assert_as_always(persons)


async def test_after_a_split_each_profile_is_in_a_new_segment_by_its_own_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    persons = Persons(PARTITIONS)
    persons.tell(viewed(1), viewed(2), viewed(3), viewed(4, USER), login(5))
    persons.settle()
    persons.tell(viewed(6), viewed(7, USER))
    persons.settle()
    split(persons, USER, VISITOR)
    persons.settle()

    await bring(persons, monkeypatch)
    persons.settle()
    persons.pass_time(HOUR)

    viewers = max(members(persons).values(), key=len)[0]
    assert (viewers in members(persons)[VISITOR], viewers in members(persons)[USER]) == (True, False)
    assert_as_always(persons)


async def test_a_split_counts_if_a_model_was_published_after_its_profile_was_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    persons = Persons(PARTITIONS)
    persons.tell(viewed(1), viewed(2), viewed(3), viewed(4, USER), login(5))
    persons.settle()
    published = Use("a model", 1, msgspec.Raw(b"{}"))
    assert split(persons, USER, VISITOR, between=lambda: persons.control(published)) == 2
    persons.settle()

    await bring(persons, monkeypatch)
    persons.pass_time(HOUR)

    viewers = max(members(persons).values(), key=len)[0]
    assert (viewers in members(persons)[VISITOR], viewers in members(persons)[USER]) == (True, False)


@pytest.mark.parametrize("seed", range(20))
async def test_users_are_in_the_segments_as_if_these_had_always_been_there(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, persons, number = random.Random(seed), Persons(PARTITIONS, repeats=seed % 3 == 0), 0

    def shop(count: int) -> None:
        nonlocal number
        persons.fold()
        for _ in range(count):
            number += 1
            persons.tell(happening(chance, number, persons.now))
            if chance.random() < 0.3:
                persons.route()
            if splits and chance.random() < 0.05:
                split_one(persons, f"s{number}")
        if not count:
            persons.settle()

    splits = True
    shop(120)
    splits = False  # a split waits until a history is complete
    log = await bring(persons, monkeypatch, lambda: shop(chance.randrange(4)))
    shop(30)
    persons.settle()
    persons.pass_time(2 * DAY)
    persons.pass_time(DAY)

    assert log.written >= 8
    assert_as_always(persons)


def split_one(persons: Persons, split_id: str) -> None:
    """Split the first visitor whose profile belongs to a user, if there is one."""
    persons.settle()
    for visitor, customer in customers(persons.states).items():
        owner = None if customer.identity is None else customer.identity.owner
        if owner is not None:
            split(persons, owner.user, visitor, split_id)
            return


def happening(chance: random.Random, number: int, now: int) -> Event:
    """Make the next event of one of a few persons."""
    person, at = chance.randrange(5), now + chance.choice([1, 1_000, 5 * MINUTE, HOUR])
    user, visitor = f"u{person}", f"anonymous:a{person}-{chance.randrange(2)}"
    common: dict[str, Any] = {"id": f"m{number}", "at": at}
    if chance.random() < 0.1:
        return Event(type="identify", user=user, anonymous=visitor, **common)
    key, item = chance.choice([user, visitor, visitor]), f"sku{chance.randrange(9)}"
    kind: Any = chance.choice(["product_view", "product_view", "click", "purchase"])
    if kind == "purchase":
        return Event(type=kind, user=key, amount=4_000_000, **common)
    return Event(type=kind, user=key, item=item, category=f"c{chance.randrange(5)}", **common)


async def test_a_merge_record_that_the_router_never_moves_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    persons = Persons(PARTITIONS)
    persons.tell(viewed(1), login(2))
    persons.route()  # the notice
    persons.fold()
    monkeypatch.setattr(history, "MERGES_WITHIN_S", 0.0)

    with pytest.raises(MergesMissing, match="were not moved into the log within 0 s; start a worker"):
        await bring(persons, monkeypatch)


async def test_a_merge_record_that_this_code_does_not_compute_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    persons = Persons(PARTITIONS)
    persons.tell(viewed(1), login(2))
    persons.settle()
    monkeypatch.setattr(history, "MERGES_WITHIN_S", 0.0)
    monkeypatch.setattr(VisitorFold, "answer", lambda *_: None)

    with pytest.raises(MergesMissing, match=r"has at offset 2 what anonymous:a1 has handed over to u1 \(merge"):
        await bring(persons, monkeypatch)
