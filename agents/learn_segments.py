"""Segments: examples in, versions out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from models.batch import Batch, Outputs, Restored
from models.customer.features import FEATURES
from models.learning.examples import decode_segment
from models.learning.lesson import KEY, announce, take_lesson
from models.learning.segments import NAME, SegmentLearner


async def learn_segments(
    batches: AsyncIterator[Batch], *, state: Restored, features: Sequence[str] = FEATURES
) -> AsyncIterator[Outputs]:
    """Learn from each example of ``examples.segments``, in order.

    Parameters
    ----------
    batches
        Of its one partition.
    state
        The committed learner, under ``KEY``.
    features
        Names, in the order of a row.

    Yields
    ------
    Outputs
        First the newest version once more, since its broadcast may have been lost in a crash; then, for each batch, the
        learner, the newest version that the batch completed, and what was rejected.
    """
    learner = SegmentLearner(features)
    if KEY in state.records:
        learner.restore(state.records[KEY])
        yield announce(NAME, learner.newest)
    async for batch in batches:
        yield take_lesson(NAME, learner, decode_segment, batch)
