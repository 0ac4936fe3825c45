"""After new cut points and gaps, counters say how many users are on older ones, and timers are those of the newest."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from models.batch import Restored
from models.conditions.leaf import Person
from models.conditions.user_state import UserConditions
from models.events import Event, OrderLine
from models.fold import buyer_steps
from models.fold.buyer_counts import BUYERS_KEY, read_buyers
from models.fold.buyer_view import buyers_of
from models.fold.clause_steps import CLAUSES
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.memo import read_memo, versions_in_use
from models.fold.partition import PartitionFold
from models.fold.rfm import buyer_of, next_change
from models.fold.stage_view import stages_of
from models.fold.user_values import FactValues, time_zone
from models.fold.versions import Versions
from models.learning.buyers import slot_after
from models.log import CONTROL, Control, Tick, opening
from models.profile.codec import unpack
from models.profile.ledger import NEVER
from models.profile.state import Customer
from models.units import DAY
from tests.support.configured_versions import population_version
from tests.support.event_logs import START, PartitionRecord, batches, fold_log, written
from tests.support.lifecycles import purchase
from tests.support.persons import Persons
from tests.support.random_logs import random_log, with_populations


def states(log: list[PartitionRecord], size: int = 9) -> Iterator[Restored]:
    """Yield the state after each slice."""
    state = Restored()
    fold = PartitionFold(state)
    for batch in batches(log, itertools.repeat(size)):
        for outputs in fold.slices(batch, max_timers=5):
            state.apply(outputs.commit, state.checkpoint(outputs.commit, batch.records[-1].offset + 1).position)
            yield state


def users_of(state: Restored) -> dict[str, Customer]:
    return {key.decode(): unpack(packed) for key, packed in state.records.items() if key[:1] != CONTROL}


def in_use(state: Restored) -> tuple[Versions, int]:
    memo = read_memo(state)
    return versions_in_use(state, memo), memo.now


def log_of(seed: int) -> list[PartitionRecord]:
    return with_populations(random_log(800 + seed, with_versions=True, with_segments=True, with_lifecycle=True))


def all_states() -> Iterator[Restored]:
    for seed in range(8):
        yield from states(log_of(seed))


def test_the_counted_buyers_of_each_version_are_those_of_a_scan() -> None:
    seen = Counter[str]()
    for state in all_states():
        found = Counter(user.ledger.rfm.version for user in users_of(state).values() if user.ledger.rfm is not None)
        assert read_buyers(state.records.get(BUYERS_KEY)).by_version == sorted(found.items())
        versions, now = in_use(state)
        outdated = buyers_of(state, versions, now).buyers.older_than(versions.population_number)
        seen["older" if outdated else "newest"] += bool(found)

    assert min(seen["older"], seen["newest"]) > 20


def test_the_counted_users_who_wait_for_new_conditions_are_those_of_a_scan() -> None:
    seen = Counter[bool]()
    for state in all_states():
        versions, now = in_use(state)
        conditions = versions.conditions
        if conditions is None:
            continue
        behind = [user for user in users_of(state).values() if user.facts.conditions != conditions.generation]
        found = stages_of(state, versions, now)
        assert found.waiting == (0 if conditions.is_complete else len(behind))
        assert found.adopts_until == (conditions.until if behind and not conditions.is_complete else None)
        seen[found.waiting > 0] += 1

    assert min(seen[True], seen[False]) > 20


def test_each_user_of_the_newest_versions_has_timers_at_the_next_bound() -> None:
    checked = Counter[str]()
    for state in all_states():
        versions, now = in_use(state)
        for name, user in users_of(state).items():
            checked["buyer"] += assert_buyer_timer(name, user, versions, now)
            if versions.conditions is not None:
                checked["clauses"] += assert_clause_timer(name, user, versions, versions.conditions, now)

    assert min(checked["buyer"], checked["clauses"]) > 100


def test_seven_days_after_new_cut_points_no_buyer_has_older_ones_without_any_event() -> None:
    names = [f"u{number}" for number in range(40)]
    bought = [purchase(number, START, name) for number, name in enumerate(names)]
    # long after the daily assessments have ended
    late: list[Control] = [Tick(at=START + 200 * DAY), population_version(2)]
    older = {}
    for days in (0, 3, 7):
        ticks = [Tick(at=START + (200 + day) * DAY) for day in range(days + 1)]
        log = written([opening("feeder"), Tick(at=START), population_version(1), *bought, *late, *ticks])
        state, _ = fold_log(log, itertools.repeat(500))
        older[days] = read_buyers(state.records[BUYERS_KEY]).older_than(2)

    assert older[0] == len(names)
    assert 0 < older[3] < len(names)
    assert older[7] == 0


def test_a_visitor_who_has_logged_in_is_counted_once() -> None:
    persons = Persons(1)
    persons.control(population_version(1))
    lines = (OrderLine("s1", 1, 10**6),)
    order: dict[str, Any] = {"order": "o1", "amount": 10**6, "currency": "EUR", "lines": lines}
    persons.tell(Event(id="m1", user="anonymous:a1", type="purchase", at=START, **order))
    persons.settle()
    assert read_buyers(persons.states[0].records.get(BUYERS_KEY)).by_version == [(1, 1)]

    traits = {"email": "ada@example.org"}
    persons.tell(Event(id="m2", user="u1", type="identify", at=START, anonymous="anonymous:a1", traits=traits))
    persons.settle()

    assert persons.user("anonymous:a1").ledger.rfm is None
    persons.pass_time(DAY)
    assert persons.user("u1").ledger.rfm is not None
    assert read_buyers(persons.states[0].records.get(BUYERS_KEY)).by_version == [(1, 1)]


def assert_buyer_timer(name: str, user: Customer, versions: Versions, now: int) -> bool:
    """Compare the timer of a buyer whose scores are those of the cut points in use; return whether there is one."""
    buyer, scores, population = buyer_of(user.facts), user.ledger.rfm, versions.population
    if buyer is None or scores is None or population is None or scores.version != versions.population_number:
        return False
    due = due_of(user, buyer_steps.BUYER)
    # The slot may be an earlier one: the timer is moved to a later slot only when it fires.
    assert due <= min(next_change(buyer, population, now), slot_after(name.encode(), now))
    return True


def assert_clause_timer(name: str, user: Customer, versions: Versions, conditions: ConditionsInUse, now: int) -> bool:
    """Compare the timer of the clauses of a user who has come to the conditions in use; return whether there is one."""
    facts, due = user.facts, due_of(user, CLAUSES)
    if facts.conditions != conditions.generation or due <= now:  # the rest of the timers fires in the next slice
        return False
    zone = time_zone(facts.traits, versions.configuration) if conditions.program.zoned else UTC
    clauses = UserConditions(facts.clauses, user.ledger.memberships)
    clauses.state.known_since = facts.known_since
    person = Person(name, FactValues(facts), zone, facts.known_since)
    assert due == conditions.evaluator.next_clause_due(clauses, now, person)
    return due != NEVER


def due_of(user: Customer, name: str) -> int:
    return next((timer.due for timer in user.ledger.timers if timer.name == name), NEVER)
