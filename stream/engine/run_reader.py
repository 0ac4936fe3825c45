"""The reading side of one run of a lane: position, seeks, fetched records, and the pace of batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from models.batch import Record
from stream.engine.context import Assignment, LaneContext
from stream.engine.errors import LogEndsBefore, PositionOutOfRange
from stream.engine.fetch_buffer import FetchBuffer
from stream.engine.fetches import Fetch, ReadTo

logger = logging.getLogger(__name__)

NO_REST_ABOVE = 500
"""Number of waiting records above which a lane does not rest: a large transaction costs little for each record."""


class Uncommitted(NamedTuple):
    """Records that were read since the last commit of whole batches.

    Attributes
    ----------
    records
        Number of the records.
    oldest_stamp
        Broker timestamp of the first of them, milliseconds; ``None`` if there are none.
    """

    records: int = 0
    oldest_stamp: int | None = None


class RunReader:
    """Reader of one partition, from the start of a run to its end.

    Parameters
    ----------
    assignment
        The partition and its agent.
    context
        Everything that all lanes of the process share.
    on_change
        Called when the reader may have become ready for records, or is no longer ready.
    start
        Offset of the first record to read.

    Attributes
    ----------
    read_to
        Offset after the last batch.
    uncommitted
        Records that were read since the last commit of whole batches.
    needs_seek
        Whether the consumer must move to the position before anything else is read.
    """

    def __init__(self, assignment: Assignment, context: LaneContext, on_change: Callable[[], None], start: int) -> None:
        self.read_to = start
        self.uncommitted = Uncommitted()
        self.needs_seek = True
        self._tp = assignment.tp
        self._name = assignment.name
        self._spec = assignment.spec
        self._fetcher = context.fetcher
        self._monotonic = context.clocks.monotonic
        self._max_rest_s = context.times.max_rest_s
        self._on_change = on_change
        self._buffer = FetchBuffer(assignment.tp, max_records=2 * assignment.spec.max_records)
        self._next_batch_at = self._rests_until = 0.0
        self._is_seeking = False
        self._out_of_range_epoch: int | None = None
        self._error: LogEndsBefore | None = None

    def __repr__(self) -> str:
        return f"<RunReader {self._name} read_to={self.read_to} needs_seek={self.needs_seek} {self._buffer!r}>"

    @property
    def is_ready(self) -> bool:
        """Whether the reader can take more records now."""
        return not self.needs_seek and not self._is_seeking and not self._buffer.full

    @property
    def buffered(self) -> int:
        """Number of fetched records that are in no batch yet."""
        return self._buffer.waiting

    @property
    def early_s(self) -> float:
        """Seconds until the next batch may be taken. A full buffer does not wait, whatever the pace is."""
        if self._buffer.full:
            return 0.0
        lags = self._buffer.waiting > NO_REST_ABOVE
        return (self._next_batch_at if lags else max(self._next_batch_at, self._rests_until)) - self._monotonic()

    def has_taken(self, read: ReadTo) -> bool:
        """Return whether all fetched records are in batches: none waits here, and none is on its way."""
        return self._buffer.has_taken(read.epoch, read.sequence)

    def put(self, fetch: Fetch) -> None:
        """Add fetched records."""
        try:
            complete = self._buffer.put(fetch)
        except LogEndsBefore as error:
            self._error = error
            self.notify()
            return
        if not complete:
            logger.warning("%s: a fetch was lost on its way; reading again from %d", self._name, self.read_to)
            self.request_seek()
        elif self._buffer.full:
            self._on_change()

    def request_seek(self) -> None:
        """Move the consumer to the position again before anything else is read."""
        self.needs_seek = True
        self.notify()
        self._on_change()

    def report_out_of_range(self, epoch: int) -> None:
        """Record that a fetch of ``epoch`` found no record at the position."""
        self._out_of_range_epoch = epoch
        self.notify()

    def check_log(self) -> None:
        """Raise an error if the log is not the one that was read before.

        Raises
        ------
        LogEndsBefore
            A fetch began before the position.
        PositionOutOfRange
            The log has no record at the position. An error of fetches from before a requested seek does not count.
        """
        if self._error is not None:
            raise self._error
        if not self.needs_seek and self._out_of_range_epoch == self._buffer.epoch:
            raise PositionOutOfRange(self._tp.topic, self._tp.partition)

    async def seek(self) -> None:
        """Move the consumer to the position. A rebalance meanwhile requests another seek."""
        self.needs_seek, self._is_seeking = False, True
        try:
            epoch = await self._fetcher.seek(self._tp, self.read_to)
        finally:
            self._is_seeking = False
        self._buffer.reset(epoch, self.read_to)
        self._on_change()

    def take(self) -> list[Record]:
        """Return the records of the next batch."""
        was_full = self._buffer.full
        records = self._buffer.take(self._spec.max_records)
        if was_full:
            self._on_change()
        self.read_to = records[-1].offset + 1
        self._next_batch_at = self._monotonic() + self._spec.pace_s
        count, stamp = self.uncommitted
        self.uncommitted = Uncommitted(count + len(records), records[0].timestamp if stamp is None else stamp)
        return records

    def rest(self, seconds: float) -> None:
        """Take no batch for as long as the last commit took, ``seconds``, and at most for ``LaneTimes.max_rest_s``.

        The lane does not rest while more than :data:`NO_REST_ABOVE` records wait.
        """
        self._rests_until = self._monotonic() + min(seconds, self._max_rest_s)

    def complete(self, position: int) -> Uncommitted:
        """Record a commit at a position; return the records that it completes.

        Records are counted by the commit that completes their batch. A commit in the middle of a batch counts none.
        """
        before = self.uncommitted
        if position != self.read_to:
            return Uncommitted(0, before.oldest_stamp)
        self.uncommitted = Uncommitted()
        return before

    def notify(self) -> None:
        """End :meth:`await_change`, because something has happened."""
        self._buffer.changed.set()

    async def await_change(self, timeout_s: float | None) -> bool:
        """Wait until something happens; return whether it did within the time."""
        self._buffer.changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._buffer.changed.wait()
        except TimeoutError:
            return False
        return True
