"""The learner of the churn model: it reads labelled examples, and publishes versions of the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from models.batch import Batch, Outputs, Restored
from models.learning.churn import NAME, ChurnLearner
from models.learning.examples import decode_churn
from models.learning.lesson import lessons
from models.profile.features import FEATURES


def learn_churn(
    batches: AsyncIterator[Batch], *, state: Restored, features: Sequence[str] = FEATURES
) -> AsyncIterator[Outputs]:
    """Learn from the examples of ``examples.churn``, one after the other; see :func:`lessons`."""
    return lessons(NAME, ChurnLearner(features), decode_churn, batches, state)
