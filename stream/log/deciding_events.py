"""Reading of a user's partition to find the events that decided about an answer to ``--why``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from models.fold.deciding_events import DecidingEvents
from models.log import EVENTS
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of

SLICE = 500
"""Number of records that are read at once, so that a worker that answers folds in between."""
_OPTIONS = ReadOptions(fetch_bytes=4 << 20)


class TooLong(Exception):
    """The log has more records than may be read: ask in another way."""


async def with_deciding_events(
    connection: Connection,
    answer: Mapping[str, Any],
    planned: Callable[[int], None] = lambda _: None,
    read: Callable[[int], None] = lambda _: None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Return an answer to ``--why`` with the deciding event of each clause, from the log as it was at the answer.

    Parameters
    ----------
    connection
        The cluster.
    answer
        The answer, with the ``partition`` and the ``position`` for which it is true.
    planned
        Called once with the number of records to read.
    read
        Called with the number of records that were read.
    limit
        Maximum number of records to read; ``None`` for all.

    Raises
    ------
    TooLong
        There are more records than the limit.
    BrokerUnavailable
        The log cannot be read, or the broker gave no answer for a minute.
    """
    partition, position = int(answer["partition"]), int(answer["position"])
    place = partitions_of(connection, EVENTS, partition + 1)[partition]
    async with TopicReader(connection, [place], _OPTIONS) as reader:
        begin = (await reader.begins())[place]
        search = DecidingEvents(answer, partition, begin)
        if search.is_needed and begin < position:
            planned(position - begin)
            if limit is not None and position - begin > limit:
                raise TooLong
            reader.seek(place, begin)
            async with aclosing(reader.read_to_end(max_records=SLICE, end=position)) as batches:
                async for _, records in batches:
                    search.take([record for record in records if record.offset < position])
                    read(records[-1].offset + 1 - begin)
                    await asyncio.sleep(0)
        return search.finish()
