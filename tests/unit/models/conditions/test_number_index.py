"""A change of a number finds every clause whose truth can differ, and few others."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest

from models.conditions.clauses import Subject, ValueClause, ValueComparison
from models.conditions.leaf import LeafEvaluator, NoValues, Person
from models.conditions.leaves import evaluator_of
from models.conditions.number_index import NumberIndex
from models.conditions.periods import ALWAYS
from models.conditions.steps import UNKNOWN_VALUE
from models.conditions.values import HeldEvaluator

NUMBERS = (0.0, 0.1, 0.2, 0.5, 0.8, 0.9, 1)


class OneScore(NoValues):
    """The score of a user."""

    def __init__(self, score: float | None) -> None:
        self.score = score

    def value(self, subject: Subject, name: str) -> Any:
        return self.score


def clauses(random: Random, count: int) -> list[LeafEvaluator]:
    """Return clauses that compare the score in all ways."""
    found = []
    for key in range(count):
        low, high = sorted(random.sample(NUMBERS, 2))
        compared, until_below = random.choice(
            (
                (ValueComparison(at_least=high), None),
                (ValueComparison(at_least=high), low),
                (ValueComparison(more_than=low), None),
                (ValueComparison(at_most=high), None),
                (ValueComparison(less_than=low), None),
                (ValueComparison(at_least=low, less_than=high), None),
                (ValueComparison(more_than=low, at_most=high), None),
            )
        )
        found.append(evaluator_of(key, ValueClause("score", "churn", compared, until_below), ALWAYS))
    return found


def after(leaf: LeafEvaluator, value: float | None, was: bool) -> bool:
    """Return the truth of a clause at a value, after its truth before."""
    person = Person("user", OneScore(value))
    if isinstance(leaf, HeldEvaluator):
        return leaf.held(leaf.held(None, Person("user", OneScore(1))) if was else None, person) is not None
    return bool(leaf.truth(None, 0, person))


@pytest.mark.parametrize("seed", range(20))
def test_every_clause_whose_truth_differs_is_found(seed: int) -> None:
    leaves = clauses(Random(seed), 30)
    index = NumberIndex(leaves)
    truths = [False] * len(leaves)
    value: float | None = None
    random, differing = Random(seed), 0
    for present in random.choices((None, *NUMBERS), k=200):
        found = {leaf.key for leaf in index.changing(value, present)}
        now = [after(leaf, present, was) for leaf, was in zip(leaves, truths, strict=True)]
        different = {leaf.key for leaf in leaves if now[leaf.key] is not truths[leaf.key]}
        assert different <= found
        differing += len(different)
        value, truths = present, now

    assert differing > 100


def test_a_first_number_finds_only_the_clauses_that_it_may_meet() -> None:
    bounds = [ValueComparison(at_least=number / 10) for number in range(10)]
    leaves = [evaluator_of(key, ValueClause("score", "churn", one), ALWAYS) for key, one in enumerate(bounds)]
    index = NumberIndex(leaves)

    assert [leaf.key for leaf in index.changing(None, 0.25)] == [0, 1, 2]
    assert [leaf.key for leaf in index.changing(0.25, 0.45)] == [3, 4]
    assert not index.changing(0.25, 0.29)


@pytest.mark.parametrize(("previous", "present"), tuple(product((UNKNOWN_VALUE, "text", True), (0.5, None, "x", True))))
def test_values_that_are_unknown_or_no_numbers_find_all_clauses(previous: object, present: object) -> None:
    leaves = clauses(Random(1), 8)

    assert list(NumberIndex(leaves).changing(previous, present)) == leaves
