"""The rule of consent, compared with the list of all statements that were read, in any order."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise, permutations
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile import consents
from models.profile.consents import ConsentProof
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

    assert state == Consent(granted=False, at=30, newest_grant=30, event_at=10)
    assert consents.needs_new_grant(state)
    assert not consents.needs_new_grant(_next(state, Said(False, 31)))
    assert not consents.needs_new_grant(_next(state, Said(True, 31)))


class Stated(NamedTuple):
    said: Said
    event: str


def _proven(statements: list[Stated]) -> Consent:
    state = None
    for said, event in statements:
        proof = ConsentProof(f"source of {event}", event, "consent", confirmed=said.granted)
        act = consents.grant if said.granted else consents.withdraw
        state = act(state, said.at, proof)
    assert state is not None
    return state


@given(MANY)
def test_the_proof_is_that_of_the_newest_statement_with_the_present_answer(said: list[Said]) -> None:
    statements = [Stated(one, f"m{number:02}") for number, one in enumerate(said)]

    state = _proven(statements)

    (proven,) = [one for one in statements if one.event == consents.proof_of(state).event]
    assert proven.said == Said(state.granted, consents.event_time(state))
    assert consents.proof_of(state) == ConsentProof(
        f"source of {proven.event}", proven.event, "consent", confirmed=state.granted
    )
    if state.granted:
        same = [one for one in statements if one.said.granted]
        assert (proven.said.at, proven.event) == max((one.said.at, one.event) for one in same)


@given(MANY, MANY)
def test_the_proof_after_a_merge_is_that_of_one_of_the_two_identities(one: list[Said], other: list[Said]) -> None:
    sides = [
        _proven([Stated(said, f"{name}{n:02}") for n, said in enumerate(of)]) for name, of in (("a", one), ("b", other))
    ]

    merged = consents.merge(*sides)

    assert merged == consents.merge(*reversed(sides))
    assert merged is not None
    assert consents.proof_of(merged) in map(consents.proof_of, sides)


def test_an_id_is_kept_whatever_its_form() -> None:
    for event in ("m1", "0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-d9cb-469f-a165-70867728950E", "ü" * 36):
        state = consents.grant(None, 1, ConsentProof("box", event, "consent"))
        assert consents.proof_of(state) == ConsentProof("box", event, "consent")


def test_the_time_of_a_grant_is_read_from_a_state_of_schema_3() -> None:
    assert consents.withdraw(Consent(granted=True, at=30), at=10).newest_grant == 30
