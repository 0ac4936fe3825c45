"""What every online model promises, whatever it learns."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from models.errors import InvalidEvent, StateDamaged, StateMismatch
from models.learning import churn, sealed, segments
from models.learning.churn import ChurnLearner
from models.learning.churn_scorer import ChurnScorer
from models.learning.examples import ChurnExample, SegmentExample, fingerprint
from models.learning.segment_scorer import SegmentScorer
from models.learning.segments import SegmentLearner
from tests.support.populations import FEATURES, churn_examples, segment_examples


class Model(NamedTuple):
    learner: Callable[[Sequence[str]], Any]
    examples: Callable[[int, int], Sequence[ChurnExample | SegmentExample]]
    decode: Callable[[bytes], Any]
    module: Any


MODELS = {
    "churn": Model(ChurnLearner, churn_examples, ChurnScorer.decode, churn),
    "segments": Model(SegmentLearner, segment_examples, SegmentScorer.decode, segments),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]


def _say(scorer: ChurnScorer | SegmentScorer, row: Sequence[float]) -> object:
    return scorer.score(row) if isinstance(scorer, ChurnScorer) else (scorer.segment(row), scorer.distances(row))


@pytest.mark.parametrize("learned", [0, 1, 137, 200, 733])
def test_a_restored_learner_and_an_uninterrupted_one_agree_on_the_next_thousand_predictions(
    model: Model, learned: int
) -> None:
    examples = model.examples(learned + 1_000, 1)
    uninterrupted, restored = model.learner(FEATURES), model.learner(FEATURES)
    for example in examples[:learned]:
        uninterrupted.learn(example)
    restored.restore(uninterrupted.state())
    for example in examples[learned:]:
        assert restored.learn(example) == uninterrupted.learn(example)
        if uninterrupted.newest is not None:
            assert restored.predict(example.row) == uninterrupted.predict(example.row)
    assert restored.state() == uninterrupted.state()


def test_killed_and_restored_at_any_moment_the_parameters_are_the_same(model: Model) -> None:
    examples = model.examples(900, 2)
    uninterrupted = model.learner(FEATURES)
    for example in examples:
        uninterrupted.learn(example)
    chance = random.Random(3)
    learner, at = model.learner(FEATURES), 0
    while at < len(examples):
        committed = learner.state()
        step = chance.choice([1, 7, 50, 180])
        for example in examples[at : at + step]:
            learner.learn(example)
        if chance.random() < 0.5:  # killed before the commit: what came after it never happened
            learner = model.learner(FEATURES)
            learner.restore(committed)
        else:
            at += step
    assert learner.state() == uninterrupted.state()


def test_versions_come_at_exact_counts_of_examples_and_count_on(model: Model) -> None:
    learner = model.learner(FEATURES)
    published = {}
    for number, example in enumerate(model.examples(1_000, 4), start=1):
        completed = learner.learn(example)
        if completed is not None:
            published[number] = completed.version
    assert published == {200: 1, 400: 2, 600: 3, 800: 4, 1_000: 5}


def test_what_is_published_says_what_the_learner_would_say(model: Model) -> None:
    learner = model.learner(FEATURES)
    for example in model.examples(400, 5):
        completed = learner.learn(example)
    assert completed is not None
    published = model.decode(completed.content)
    for example in model.examples(100, 6):
        row = example.row
        if isinstance(learner, ChurnLearner):
            assert published.score(row) == pytest.approx(learner.predict(row), abs=1e-9)
        else:
            assert published.cluster(row) == learner.predict(row)


def test_content_is_read_back_to_the_last_bit(model: Model) -> None:
    learner = model.learner(FEATURES)
    for example in model.examples(400, 7):
        learner.learn(example)
    scorer = learner.scorer()
    again = model.decode(scorer.encode())
    assert again.encode() == scorer.encode()
    assert all(_say(again, e.row) == _say(scorer, e.row) for e in model.examples(200, 8))


def test_rows_of_other_features_are_refused_and_change_nothing(model: Model) -> None:
    learner = model.learner(FEATURES)
    examples = model.examples(10, 9)
    for example in examples:
        learner.learn(example)
    before = learner.state()
    for wrong in (
        msgspec.structs.replace(examples[0], schema="0" * 16),
        msgspec.structs.replace(examples[0], row=[1.0]),
    ):
        with pytest.raises(InvalidEvent, match="features of this code"):
            learner.learn(wrong)
    assert learner.state() == before


def test_with_other_features_learning_starts_anew_and_versions_count_on(model: Model) -> None:
    old = model.learner(FEATURES)
    for example in model.examples(450, 10):
        old.learn(example)
    features = tuple(reversed(FEATURES))
    new = model.learner(features)
    new.restore(old.state())
    assert new.examples == 0
    schema = fingerprint(features)
    examples = model.examples(200, 11)
    for example in examples:
        published = new.learn(msgspec.structs.replace(example, schema=schema, row=example.row[::-1]))
    assert published is not None
    assert published.version == 3
    assert model.decode(published.content).fits(features)
    assert not model.decode(published.content).fits(FEATURES)


def test_a_flipped_bit_anywhere_in_the_state_is_noticed(model: Model) -> None:
    learner = model.learner(FEATURES)
    for example in model.examples(250, 12):
        learner.learn(example)
    state = learner.state()
    for place in [0, 4, 6, 21, 22, len(state) // 2, len(state) - 1]:
        damaged = bytearray(state)
        damaged[place] ^= 1
        with pytest.raises(StateDamaged):
            model.learner(FEATURES).restore(bytes(damaged))
    with pytest.raises(StateDamaged):
        model.learner(FEATURES).restore(state[:10])


def test_a_state_of_another_schema_is_not_read(model: Model) -> None:
    class Other(msgspec.Struct):
        number: int = 1

    with pytest.raises(StateMismatch):
        model.learner(FEATURES).restore(sealed.seal(Other(), model.module.SCHEMA + 1))


def test_content_of_another_schema_is_not_read(model: Model) -> None:
    learner = model.learner(FEATURES)
    for example in model.examples(200, 13):
        learner.learn(example)
    content = msgspec.json.decode(learner.scorer().encode())
    with pytest.raises(StateMismatch):
        model.decode(msgspec.json.encode(content | {"schema": 99}))
    with pytest.raises(msgspec.ValidationError):
        model.decode(msgspec.json.encode(content | {"mean": [1.0]}))


_ELSEWHERE = """
import hashlib
from models.learning.{module} import {learner}
from tests.support.populations import FEATURES, {examples}
learner = {learner}(FEATURES)
for example in {examples}(500, 14):
    learner.learn(example)
print(hashlib.sha256(learner.state()).hexdigest())
"""


@pytest.mark.parametrize(
    ("module", "learner", "examples"),
    [("churn", "ChurnLearner", "churn_examples"), ("segments", "SegmentLearner", "segment_examples")],
)
def test_every_process_learns_the_same_whatever_its_hash_seed(module: str, learner: str, examples: str) -> None:
    code = _ELSEWHERE.format(module=module, learner=learner, examples=examples)
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
