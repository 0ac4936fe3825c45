"""Profiles after a month of use, in any number, in a log that can continue.

The storefront simulates 2,000 shoppers for 30 days. The real fold processes their events with all its parts: features,
timers, ids of duplicates, open examples, messages. A larger population repeats these users under other ids. So its
states have the same sizes and variety, and a million users do not need hours of simulation.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from models.batch import Batch, Restored
from models.events import encode_event
from models.fold.partition import PartitionFold
from models.log import CONTROL, Tick, encode_control, opening
from models.profile.codec import pack, unpack
from models.storefront.storefront import Storefront
from models.units import DAY, HOUR
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.topics import create
from stream.cluster.writer import Writer
from stream.engine.state import POSITION_KEY, encode_position
from tests.benchmarks.feeding import feed
from tests.benchmarks.load import START_MS
from tests.benchmarks.log import log_of

DAYS = 30
SAMPLE = 2_000
_BATCH = 5_000
_CHUNK = 2_000


class ProfileRecord(NamedTuple):
    """One record of a log in memory."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes


class Month(NamedTuple):
    """Result of a simulated month of a sample.

    Attributes
    ----------
    states
        Packed states of the users, whose position is the beginning of the log that continues the month.
    memo
        Clock and versions of the partition.
    control
        Contents of the versions in use, by their keys.
    end
        Time of the clock at the end, milliseconds.
    events
        Number of events folded.
    """

    states: list[bytes]
    memo: bytes
    control: dict[bytes, bytes]
    end: int
    events: int


def fold_a_month(shoppers: int = SAMPLE, days: int = DAYS, seed: int = 1) -> Month:
    """Fold a simulated month of this number of shoppers."""
    state = Restored()
    fold = PartitionFold(state)
    waiting: list[ProfileRecord] = []
    events = 0
    for offset, (key, value) in enumerate(log_of(_month(shoppers, days, seed))):
        events += key[:1] != CONTROL
        waiting.append(ProfileRecord(offset, 0, key, value))
        if len(waiting) == _BATCH:
            state.apply(fold.fold(Batch("events", 0, waiting)).commit)
            waiting = []
    state.apply(fold.fold(Batch("events", 0, waiting)).commit)
    states = []
    for key, packed in state.records.items():
        if key[:1] != CONTROL:
            customer = unpack(packed)
            customer.seen = -1  # the log that continues from here begins at offset 0
            states.append(pack(customer))
    control = {key: value for key, value in state.records.items() if key[:1] == CONTROL}
    return Month(states, state.memo, control, fold.now, events)


def _month(shoppers: int, days: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    storefront = Storefront(seed=seed, shoppers=shoppers, days=days, start_ms=START_MS)
    for until in range(START_MS, START_MS + days * DAY + 1, HOUR):
        for event in storefront.advance(until):
            yield event.user.encode(), encode_event(event)
        yield encode_control(Tick(at=until))


def user_of(number: int) -> bytes:
    """Return the id of a user of a population."""
    return b"user-%07d" % number


def populate(connection: Connection, partitions: int, users: int, month: Month) -> dict[int, list[bytes]]:
    """Create the topics, write the profiles of this number of users, and return each partition's users.

    The log itself contains only the kind of its clock. The state contains the clock's time, the end of the month.
    """
    create(connection, partitions)
    homes: dict[int, list[bytes]] = defaultdict(list)
    for number in range(users):
        key = user_of(number)
        homes[partition_of(key, partitions)].append(key)
    asyncio.run(_write(connection, partitions, homes, month))
    return homes


async def _write(connection: Connection, partitions: int, homes: dict[int, list[bytes]], month: Month) -> None:
    await feed(connection, connection.topic("events"), partitions, [encode_control(opening("feeder"))])
    writer = Writer(connection)
    try:
        for partition in range(partitions):
            keys = homes[partition]
            for first in range(0, len(keys), _CHUNK):
                chunk = keys[first : first + _CHUNK]
                pairs: list[tuple[bytes, bytes | None]] = [
                    (key, month.states[int(key[5:]) % len(month.states)]) for key in chunk
                ]
                await writer.send_to("profiles", partition, pairs)
            own: list[tuple[bytes, bytes | None]] = [*month.control.items()]
            await writer.send_to("profiles", partition, [*own, (POSITION_KEY, encode_position(0, month.memo))])
    finally:
        await writer.close()
