"""The state of a partition at a time in the past, from its log; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from models.batch import Restored
from models.errors import PerennialError
from models.fold.moments import moment
from models.fold.past import PastFold
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.rebuild.reading import read_whole_log


class NotThere(PerennialError):
    """A time that the log has not reached: name an earlier one."""


async def past_state(
    connection: Connection,
    partition: int,
    at: int,
    planned: Callable[[int], None],
    folded: Callable[[int, int], None],
) -> Restored:
    """Fold a partition of ``events`` from its beginning up to a time.

    All users of the partition are folded, because new conditions come into use for them one after the other.

    Parameters
    ----------
    connection
        The cluster.
    partition
        Number of the partition.
    at
        The time, milliseconds.
    planned
        Called once with the number of records in the partition. The reading may end before the last one.
    folded
        Called with the offset that is reached and the log's time there, milliseconds.

    Raises
    ------
    NotThere
        The log has not reached the time.
    BeginningGone
        The log has lost its first records.
    BrokerUnavailable
        The log cannot be read.
    """
    fold = PastFold(partition, at)
    async with aclosing(read_whole_log(connection, partition, planned)) as batches:
        async for records in batches:
            fold.take(records)
            folded(fold.state.position, fold.now)
            if fold.is_reached:
                break
    # On the wall clock, a partition without newer records is as it was, apart from the timers that are due.
    newest = now_ms() if fold.clock == "wall" else fold.now
    if not fold.is_reached and at > newest:
        end = moment(newest) or "its beginning"
        raise NotThere(f"the log has not reached {moment(at)}; its partition {partition} ends at {end}")
    return fold.finish()
