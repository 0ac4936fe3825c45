"""Checks that every online model must pass, for our models and for yours.

A model is described by a :class:`ModelCase`. Each function in :data:`CHECKS` takes a case and raises
:class:`CheckFailed`, whose message gives the result of the model and the expected result. With pytest, run all checks
on a model like this::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_model(check):
        check(ModelCase("mine", MyLearner, make_examples, MyScorer.decode, FEATURES))

Examples
--------
>>> from random import Random
>>> from models.learning.churn import ChurnLearner
>>> from models.learning.churn_scorer import ChurnScorer
>>> from models.learning.examples import ChurnExample, fingerprint
>>> features = ("days_since_last", "orders")
>>> def draw(count, seed):
...     random, schema = Random(seed), fingerprint(features)
...     rows = [[random.random() * 4, random.random()] for _ in range(count)]
...     return [
...         ChurnExample(user="u", at=i, due=i + 1, schema=schema, row=row, churned=random.random() * 4 < row[0])
...         for i, row in enumerate(rows)
...     ]
>>> case = ModelCase("churn", ChurnLearner, draw, ChurnScorer.decode, features, is_probability=True)
>>> check_same_examples_give_same_bytes(case)
>>> [check.__name__ for check in CHECKS[:2]]
['check_same_examples_give_same_bytes', 'check_saved_and_restored_learner_continues']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from random import Random
from typing import Any

import msgspec

from models.errors import InvalidEvent, StateDamaged, StateMismatch
from models.learning.examples import MAX_VALUE, ChurnExample, SegmentExample, fingerprint
from models.learning.learner import Learner, Scorer

__all__ = [
    "CHECKS",
    "CheckFailed",
    "ModelCase",
    "check_clone_is_untrained_and_equal",
    "check_content_survives_encoding",
    "check_damaged_state_is_refused",
    "check_learner_restored_at_any_moment_is_the_same",
    "check_other_features_are_refused",
    "check_other_features_start_learning_again",
    "check_other_schema_is_refused",
    "check_predictions_are_finite",
    "check_published_form_predicts_the_same",
    "check_same_examples_give_same_bytes",
    "check_saved_and_restored_learner_continues",
    "check_size_is_bounded",
    "check_versions_come_at_exact_counts",
]


class CheckFailed(AssertionError):
    """Error for a model that breaks a promise of online models; the message names the promise and the finding."""


@dataclass(frozen=True)
class ModelCase:
    """An online model, with all values that the checks need.

    Attributes
    ----------
    name
        Name in error messages.
    make
        Makes an untrained learner for these features. Every call returns an equal learner.
    examples
        Draws this many examples from a seed; the same arguments give the same examples.
    decode
        Reads the content of a version.
    features
        Names of the values in an example's row, in the order of the row; at least two names.
    is_probability
        Whether a prediction is a probability, 0 to 1.
    tolerance
        Maximum difference between the learner's prediction and its published form's prediction.
    max_state_bytes
        Maximum size of the saved state, bytes.
    max_content_bytes
        Maximum size of a version's content, bytes; every partition of the log carries a copy.
    """

    name: str
    make: Callable[[Sequence[str]], Learner[Any]]
    examples: Callable[[int, int], Sequence[ChurnExample | SegmentExample]]
    decode: Callable[[bytes], Scorer]
    features: Sequence[str]
    is_probability: bool = False
    tolerance: float = 1e-9
    max_state_bytes: int = 65_536
    max_content_bytes: int = 8_192

    def trained(self, count: int, seed: int) -> Learner[Any]:
        """Return a learner that has learned from the first examples of a seed."""
        learner = self.make(self.features)
        for example in self.examples(count, seed):
            learner.learn_one(example)
        return learner


def check_same_examples_give_same_bytes(case: ModelCase) -> None:
    """Check that two learners with the same examples in the same order have the same state and versions."""
    first, second = case.make(case.features), case.make(case.features)
    for number, example in enumerate(case.examples(900, 1), start=1):
        published = first.learn_one(example), second.learn_one(example)
        _require(published[0] == published[1], case, f"the same {number} examples gave two different versions")
    _require(first.state() == second.state(), case, "the same examples gave two different states")


def check_saved_and_restored_learner_continues(case: ModelCase) -> None:
    """Check that a restored learner and an uninterrupted one agree on all later versions and predictions."""
    for learned in (0, 1, 137, 200, 733):
        examples = case.examples(learned + 500, 2)
        uninterrupted, restored = case.make(case.features), case.make(case.features)
        for example in examples[:learned]:
            uninterrupted.learn_one(example)
        restored.restore(uninterrupted.state())
        where = f"restored after {learned} examples"
        for example in examples[learned:]:
            same = restored.learn_one(example) == uninterrupted.learn_one(example)
            _require(same, case, f"{where}, it published another version than an uninterrupted learner")
            if uninterrupted.newest is not None:
                both = restored.predict_one(example.row), uninterrupted.predict_one(example.row)
                _require(both[0] == both[1], case, f"{where}, it predicted {both[0]}; uninterrupted: {both[1]}")
        _require(restored.state() == uninterrupted.state(), case, f"{where}, its state differs")


def check_learner_restored_at_any_moment_is_the_same(case: ModelCase) -> None:
    """Check that a learner ends with the same state, although it is killed and restored many times."""
    examples, random = case.examples(900, 3), Random(3)
    learner, at = case.make(case.features), 0
    while at < len(examples):
        committed = learner.state()
        step = random.choice([1, 7, 50, 180])
        for example in examples[at : at + step]:
            learner.learn_one(example)
        if random.random() < 0.5:  # Killed before the commit: these examples come again.
            learner = case.make(case.features)
            learner.restore(committed)
        else:
            at += step
    same = learner.state() == case.trained(900, 3).state()
    _require(same, case, "killed and restored, it ended with another state than an uninterrupted learner")


def check_versions_come_at_exact_counts(case: ModelCase) -> None:
    """Check that a learner numbers its versions 1, 2, 3 ... and completes them at the same counts.

    Restoring the learner changes neither the numbers nor the counts.
    """
    examples = case.examples(1_000, 4)
    learner, uninterrupted = case.make(case.features), case.make(case.features)
    versions: dict[int, int] = {}
    for count, example in enumerate(examples, start=1):
        completed, expected = learner.learn_one(example), uninterrupted.learn_one(example)
        _require(completed == expected, case, f"after {count} examples it published {completed}; expected: {expected}")
        if completed is not None:
            versions[count] = completed.version
            _require(learner.newest == completed, case, f"`newest` is {learner.newest} after version {completed}")
        if count % 61 == 0:
            state, learner = learner.state(), learner.clone()
            learner.restore(state)
    numbers = list(versions.values())
    expected_numbers = list(range(1, len(numbers) + 1))
    _require(len(numbers) > 0, case, "1,000 examples completed no version")
    _require(numbers == expected_numbers, case, f"its versions are numbered {numbers}; expected: {expected_numbers}")


def check_published_form_predicts_the_same(case: ModelCase) -> None:
    """Check that the content of a version and the learner that publishes it give the same predictions."""
    learner = case.make(case.features)
    published = [
        (completed, example) for example in case.examples(1_000, 5) if (completed := learner.learn_one(example))
    ]
    _require(len(published) > 0, case, "1,000 examples completed no version")
    scorer = learner.scorer()
    _require(scorer.fits(case.features), case, "the published form does not fit the learner's features")
    again = case.decode(scorer.encode())
    for example in case.examples(200, 6):
        own, theirs = learner.predict_one(example.row), again.predict_one(example.row)
        _require(abs(own - theirs) <= case.tolerance, case, f"it predicts {own}; its published form: {theirs}")


def check_content_survives_encoding(case: ModelCase) -> None:
    """Check that content is read back exactly: the same bytes and the same predictions."""
    scorer = case.trained(500, 7).scorer()
    again = case.decode(scorer.encode())
    _require(again.encode() == scorer.encode(), case, "decoded and encoded again, the content differs")
    for example in case.examples(200, 8):
        both = scorer.predict_one(example.row), again.predict_one(example.row)
        _require(both[0] == both[1], case, f"decoded, it predicts {both[1]}; before: {both[0]}")


def check_predictions_are_finite(case: ModelCase) -> None:
    """Check that predictions are numbers within their range, also for rows far outside the learned range."""
    learner = case.trained(500, 9)
    scorer = learner.scorer()
    rows = [example.row for example in case.examples(200, 10)]
    for value in (0.0, 1.0, -1.0, 50.0, -50.0, MAX_VALUE, -MAX_VALUE):
        rows.append([value] * len(case.features))
        rows.extend([0.0] * i + [value] + [0.0] * (len(case.features) - i - 1) for i in range(len(case.features)))
    for row in rows:
        for predicted in (learner.predict_one(row), scorer.predict_one(row)):
            _require(isfinite(predicted), case, f"it predicts {predicted} for {row}")
            if case.is_probability:
                _require(0.0 <= predicted <= 1.0, case, f"it predicts the probability {predicted} for {row}")


def check_other_features_are_refused(case: ModelCase) -> None:
    """Check that a row made with other features gives an error, and does not change the learner's state."""
    learner = case.trained(10, 11)
    before, example = learner.state(), case.examples(1, 11)[0]
    for wrong in (
        msgspec.structs.replace(example, schema="0" * 16),
        msgspec.structs.replace(example, row=[1.0]),
        msgspec.structs.replace(example, row=[*example.row, 1.0]),
    ):
        _expect(InvalidEvent, partial(learner.learn_one, wrong), case, "an example with other features")
        _require(learner.state() == before, case, "an example that it refused changed its state")


