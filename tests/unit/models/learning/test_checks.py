"""Each check of online models finds the mistake for which it was written."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

import msgspec
import pytest

from models.errors import PerennialError
from models.learning import checks
from models.learning.checks import (
    CHECKS,
    CheckFailed,
    ModelCase,
    check_clone_is_untrained_and_equal,
    check_content_survives_encoding,
    check_damaged_state_is_refused,
    check_learner_restored_at_any_moment_is_the_same,
    check_other_features_are_refused,
    check_other_features_start_learning_again,
    check_other_schema_is_refused,
    check_predictions_are_finite,
    check_published_form_predicts_the_same,
    check_same_examples_give_same_bytes,
    check_saved_and_restored_learner_continues,
    check_size_is_bounded,
    check_versions_come_at_exact_counts,
)
from models.learning.churn import ChurnLearner
from models.learning.churn_scorer import ChurnScorer
from models.learning.examples import ChurnExample
from models.learning.publication import Publication
from tests.support.online_models import MODELS

CHURN = MODELS["churn"]
_SHARED_RANDOM = random.Random(0)


class ForgetfulLearner(ChurnLearner):
    """A learner whose optimizer begins again after a restore."""

    def restore(self, data: bytes) -> None:
        super().restore(data)
        self._model.optimizer.g2.clear()


class RandomLearner(ChurnLearner):
    """A learner that drops examples at random."""

    def learn_one(self, example: ChurnExample) -> Publication | None:
        return super().learn_one(example) if _SHARED_RANDOM.random() < 0.9 else None


class SkippingLearner(ChurnLearner):
    """A learner that leaves out every second version number."""

    def _publish(self) -> Publication:
        published = super()._publish()
        return Publication(published.version * 2, published.content)


class OtherScaleLearner(ChurnLearner):
    """A learner whose prediction differs from the prediction of its published form."""

    def predict_one(self, row: Sequence[float]) -> float:
        return super().predict_one(row) * 0.999


class LogOddsLearner(ChurnLearner):
    """A learner that returns more than a probability for extreme rows."""

    def predict_one(self, row: Sequence[float]) -> float:
        return super().predict_one(row) + 1e-6


class LenientFeaturesLearner(ChurnLearner):
    """A learner that counts examples with other features instead of refusing them."""

    def learn_one(self, example: ChurnExample) -> Publication | None:
        try:
            return super().learn_one(example)
        except ValueError:
            self.examples += 1
            return None


class RestartingLearner(ChurnLearner):
    """A learner that begins with version 1 again when its features have changed."""

    def restore(self, data: bytes) -> None:
        super().restore(data)
        if not self.examples:
            self.newest = None


class GrowingLearner(ChurnLearner):
    """A learner whose state grows with every example."""

    def state(self) -> bytes:
        return super().state() + b"x" * 100 * self.examples


class LenientLearner(ChurnLearner):
    """A learner that ignores a state that it cannot read."""

    def restore(self, data: bytes) -> None:
        try:
            super().restore(data)
        except PerennialError:
            self.newest = None


class SharingLearner(ChurnLearner):
    """A learner whose clone is itself."""

    def clone(self) -> Self:
        return self


class RoundingScorer(ChurnScorer):
    """A scorer that loses digits when it is encoded."""

    @classmethod
    def decode(cls, content: object) -> Self:
        scorer = super().decode(content)  # type: ignore[arg-type]
        return cls(msgspec.structs.replace(scorer.model, intercept=round(scorer.model.intercept, 1)))


class AnySchemaScorer(ChurnScorer):
    """A scorer that reads content of every schema version."""

    @classmethod
    def decode(cls, content: object) -> Self:
        cls.SCHEMA = ChurnScorer.SCHEMA if b'"schema":99' not in bytes(content) else 99  # type: ignore[call-overload]
        return super().decode(content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (check_same_examples_give_same_bytes, replace(CHURN, make=RandomLearner)),
        (check_saved_and_restored_learner_continues, replace(CHURN, make=ForgetfulLearner)),
        (check_learner_restored_at_any_moment_is_the_same, replace(CHURN, make=ForgetfulLearner)),
        (check_versions_come_at_exact_counts, replace(CHURN, make=SkippingLearner)),
        (check_published_form_predicts_the_same, replace(CHURN, make=OtherScaleLearner)),
        (check_content_survives_encoding, replace(CHURN, decode=RoundingScorer.decode)),
        (check_predictions_are_finite, replace(CHURN, make=LogOddsLearner)),
        (check_other_features_are_refused, replace(CHURN, make=LenientFeaturesLearner)),
        (check_other_features_start_learning_again, replace(CHURN, make=RestartingLearner)),
        (check_damaged_state_is_refused, replace(CHURN, make=LenientLearner)),
        (check_other_schema_is_refused, replace(CHURN, decode=AnySchemaScorer.decode)),
        (check_size_is_bounded, replace(CHURN, make=GrowingLearner)),
        (check_size_is_bounded, replace(CHURN, max_content_bytes=100)),
        (check_clone_is_untrained_and_equal, replace(CHURN, make=SharingLearner)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_check_finds_its_mistake(check: Callable[[ModelCase], None], broken: ModelCase) -> None:
    with pytest.raises(CheckFailed, match=r"^churn: "):
        check(broken)


def test_all_checks_are_in_the_list() -> None:
    assert [name for name in checks.__all__ if name.startswith("check_")] == sorted(c.__name__ for c in CHECKS)
