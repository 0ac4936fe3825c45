from __future__ import annotations

import msgspec
import numpy as np
import pytest

from models.learning.churn import ChurnLearner
from models.learning.churn_scorer import ChurnScorer
from models.learning.evaluation import auc, calibration_error
from models.learning.examples import fingerprint
from models.profile.features import FEATURES as USER_FEATURES
from tests.support.populations import FEATURES, churn_examples


def test_the_learner_learns_calibrated_probabilities_of_churn() -> None:
    learner = ChurnLearner(FEATURES)
    for example in churn_examples(3_000, seed=1):
        learner.learn_one(example)
    later = churn_examples(2_000, seed=2)
    risks, churned = [learner.scorer().predict_one(e.row) for e in later], [e.churned for e in later]
    recency = auc([e.row[0] for e in later], churned)
    learned = auc(risks, churned)
    assert learned is not None
    assert recency is not None
    assert learned > recency
    assert calibration_error(risks, churned) < 0.05


def test_scorer_and_river_agree_to_nine_digits() -> None:
    learner = ChurnLearner(FEATURES)
    for example in churn_examples(1_500, seed=3):
        learner.learn_one(example)
        scorer = learner.scorer() if learner.examples % 100 == 1 else None
        if scorer is not None:
            for row in ([0.0] * len(FEATURES), [9.0] * len(FEATURES), example.row):
                assert scorer.predict_one(row) == pytest.approx(learner.predict_one(row), abs=1e-9)


def test_issued_probabilities_are_graded_and_nothing_is_predicted_again() -> None:
    examples = churn_examples(600, seed=4)
    learner, contrary = ChurnLearner(FEATURES), ChurnLearner(FEATURES)
    for example in examples:
        learner.learn_one(example)
        contrary.learn_one(
            msgspec.structs.replace(example, risk=None if example.risk is None else 1.0 - example.risk),
        )
    graded = [(e.risk, e.churned) for e in examples if e.risk is not None]
    issued = auc(*zip(*graded, strict=True))
    assert issued is not None
    assert learner.quality()["auc"] == issued
    assert contrary.quality()["auc"] == pytest.approx(1.0 - issued)
    assert learner.quality()["ungraded"] == sum(e.risk is None for e in examples) == 200
    # The weights do not depend on the issued probabilities.
    assert learner.scorer().model.weights == contrary.scorer().model.weights


def test_no_version_is_published_before_both_classes_were_seen() -> None:
    learner = ChurnLearner(FEATURES, every=10, first=20)
    users_who_stay = [msgspec.structs.replace(e, churned=False) for e in churn_examples(45, seed=5)]
    assert [learner.learn_one(e) for e in users_who_stay] == [None] * 45
    completed = [learner.learn_one(msgspec.structs.replace(e, churned=True)) for e in churn_examples(5, seed=6)]
    assert [c.version for c in completed if c is not None] == [1]


def test_a_feature_that_varies_late_for_the_first_time_changes_scores_only_a_little() -> None:
    sleeping = FEATURES.index("never_varies")
    learner = ChurnLearner(FEATURES)
    examples = churn_examples(1_200, seed=7)
    for example in examples[:1_000]:
        learner.learn_one(example)
    before = [learner.scorer().predict_one(e.row) for e in examples[1_000:]]
    for example in examples[1_000:1_020]:
        row = example.row.copy()
        row[sleeping] = 1.7
        learner.learn_one(msgspec.structs.replace(example, row=row))
    after = [learner.scorer().predict_one(e.row) for e in examples[1_000:]]
    assert float(np.abs(np.subtract(after, before)).mean()) < 0.1


def test_recency_has_two_hinges() -> None:
    learner = ChurnLearner(USER_FEATURES)
    hinges = learner.scorer().model.hinges
    assert [USER_FEATURES[hinge.feature] for hinge in hinges] == ["days_since_last", "days_since_last"]


def test_a_version_is_small_enough_for_every_partition() -> None:
    learner = ChurnLearner(USER_FEATURES, every=20, first=20)
    schema = fingerprint(USER_FEATURES)
    for example in churn_examples(200, seed=8):
        row = (example.row * len(USER_FEATURES))[: len(USER_FEATURES)]
        learner.learn_one(msgspec.structs.replace(example, row=row, schema=schema))
    assert learner.newest is not None
    assert len(learner.newest.content) < 4_096
    assert ChurnScorer.decode(learner.newest.content).model.quality == learner.quality()
