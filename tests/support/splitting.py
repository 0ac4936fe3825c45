"""Splits of persons whose profiles are in memory, in the same steps as the command takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from msgspec.structs import replace

from models.batch import Record
from models.events import decode_event
from models.fold.splits_again import WatchedFold
from models.fold.unlinked import SplitSource, UnlinkedFold
from models.identity.split_plan import plan_split
from models.identity.splitting import PairOfIds, split_of
from models.log import encode_control, is_control
from stream.rebuild.recomputed_log import RecomputedLog
from tests.support.persons import Persons, at_once


def _nothing() -> None:
    """Let nothing happen between the computing of a profile and its record."""


def recomputed_log(logs: Sequence[Sequence[Record]]) -> RecomputedLog:
    """Return a log in memory whose records have what this code computes of visitors."""

    async def read(partition: int, begin: int, end: int | None) -> AsyncIterator[Sequence[Record]]:
        log = logs[partition][:end]
        for start in range(begin, len(log), 50):
            yield log[start : start + 50]

    return RecomputedLog(read, len(logs))


def with_watched_clauses(
    log: RecomputedLog, fold: UnlinkedFold | WatchedFold, records: Sequence[Record]
) -> Sequence[Record] | None:
    """Return the next records of a fold with what its watched clauses remember of visitors."""
    return at_once(log.watched(fold, records))


def source_of(persons: Persons, source: SplitSource, partition: int) -> SplitSource:
    """Give a source the whole log of its partition, in batches of 50 records."""
    again = recomputed_log(persons.logs)
    while True:
        log = persons.logs[partition]
        for begin in range(source.position, len(log), 50):
            records = log[begin : begin + 50]
            source.take(at_once(again.taken(source.fold, records)), with_watched_clauses(again, source.fold, records))
        if source.is_done():
            return source


def split(
    persons: Persons, known: str, anonymous: str, split_id: str = "s1", between: Callable[[], None] = _nothing
) -> int:
    """Split two profiles, and return the number of control records that this took.

    Parameters
    ----------
    persons
        The log and its folds.
    known, anonymous
        Keys of the profiles.
    split_id
        Id of the split.
    between
        Called after each time that a profile was computed, before its record is written.
    """
    pair = PairOfIds(known, anonymous)
    identities = [persons.user(one).identity if persons.has(one) else None for one in pair]
    plan = plan_split(pair, identities[0], identities[1], persons.now, split_id)
    sources: dict[int, SplitSource] = {}
    for user in (*pair,):
        partition = persons.partition_of(user)
        sources[partition] = source_of(persons, sources.get(partition) or SplitSource(plan, partition), partition)
    handed = sources[persons.partition_of(known)].fold.handed(pair)
    written = 0
    for user in plan.remaining:
        partition = persons.partition_of(user)
        while (
            done := split_of(persons.user(user).identity, user, other_of(pair, user))
        ) is None or done.id != plan.split.id:
            fold = source_of(persons, sources[partition], partition).fold
            moved = sum(sources[persons.partition_of(anonymous)].fold.profile(anonymous).facts.events.values())
            control = fold.control(plan, user, moved, handed)
            between()
            persons.write_at([(partition, *encode_control(control))])
            written += 1
    return written


def other_of(pair: PairOfIds, user: str) -> str:
    """Return the other one of two keys."""
    return pair.known if user == pair.anonymous else pair.anonymous


def unlinked(persons: Persons) -> Persons:
    """Return the same log without any link, folded at the same times."""
    other = Persons(len(persons.logs))
    records = [one for log in persons.logs for one in log if not is_control(one.key)]
    for record in sorted(records, key=lambda one: one.timestamp):
        told = decode_event(record.value or b"")
        if told.identity is None:
            other.now = record.timestamp
            other.tell(replace(told, anonymous=None))
    other.now = persons.now
    return other
