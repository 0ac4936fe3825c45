"""The smallest set of clauses that have to change equals that of a search through all sets."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conditions import failing
from models.conditions.clauses import AllOf, AnyOf, Condition, Leaf, NoneOf, SegmentClause
from models.conditions.failing import ClauseChange, smallest_change
from models.conditions.truth import Truth, all_of, any_of, negated

NAMES = "abcdef"


def truth(condition: Condition, truths: Mapping[str, Truth]) -> Truth:
    match condition:
        case AllOf(of):
            return all_of(truth(one, truths) for one in of)
        case AnyOf(of):
            return any_of(truth(one, truths) for one in of)
        case NoneOf(of):
            return negated(any_of(truth(one, truths) for one in of))
        case SegmentClause(name):
            return truths[name]
    raise AssertionError(condition)


def tree(rng: random.Random, depth: int) -> Condition:
    if depth == 0 or rng.random() < 0.25:
        return SegmentClause(rng.choice(NAMES))
    group = rng.choice((AllOf, AllOf, AnyOf, AnyOf, NoneOf))
    return group(tuple(tree(rng, depth - 1) for _ in range(rng.randint(1, 3))))


def changed(truths: Mapping[str, Truth], changes: Sequence[ClauseChange]) -> dict[str, Truth]:
    return {**truths, **{name_of(one.clause): one.wanted for one in changes}}


def name_of(clause: Leaf) -> str:
    assert isinstance(clause, SegmentClause)
    return clause.name


def smallest_by_trying_all(condition: Condition, truths: Mapping[str, Truth]) -> int | None:
    """Return the size of the smallest set of clauses by whose change the condition holds; ``None`` if none does."""
    for size in range(len(NAMES) + 1):
        for names in itertools.combinations(NAMES, size):
            for values in itertools.product((True, False), repeat=size):
                if truth(condition, {**truths, **dict(zip(names, values, strict=True))}) is True:
                    return size
    return None


@given(st.integers(0, 1 << 40), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_the_set_is_as_small_as_the_smallest_of_all_and_makes_the_condition_true(seed: int, depth: int) -> None:
    rng = random.Random(seed)
    condition, truths = tree(rng, depth), {name: rng.choice((True, False, None)) for name in NAMES}

    found = smallest_change(condition, lambda clause: truths[name_of(clause)])

    smallest = smallest_by_trying_all(condition, truths)
    if smallest is None:  # a contradiction
        assert found == []
    else:
        assert len(found) == smallest
        assert truth(condition, changed(truths, found)) is True
    assert len({name_of(one.clause) for one in found}) == len(found)
    assert all(truths[name_of(one.clause)] is not one.wanted for one in found)


def test_a_clause_that_serves_two_groups_is_chosen_although_each_alone_would_choose_another() -> None:
    a, b, c, d = map(SegmentClause, "abcd")
    condition = AllOf((AnyOf((a, d)), AnyOf((b, d)), AnyOf((c, d))))

    assert smallest_change(condition, lambda clause: False) == [ClauseChange(d, wanted=True)]


def test_a_clause_that_one_group_needs_false_is_not_made_true_for_another() -> None:
    a, b, c = map(SegmentClause, "abc")
    condition = AllOf((NoneOf((a,)), AnyOf((a, AllOf((b, c))))))

    found = smallest_change(condition, lambda clause: False)

    assert found == [ClauseChange(b, wanted=True), ClauseChange(c, wanted=True)]


def test_a_condition_that_holds_needs_no_change_and_the_sequence_is_that_of_the_condition() -> None:
    clauses = [SegmentClause(name) for name in "fedcba"]

    assert smallest_change(AllOf(tuple(clauses)), lambda clause: True) == []
    assert [one.clause for one in smallest_change(AllOf(tuple(clauses)), lambda clause: None)] == clauses


def hard(groups: int) -> Iterator[Condition]:
    for number in range(groups):
        yield AnyOf(tuple(SegmentClause(f"s{number * k % 97}") for k in range(2, 9)))


def test_a_very_large_condition_is_answered_soon_with_the_best_choice_of_each_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    condition = AllOf(tuple(hard(60)))
    began = time.process_time()

    found = smallest_change(condition, lambda clause: False)

    assert time.process_time() - began < 5
    assert truth(condition, {f"s{n}": ClauseChange(SegmentClause(f"s{n}"), True) in found for n in range(97)}) is True
    monkeypatch.setattr(failing, "MAX_TRIES", 0)
    assert len(smallest_change(condition, lambda clause: False)) >= len(found)
