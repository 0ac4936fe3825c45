"""The memory that clauses have of a user keeps its limit, wherever it comes from: events, a merge, or the log."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from models.batch import Restored
from models.conditions.budget import MAX_STATE_BYTES
from models.conditions.program import event_clauses
from models.configuration.parsing import parse
from models.events import Event
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.log import BringHistory, HistoryComplete, UserHistory
from models.profile.codec import unpack
from models.units import HOUR, MINUTE
from tests.support.event_logs import START, fold_log
from tests.support.persons import Persons
from tests.support.segment_logs import segment_log, segments_in_use, tick

VISITOR, USER = "anonymous:a1", "u1"
BIG = [
    {"name": name, "when": {"event": "custom", "sum": name, "at_least": 10**9, "within": "30d"}} for name in ("a", "b")
]


def searches(user: str, count: int, at: int = 0) -> list[Event]:
    """Return events with numbers, one each second."""
    return [
        Event(
            id=f"{user}-{number}",
            user=user,
            type="custom",
            name="Searched",
            at=START + at + 1_000 * number,
            properties={"a": number, "b": 2 * number},
        )
        for number in range(count)
    ]


def weight(state: Restored, user: str) -> int:
    """Return the size of what the clauses remember of a user."""
    clauses = unpack(state.records[user.encode()]).facts.clauses
    assert clauses is not None
    return clauses.weight


def answer(state: Restored, user: str, segment: str) -> dict[str, Any]:
    """Return what ``--why`` says about the clause of a segment."""
    memo, customer = read_memo(state), unpack(state.records[user.encode()])
    tree: dict[str, Any] = why(user, customer, memo.now, versions_in_use(state, memo), segment)["tree"]
    return tree


@pytest.mark.parametrize("size", [7, 500])
def test_two_profiles_that_are_nearly_full_have_room_within_one_limit_after_the_merge(size: int) -> None:
    persons = Persons(3)
    persons.control(segments_in_use(1, *BIG))
    persons.tell(*searches(VISITOR, 2_000), *searches(USER, 2_000, 500))
    states = [persons.states[persons.partition_of(user)] for user in (VISITOR, USER)]
    sizes = [weight(state, user) for state, user in zip(states, (VISITOR, USER), strict=True)]
    assert sum(sizes) > MAX_STATE_BYTES > max(sizes)
    persons.tell(Event(id="login", user=USER, type="identify", at=START + HOUR, anonymous=VISITOR))
    persons.settle()

    again = Persons(3)
    again.logs = persons.logs
    again.fold(size)
    for one in (persons, again):
        state = one.states[one.partition_of(USER)]
        shown = [answer(state, USER, name) for name in ("a", "b")]
        assert weight(state, USER) <= MAX_STATE_BYTES
        assert any(tree["approximate"] for tree in shown)
        assert [tree["value"].split(".")[0] for tree in shown] == ["3998000", "7996000"]
    assert [one.records for one in persons.states] == [one.records for one in again.states]


def test_a_history_from_the_log_has_room_within_the_limit_beside_what_is_known() -> None:
    old, new = BIG
    clauses = tuple(set(event_clauses(parse({"segments": BIG}, {}).segments)) - {*_clauses(old)})
    events = searches(USER, 3_000)
    log = [segments_in_use(1, old), tick(HOUR), *events, segments_in_use(2, *BIG), BringHistory(clauses), tick(HOUR)]
    reference = _folded(segments_in_use(1, new), tick(HOUR), *events)
    known = unpack(reference.records[USER.encode()]).facts.clauses
    assert known is not None
    assert known.weight + weight(_folded(*log), USER) > MAX_STATE_BYTES
    brought = UserHistory(USER, len(segment_log(*log)), START, known.entries)

    state = _folded(*log, brought, HistoryComplete(clauses), tick(HOUR + MINUTE))

    assert weight(state, USER) <= MAX_STATE_BYTES
    shown = [answer(state, USER, name) for name in ("a", "b")]
    assert any(tree["approximate"] for tree in shown)
    assert [tree["truth"] for tree in shown] == [False, False]


def _clauses(*segments: dict[str, Any]) -> tuple[int, ...]:
    return tuple(event_clauses(parse({"segments": list(segments)}, {}).segments))


def _folded(*contents: Any) -> Restored:
    return fold_log(segment_log(*contents), itertools.repeat(1_000))[0]
