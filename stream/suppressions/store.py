"""The suppression list for commands: read whole, and written to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
from aiokafka.errors import KafkaError

from models.batch import Output
from models.delivery.suppression import TOPIC, SuppressionEntry, SuppressionKey, decode_entry, parse_key
from models.delivery.suppression_rules import SuppressionMark, in_force
from stream.cluster.admin import BrokerUnreachable
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog

log = logging.getLogger(__name__)

AT_ONCE = 1_000
"""Entries that are written before the next ones are."""
SILENCE_S = 20.0


class Listed(NamedTuple):
    """An entry with its key.

    Attributes
    ----------
    place, entry
        What key and value say.
    ended
        Whether something that came later has ended it, or it stops nothing by itself.
    """

    place: SuppressionKey
    entry: SuppressionEntry
    ended: bool


def read(connection: Connection) -> list[Listed]:
    """Read all entries, ordered by time.

    Raises
    ------
    BrokerUnreachable
        The broker does not answer.
    """
    try:
        records = asyncio.run(read_compacted(connection, TOPIC, 0, silence_s=SILENCE_S, in_use=connection.transactions))
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnreachable(f"the suppression list at {connection.servers} cannot be read: {error!r}") from error
    found: list[tuple[SuppressionKey, SuppressionEntry]] = []
    for key, value in records.items():
        try:
            found.append((parse_key(key), decode_entry(value)))
        except (ValueError, msgspec.DecodeError) as error:
            log.warning("a record of %s is no entry and is passed over: %s", TOPIC, error)
    valid = _valid(found)
    listed = [Listed(place, entry, place.key() not in valid) for place, entry in found]
    return sorted(listed, key=lambda one: (one.entry.at, one.place))


def _valid(found: Iterable[tuple[SuppressionKey, SuppressionEntry]]) -> set[bytes]:
    """Keys of the entries that are in force and stop something."""
    by_address: dict[str, dict[str, SuppressionMark]] = {}
    for place, entry in found:
        by_address.setdefault(place.address, {})[place.reason] = SuppressionMark(entry.scope, entry.at)
    return {
        f"{address}:{reason}".encode()
        for address, marks in by_address.items()
        for reason, mark in in_force(marks).items()
        if mark.scope != "watch"
    }


async def write(
    connection: Connection,
    partitions: int,
    outputs: Sequence[Output],
    wrote: Callable[[int], None] = lambda _: None,
) -> None:
    """Write entries, and tombstones of entries; returns when all of them are acknowledged.

    Parameters
    ----------
    connection, partitions
        The log.
    outputs
        Records of ``suppressions``.
    wrote
        Called with the number of entries that were acknowledged so far.

    Raises
    ------
    LogUnavailable
        Some may be written: write them all again.
    """
    async with EventLog(connection, partitions) as event_log:
        for begin in range(0, len(outputs), AT_ONCE):
            some = outputs[begin : begin + AT_ONCE]
            await event_log.write(some)
            wrote(begin + len(some))
