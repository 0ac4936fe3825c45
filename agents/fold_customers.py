"""Everything that happens to users, folded into their profiles and into what follows from it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from models.batch import Batch, Outputs, Restored
from models.fold.partition import PartitionFold


async def fold_customers(batches: AsyncIterator[Batch], *, state: Restored) -> AsyncIterator[Outputs]:
    """Fold each batch of ``events``.

    Parameters
    ----------
    batches
        Of one partition.
    state
        The partition's profiles, clock and versions; kept current by whoever drives this.

    Yields
    ------
    Outputs
        Profiles, signals, decisions, messages, interactions and examples of one batch; of its parts, one by one, where
        many timers have come due at once.
    """
    fold = PartitionFold(state)
    async for batch in batches:
        for outputs in fold.slices(batch):
            yield outputs
