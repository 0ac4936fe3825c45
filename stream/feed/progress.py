"""How far the workers have folded a log: the offsets that their group publishes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from models.errors import PerennialError
from models.log import EVENTS, TICK_KEY, is_control
from stream.cluster.connection import Connection
from stream.log.event_log import LogUnavailable

FOLD_GROUP = "fold"
_POLL_S = 0.02
_LOOKED_AT = 100


class NobodyFolds(PerennialError):
    """No worker folds the log that is being fed: start one."""


class AlreadyFed(PerennialError):
    """The log has a past of its own, and time in it cannot begin anew: feed another one."""


class Progress(Protocol):
    """Whoever knows how far a log is folded."""

    async def committed(self) -> dict[int, int]:
        """Offset behind the last folded record, by partition; 0 before any."""


class GroupProgress:
    """Offsets of a consumer group over ``events``; use it with ``async with``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Of ``events``.
    group
        Without the installation's prefix.
    """

    def __init__(self, connection: Connection, partitions: int, group: str = FOLD_GROUP) -> None:
        self._places = [TopicPartition(connection.topic(EVENTS), partition) for partition in range(partitions)]
        # It never joins the group: partitions are assigned by hand, nothing is fetched or committed.
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(), group_id=connection.group(group), enable_auto_commit=False
        )
        self._known = dict.fromkeys(range(partitions), 0)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._places)
        self._consumer.pause(*self._places)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def committed(self) -> dict[int, int]:
        """See :class:`Progress`; what was known last where the broker does not answer."""
        try:
            offsets = await asyncio.gather(*(self._consumer.committed(place) for place in self._places))
        except (KafkaError, OSError):
            return self._known  # a broker that restarts is waited for, not mourned
        self._known = {place.partition: offset or 0 for place, offset in zip(self._places, offsets, strict=True)}
        return self._known


async def await_folded(progress: Progress, wanted: dict[int, int], *, silence_s: float) -> None:
    """Return when every partition is folded up to an offset.

    Raises
    ------
    NobodyFolds
        Nothing has moved for ``silence_s`` seconds.
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
        await asyncio.sleep(_POLL_S)  # the group's offsets can only be polled


async def require_unfed(connection: Connection, partitions: int, *, within_s: float = 30.0) -> None:
    """Return where a log holds nothing yet but its clock and what is in use.

    A second simulation in the same log would find ``now`` at the end of the first, and a replay that died and begins
    anew would count all but its last two days twice: ids are remembered no longer.

    Raises
    ------
    AlreadyFed
        It has a tick or an event.
    LogUnavailable
        Kafka did not answer in time.
    """
    places = [TopicPartition(connection.topic(EVENTS), partition) for partition in range(partitions)]
    reader = AIOKafkaConsumer(**connection.client_options(), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        async with asyncio.timeout(within_s):
            await reader.start()
            reader.assign(places)
            await _see_no_past(reader, places)
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(f"Kafka at {connection.servers} did not show the log ({error!r}); try again") from error
    finally:
        await reader.stop()


async def _see_no_past(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
    waiting = set(places)
    while waiting:
        batches = await reader.getmany(*waiting, timeout_ms=200, max_records=_LOOKED_AT)
        for place, records in batches.items():
            for record in records:
                if record.key == TICK_KEY or not is_control(record.key):
                    raise AlreadyFed(
                        f"{place.topic} was fed before (offset {record.offset} of its partition {place.partition}), "
                        "and what is fed again would count twice: use another kafka.prefix, or start with an empty log"
                    )
        for place in list(waiting):
            # From the fetch: the embedded broker's own answer for the end is too low.
            end = reader.highwater(place)
            if end is not None and await reader.position(place) >= end:
                waiting.discard(place)
