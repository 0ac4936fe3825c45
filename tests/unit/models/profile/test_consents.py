"""The rule of consent, compared with the list of all statements that were read, in any order."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise, permutations
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile import consents
from models.profile.state import Consent


class Said(NamedTuple):
    granted: bool
    at: int


SAID = st.builds(Said, st.booleans(), st.integers(1, 12))
MANY = st.lists(SAID, min_size=1, max_size=12)


def _next(known: Consent | None, said: Said) -> Consent:
    return consents.grant(known, said.at) if said.granted else consents.withdraw(known, said.at)


def _state(said: list[Said]) -> Consent | None:
    return reduce(_next, said, None)


def _newest(said: list[Said], *, granted: bool) -> int:
    return max((one.at for one in said if one.granted is granted), default=0)


@given(MANY)
def test_the_answer_is_no_if_a_withdrawal_is_at_least_as_new_as_all_grants(said: list[Said]) -> None:
    state = _state(said)
    assert state is not None

    if _newest(said, granted=False) >= _newest(said, granted=True):
        assert not state.granted


@given(st.lists(SAID, max_size=12), st.integers(1, 12))
def test_the_answer_is_yes_if_the_newest_statement_is_a_grant_and_is_read_last(said: list[Said], ahead: int) -> None:
    newest = max((one.at for one in said), default=0)

    assert _next(_state(said), Said(True, newest + ahead)).granted


@given(MANY, MANY)
def test_a_merge_of_identities_follows_the_same_rule(one: list[Said], other: list[Said]) -> None:
    merged = consents.merge(_state(one), _state(other))
    assert merged is not None
    both = [*one, *other]

    if _newest(both, granted=False) >= _newest(both, granted=True):
        assert not merged.granted
    assert merged == consents.merge(_state(other), _state(one))
    assert merged.newest_grant == _newest(both, granted=True)
    assert _next(merged, Said(True, max(said.at for said in both) + 1)).granted


def test_a_merge_with_an_unknown_identity_changes_nothing() -> None:
    state = _state([Said(True, 3)])

    assert consents.merge(state, None) == consents.merge(None, state) == state
    assert consents.merge(None, None) is None


@given(MANY)
def test_the_stored_times_never_decrease(said: list[Said]) -> None:
    states = [_state(said[: n + 1]) for n in range(len(said))]

    for before, after in pairwise(states):
        assert before is not None
        assert after is not None
        assert after.at >= before.at
        assert after.newest_grant >= before.newest_grant


@pytest.mark.parametrize("order", list(permutations([Said(False, 180), Said(False, 60 + 180), Said(True, 120 + 90)])))
def test_a_grant_between_two_withdrawals_never_counts_in_any_order_of_reading(order: list[Said]) -> None:
    state = _state(list(order))

    assert state is not None
    assert not state.granted


def test_a_withdrawal_that_is_read_after_a_newer_grant_asks_for_a_new_grant() -> None:
    state = _state([Said(True, 30), Said(False, 10)])

    assert state == Consent(granted=False, at=30, newest_grant=30)
    assert consents.needs_new_grant(state)
    assert not consents.needs_new_grant(_next(state, Said(False, 31)))
    assert not consents.needs_new_grant(_next(state, Said(True, 31)))


def test_the_time_of_a_grant_is_read_from_a_state_of_schema_3() -> None:
    assert consents.withdraw(Consent(granted=True, at=30), at=10).newest_grant == 30
