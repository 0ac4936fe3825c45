"""Trials of a configuration on the log of an installation or on a recording, and a look ahead; nothing is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

from models.batch import Record
from models.configuration.compiled import Configuration
from models.engage.decisions import Decision
from models.engage.planned import PlanDifference
from models.events import Event
from models.fold.outlook import OutlookFold
from models.fold.trial import TrialFold, recorded
from models.fold.user_sample import EVERYONE, UserSample
from models.log import CONTROL
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.engine.state import restore
from stream.rebuild.reading import read_whole_log

PORTION = 2_000
"""Number of records of a recording that are folded together."""


MAX_FORGOTTEN = 20_000
"""Maximum number of messages that are kept although they are too old for the comparison."""


class TrialListener(Protocol):
    """Receiver of the progress of a trial."""

    def planned(self, partition: int, records: int) -> None:
        """Called when the number of records of a partition is known."""

    def folded(self, position: int, now: int) -> None:
        """Called when it is folded up to an offset, where the log's time is ``now``, milliseconds."""


class PlanComparison(NamedTuple):
    """The configurations that are compared, and how.

    Attributes
    ----------
    present, proposed
        The configurations.
    last
        How long before the end of the log a decision may be, milliseconds; ``None`` for all decisions.
    sample
        The users that are folded.
    """

    present: Configuration
    proposed: Configuration
    last: int | None = None
    sample: UserSample = EVERYONE


class LogSpan(NamedTuple):
    """The part of a log whose decisions are compared.

    Attributes
    ----------
    since, until
        Beginning and end, milliseconds; ``since`` is 0 for the beginning of the log.
    """

    since: int
    until: int


async def try_log(
    connection: Connection, partitions: int, wanted: PlanComparison, listener: TrialListener
) -> tuple[PlanDifference, LogSpan]:
    """Fold the log of an installation with both configurations, one partition after the other.

    Raises
    ------
    BeginningGone
        The log has lost its first records.
    BrokerUnavailable
        The log cannot be read.
    """
    difference, span = PlanDifference(), LogSpan(0, 0)
    for partition in range(partitions):
        both = _Both(partition, wanted)
        records = read_whole_log(connection, partition, partial(listener.planned, partition))
        async with aclosing(records) as batches:
            async for some in batches:
                both.take(some)
                listener.folded(some[-1].offset + 1, both.now)
        span = _joint(span, both.finish(difference))
    return difference, span


def try_recording(
    events: Iterable[Event], wanted: PlanComparison, listener: TrialListener
) -> tuple[PlanDifference, LogSpan]:
    """Fold recorded events with both configurations, as if one partition had them."""
    difference, both = PlanDifference(), _Both(0, wanted)
    records = recorded(events)
    while portion := list(islice(records, PORTION)):
        both.take(portion)
        listener.folded(portion[-1].offset + 1, both.now)
    return difference, both.finish(difference)


async def look_ahead(
    connection: Connection, partition: int, duration: int, sample: UserSample = EVERYONE
) -> AsyncGenerator[tuple[int, int, list[Decision]]]:
    """Yield the decisions of a partition in the time ahead, minute by minute, as if no event came.

    Parameters
    ----------
    connection
        The cluster.
    partition
        Number of the partition.
    duration
        Length of the time ahead, milliseconds.
    sample
        The users that are looked at.

    Yields
    ------
    tuple
        Begin of the time ahead, the clock, both in milliseconds, and the decisions.

    Raises
    ------
    BrokerUnavailable
        The state cannot be read.
    """
    state = await restore(connection, "profiles", partition, in_use=connection.transactions)
    if not state.memo:
        return  # the partition has folded nothing yet
    if sample is not EVERYONE:
        state.records = {key: value for key, value in state.records.items() if key[:1] == CONTROL or sample.has(key)}
    fold = OutlookFold(state, 0)
    if fold.clock == "wall":
        fold.begin = max(fold.begin, now_ms())
    for now, decisions in fold.run(fold.begin + duration):
        yield fold.begin, now, decisions


class _Both:
    """The folds of one partition with the present and the proposed configuration."""

    def __init__(self, partition: int, wanted: PlanComparison) -> None:
        self._last = wanted.last
        self._enough = MAX_FORGOTTEN
        self._present = TrialFold(partition, wanted.present, wanted.sample)
        self._proposed = TrialFold(partition, wanted.proposed, wanted.sample)

    def __repr__(self) -> str:
        return f"_Both({self._present!r}, {self._proposed!r})"

    @property
    def now(self) -> int:
        return self._present.now

    def take(self, records: Sequence[Record]) -> None:
        both = self._present, self._proposed
        for fold in both:
            fold.take(records)
        if self._last is not None and max(len(fold.messages) for fold in both) > self._enough:
            for fold in both:
                fold.messages.forget(fold.now - self._last)
            self._enough = MAX_FORGOTTEN + max(len(fold.messages) for fold in both)

    def finish(self, difference: PlanDifference) -> LogSpan:
        """Add the differences, and return the part of the log that was compared."""
        until = max(self.now, now_ms()) if self._present.clock == "wall" else self.now
        since = 0 if self._last is None else until - self._last
        for fold in (self._present, self._proposed):
            fold.messages.forget(since)
        difference.add(self._present.messages, self._proposed.messages)
        return LogSpan(since, until)


def _joint(one: LogSpan, other: LogSpan) -> LogSpan:
    return other if not one.until else LogSpan(min(one.since, other.since), max(one.until, other.until))
