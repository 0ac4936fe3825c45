"""The format level of the log (:mod:`models.levels`): read it, and raise it."""

from __future__ import annotations

import asyncio

from models.learning.publication import Publication
from models.levels import FIRST, LEVEL, NEWEST
from models.log import CLOCK_KEY, EVENTS, Clock, decode_control
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerSilent
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.cluster.writer import Writer
from stream.log.versions import newest_use, read_uses

_ANSWER_WITHIN_S = 10.0
_CONTENT = b"null"
"""Content of a ``use`` record that raises the level; the number alone says everything."""


async def level_in_use(connection: Connection, partitions: int) -> int:
    """Return the level that every partition of the log has, at least.

    It is the level that was last put into use, or the one with which the partitions began. An empty log will begin at
    the newest level.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    use, began = await asyncio.gather(read_uses(connection, LEVEL), _begun(connection, partitions))
    newest = newest_use(use)
    return max(FIRST if newest is None else newest.version, min(began, default=NEWEST))


async def raise_level(connection: Connection, level: int) -> None:
    """Put a level into use in every partition, and publish it.

    The topic ``versions`` is written last, so a level that is found there is in use in every partition. A second
    call has no further effect.

    Raises
    ------
    BrokerUnavailable
        The broker did not acknowledge the records: call again.
    """
    writer = Writer(connection)
    publication = Publication(level, _CONTENT)
    try:
        await writer.send_everywhere(EVENTS, [publication.broadcast(LEVEL)])
        await writer.send([publication.output(LEVEL)])
    finally:
        await writer.close()


async def _begun(connection: Connection, partitions: int) -> list[int]:
    """Return the level with which each partition began, without empty partitions."""
    found: list[int] = []
    places = partitions_of(connection, EVENTS, partitions)
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S), TopicReader(connection, places) as reader:
            begins, ends = await reader.begins(), await reader.ends()
            waiting = {place for place in places if ends[place] > begins[place]}
            while waiting:
                for place, records in (await reader.poll(*waiting, max_records=len(waiting))).items():
                    found.append(_level_of(records[0].key, records[0].value))
                    waiting.discard(place)
    except TimeoutError as error:
        raise BrokerSilent(f"the first records of the log were not read within {_ANSWER_WITHIN_S:g} s") from error
    return found


def _level_of(key: bytes | None, value: bytes | None) -> int:
    control = decode_control(value or b"") if key == CLOCK_KEY else None
    return control.level if isinstance(control, Clock) else FIRST
