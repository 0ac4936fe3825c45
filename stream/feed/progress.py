"""Progress of the workers that fold a log: the offsets that their group commits."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from types import TracebackType
from typing import Protocol, Self

from models.errors import PerennialError
from models.log import EVENTS, TICK_KEY, is_control
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.cluster.group_offsets import GroupOffsets
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.log.event_log import LogUnavailable

__all__ = ["AlreadyFed", "FoldProgress", "GroupProgress", "NobodyFolds", "await_folded", "require_unfed"]

FOLD_GROUP = "fold"
POLL_S = 0.02
"""How long to wait before the group's offsets are read again, seconds."""
MAX_RECORDS = 100
"""Maximum number of records of one poll. It is small, because the first record usually shows if the log was fed."""


class NobodyFolds(PerennialError):
    """No worker folds the log that is being fed: start one."""


class AlreadyFed(PerennialError):
    """The log contains earlier events, and its time cannot begin again: feed another log."""


class FoldProgress(Protocol):
    """Source of the offsets up to which a log is folded."""

    async def committed(self) -> dict[int, int]:
        """Return the offset after the last folded record, by partition; 0 if none is folded."""


class GroupProgress:
    """Offsets that a consumer group has committed in ``events``; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of ``events``.
    group
        Name of the group, without the installation's prefix.
    """

    def __init__(self, connection: Connection, partitions: int, group: str = FOLD_GROUP) -> None:
        self._offsets = GroupOffsets(connection, group, partitions_of(connection, EVENTS, partitions))
        self._known = dict.fromkeys(range(partitions), 0)

    def __repr__(self) -> str:
        return f"GroupProgress({self._offsets!r}, {self._known})"

    async def __aenter__(self) -> Self:
        await self._offsets.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._offsets.stop()

    async def committed(self) -> dict[int, int]:
        """Return the offsets (:class:`FoldProgress`); if the broker does not answer now, return the last known ones."""
        try:
            offsets = await self._offsets.read()
        except BrokerUnavailable:
            return self._known
        self._known = {place.partition: offset or 0 for place, offset in offsets.items()}
        return self._known


async def await_folded(progress: FoldProgress, wanted: dict[int, int], *, silence_s: float) -> None:
    """Wait until every partition is folded up to an offset.

    Raises
    ------
    NobodyFolds
        No offset has changed for ``silence_s`` seconds.
    """
    before: dict[int, int] = {}
    moved_at = time.monotonic()
    while True:
        folded = await progress.committed()
        if all(folded.get(partition, 0) >= offset for partition, offset in wanted.items()):
            return
        if folded != before:
            before, moved_at = dict(folded), time.monotonic()
        elif time.monotonic() - moved_at > silence_s:
            raise NobodyFolds(f"nothing was folded for {silence_s:g} s; is `perennial worker` running?")
        await asyncio.sleep(POLL_S)  # Kafka gives no notice of a commit of the group


async def require_unfed(connection: Connection, partitions: int, *, within_s: float = 30.0) -> None:
    """Check that a log contains only its clock and the versions in use.

    For a second simulation, the log's clock would already be at the end of the first one. If a replay died and began
    again, all events would count twice, except those of the last two days, whose ids are still remembered.

    Raises
    ------
    AlreadyFed
        The log contains a tick or an event.
    LogUnavailable
        Kafka did not answer in time.
    """
    places = partitions_of(connection, EVENTS, partitions)
    try:
        async with asyncio.timeout(within_s), TopicReader(connection, places) as reader:
            await _require_no_past(reader)
    except (BrokerUnavailable, TimeoutError) as error:
        raise LogUnavailable(f"Kafka at {connection.servers} did not show the log ({error!r}); try again") from error


async def _require_no_past(reader: TopicReader) -> None:
    async with aclosing(reader.read_to_end(max_records=MAX_RECORDS)) as batches:
        async for place, records in batches:
            for record in records:
                if record.key == TICK_KEY or not is_control(record.key):
                    raise AlreadyFed(
                        f"{place.topic} was fed before (offset {record.offset} of its partition {place.partition}), "
                        "and events that are fed again would count twice: use another kafka.prefix, or start with an "
                        "empty log"
                    )
