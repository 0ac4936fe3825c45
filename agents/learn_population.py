"""The learner of the population: it reads examples of buyers, and publishes cut points and gaps."""

from __future__ import annotations

from collections.abc import AsyncIterator

from models.batch import Batch, Outputs, Restored
from models.learning.buyers import decode_population_example
from models.learning.lesson import lessons
from models.learning.population_learner import NAME, PopulationLearner


def learn_population(batches: AsyncIterator[Batch], *, state: Restored) -> AsyncIterator[Outputs]:
    """Learn from the examples of ``examples.population``, one after the other; see :func:`lessons`."""
    return lessons(NAME, PopulationLearner(), decode_population_example, batches, state)
