"""The suppression list for commands, which read all of it and write entries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from models.batch import Output
from models.delivery.suppression import TOPIC, SuppressionEntry, SuppressionKey, decode_entry, parse_key
from models.delivery.suppression_rules import SuppressionMark, in_force
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog

__all__ = ["Listed", "read", "write"]

logger = logging.getLogger(__name__)

PORTION = 1_000
"""Number of entries that are written at a time."""
SILENCE_S = 20.0
"""How long to wait for an answer of the broker, seconds."""


class Listed(NamedTuple):
    """An entry with its key.

    Attributes
    ----------
    place, entry
        Contents of key and value.
    ended
        Whether the entry stops no message: a later entry has ended it, or it never stops one.
    """

    place: SuppressionKey
    entry: SuppressionEntry
    ended: bool


def read(connection: Connection) -> list[Listed]:
    """Read all entries, ordered by time.

    Raises
    ------
    BrokerUnavailable
        The broker does not answer.
    """
    records = asyncio.run(read_compacted(connection, TOPIC, 0, silence_s=SILENCE_S, in_use=connection.transactions))
    found: list[tuple[SuppressionKey, SuppressionEntry]] = []
    for key, value in records.items():
        try:
            found.append((parse_key(key), decode_entry(value)))
        except (ValueError, msgspec.DecodeError) as error:
            logger.warning("a record of %s is not an entry and is skipped: %s", TOPIC, error)
    valid = _valid(found)
    listed = [Listed(place, entry, place.key() not in valid) for place, entry in found]
    return sorted(listed, key=lambda one: (one.entry.at, one.place))


def _valid(found: Iterable[tuple[SuppressionKey, SuppressionEntry]]) -> set[bytes]:
    """Return the keys of the entries that are in force and stop messages."""
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
    """Write entries, and tombstones of entries, and return when all of them are acknowledged.

    Parameters
    ----------
    connection, partitions
        The cluster, and the number of partitions of the log.
    outputs
        Records of ``suppressions``.
    wrote
        Called with the number of entries that are acknowledged so far.

    Raises
    ------
    LogUnavailable
        Some entries may be written: write all of them again.
    """
    async with EventLog(connection, partitions) as event_log:
        for begin in range(0, len(outputs), PORTION):
            some = outputs[begin : begin + PORTION]
            await event_log.write(some)
            wrote(begin + len(some))
