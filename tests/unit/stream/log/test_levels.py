"""The level of a log is what its partitions began with, until a higher one is put into use in all of them."""

from __future__ import annotations

import pytest

from models.levels import FIRST, LEVEL, NEWEST
from models.log import Clock, Use, encode_control
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog
from stream.log.levels import level_in_use, raise_level
from stream.log.versions import read_uses
from tests.support.brokers import Cluster
from tests.support.control_records import read_controls

PARTITIONS = 3


@pytest.fixture
def connection(cluster: Cluster) -> Connection:
    topics.create(cluster.connection, partitions=PARTITIONS)
    return cluster.connection


async def begin(connection: Connection, *levels: int) -> None:
    """Write the first record of the first partitions."""
    async with EventLog(connection, PARTITIONS) as log:
        clocks = [(number, *encode_control(Clock("wall", level))) for number, level in enumerate(levels)]
        await log.write_at(clocks)


async def test_an_empty_log_and_a_log_that_this_code_creates_have_the_newest_level(connection: Connection) -> None:
    assert await level_in_use(connection, PARTITIONS) == NEWEST

    async with EventLog(connection, PARTITIONS) as log:
        await log.ensure_clock("wall")

    assert await level_in_use(connection, PARTITIONS) == NEWEST


async def test_a_log_without_a_level_has_the_first_one_even_if_only_one_partition_has_none(
    connection: Connection,
) -> None:
    await begin(connection, NEWEST, FIRST)

    assert await level_in_use(connection, PARTITIONS) == FIRST


async def test_a_partition_that_does_not_begin_with_a_clock_has_the_first_level(connection: Connection) -> None:
    async with EventLog(connection, PARTITIONS) as log:
        await log.write_at([(1, b"u1", b"{}")])

    assert await level_in_use(connection, PARTITIONS) == FIRST


async def test_a_raised_level_is_in_every_partition_and_in_versions_and_a_repeat_changes_nothing(
    connection: Connection,
) -> None:
    await begin(connection, *[FIRST] * PARTITIONS)

    await raise_level(connection, NEWEST)
    await raise_level(connection, NEWEST)

    assert await level_in_use(connection, PARTITIONS) == NEWEST
    assert {(use.name, use.version) for use in await read_uses(connection, LEVEL)} == {(LEVEL, NEWEST)}
    for partition in await read_controls(connection, PARTITIONS):
        assert [(one.name, one.version) for one in partition if isinstance(one, Use)] == [(LEVEL, NEWEST)] * 2
