"""Agent that folds events into profiles, and emits signals, decisions, messages, interactions and examples."""

from __future__ import annotations

from collections.abc import AsyncIterator

from models.batch import Batch, Outputs, Restored
from models.fold.partition import PartitionFold


async def fold_customers(batches: AsyncIterator[Batch], *, state: Restored) -> AsyncIterator[Outputs]:
    """Fold each batch of ``events``.

    Parameters
    ----------
    batches
        Batches of one partition.
    state
        The partition's profiles, clock and versions. The driver of the agent keeps it current.

    Yields
    ------
    Outputs
        The outputs of one batch: profiles, signals, decisions, messages, interactions and examples. If very many timers
        are due at the same time, the outputs are yielded in several parts.
    """
    fold = PartitionFold(state)
    async for batch in batches:
        for outputs in fold.slices(batch):
            yield outputs
