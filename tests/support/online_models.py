"""The project's online models, listed for the checks; a new model is added here and is tested from then on."""

from __future__ import annotations

from models.learning.checks import ModelCase
from models.learning.churn import ChurnLearner
from models.learning.churn_scorer import ChurnScorer
from models.learning.segment_scorer import SegmentScorer
from models.learning.segments import SegmentLearner
from tests.support.populations import FEATURES, churn_examples, segment_examples

MODELS: dict[str, ModelCase] = {
    case.name: case
    for case in (
        ModelCase("churn", ChurnLearner, churn_examples, ChurnScorer.decode, FEATURES, is_probability=True),
        ModelCase("segments", SegmentLearner, segment_examples, SegmentScorer.decode, FEATURES),
    )
}
"""Cases of all online models, by name."""