def check_other_features_start_learning_again(case: ModelCase) -> None:
    """Check that a state with other features is dropped, while version numbers keep growing."""
    old = case.trained(450, 12)
    features = tuple(reversed(case.features))
    new = case.make(features)
    new.restore(old.state())
    _require(new.examples == 0, case, f"with other features, it continues with {new.examples} examples; expected: 0")
    before = 0 if old.newest is None else old.newest.version
    schema, published = fingerprint(features), None
    for example in case.examples(1_000, 13):
        reversed_row = msgspec.structs.replace(example, schema=schema, row=example.row[::-1])
        published = published or new.learn_one(reversed_row)
    _require(published is not None, case, "with other features, it published nothing")
    assert published is not None
    found, scorer = published.version, case.decode(published.content)
    _require(found == before + 1, case, f"with other features, its next version is {found}; expected: {before + 1}")
    _require(scorer.fits(features) and not scorer.fits(case.features), case, "the version does not name its features")


def check_damaged_state_is_refused(case: ModelCase) -> None:
    """Check that a single flipped bit anywhere in the state, or a missing part, is noticed."""
    state = case.trained(250, 14).state()
    for place in sorted({0, 4, 6, 21, 22, len(state) // 2, len(state) - 1}):
        damaged = bytearray(state)
        damaged[place] ^= 1
        what = f"a state with a flipped bit in byte {place}"
        _expect(StateDamaged, partial(case.make(case.features).restore, bytes(damaged)), case, what)
    for length in (0, 10, len(state) - 1):
        what = f"a state cut to {length} bytes"
        _expect(StateDamaged, partial(case.make(case.features).restore, state[:length]), case, what)


def check_other_schema_is_refused(case: ModelCase) -> None:
    """Check that content of another schema version is refused."""
    content = msgspec.json.decode(case.trained(250, 15).scorer().encode())
    other = msgspec.json.encode(content | {"schema": 99})
    _expect(StateMismatch, lambda: case.decode(other), case, "content of schema version 99")
    without = msgspec.json.encode({name: value for name, value in content.items() if name != "features"})
    _expect(msgspec.ValidationError, lambda: case.decode(without), case, "content without `features`")


def check_size_is_bounded(case: ModelCase) -> None:
    """Check that state and content stay below their maximum size, however many examples there were."""
    learner = case.make(case.features)
    for number, example in enumerate(case.examples(5_000, 16), start=1):
        completed = learner.learn_one(example)
        if completed is not None:
            size = len(completed.content)
            _require(
                size <= case.max_content_bytes, case, f"a version has {size} bytes; at most {case.max_content_bytes}"
            )
        if number % 500 == 0:
            size = len(learner.state())
            most = case.max_state_bytes
            _require(size <= most, case, f"after {number} examples its state has {size} bytes; at most {most}")


def check_clone_is_untrained_and_equal(case: ModelCase) -> None:
    """Check that a clone is untrained, that it learns the same as its original, and that ``repr`` names the class."""
    learner = case.trained(300, 17)
    before, clone = learner.state(), learner.clone()
    _require(type(clone) is type(learner), case, f"its clone is a {type(clone).__name__}")
    _require(clone.state() == case.make(case.features).state(), case, "its clone is not like an untrained learner")
    for example in case.examples(300, 17):
        clone.learn_one(example)
    _require(clone.state() == before, case, "its clone learned something else from the same examples")
    _require(learner.state() == before, case, "training its clone changed it")
    for thing in (learner, learner.scorer()):
        _require(repr(thing).startswith(type(thing).__name__ + "("), case, f"its repr is {thing!r}")


CHECKS: tuple[Callable[[ModelCase], None], ...] = (
    check_same_examples_give_same_bytes,
    check_saved_and_restored_learner_continues,
    check_learner_restored_at_any_moment_is_the_same,
    check_versions_come_at_exact_counts,
    check_published_form_predicts_the_same,
    check_content_survives_encoding,
    check_predictions_are_finite,
    check_other_features_are_refused,
    check_other_features_start_learning_again,
    check_damaged_state_is_refused,
    check_other_schema_is_refused,
    check_size_is_bounded,
    check_clone_is_untrained_and_equal,
)
"""All checks; each takes a :class:`ModelCase` and raises :class:`CheckFailed`."""


def _require(is_kept: bool, case: ModelCase, problem: str) -> None:
    if not is_kept:
        raise CheckFailed(f"{case.name}: {problem}")


def _expect(error: type[Exception], call: Callable[[], object], case: ModelCase, what: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        raise CheckFailed(f"{case.name}: {what} raised {other!r}; expected: {error.__name__}") from other
    raise CheckFailed(f"{case.name}: {what} was accepted; expected: {error.__name__}")
