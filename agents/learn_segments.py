"""The learner of segments: it reads examples, and publishes versions of the segments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from models.batch import Batch, Outputs, Restored
from models.learning.examples import decode_segment
from models.learning.lesson import lessons
from models.learning.segments import NAME, SegmentLearner
from models.profile.features import FEATURES


def learn_segments(
    batches: AsyncIterator[Batch], *, state: Restored, features: Sequence[str] = FEATURES
) -> AsyncIterator[Outputs]:
    """Learn from the examples of ``examples.segments``, one after the other; see :func:`lessons`."""
    return lessons(NAME, SegmentLearner(features), decode_segment, batches, state)
