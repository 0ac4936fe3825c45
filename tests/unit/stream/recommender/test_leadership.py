"""One retrainer at a time, on both brokers; who stalled publishes nothing, on the one that can fence."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from stream.recommender.leadership import Turn, TurnLost
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_until


async def stands(turn: Turn, standing: str) -> None:
    """Return when a turn is that."""
    async with asyncio.timeout(60):
        while True:
            if turn.standing() == standing:
                return
            await asyncio.sleep(0.05)  # a group can only be asked


@pytest.fixture
def topics(cluster: Cluster) -> Cluster:
    cluster.create(versions=1)
    return cluster


async def test_one_that_joins_stands_by_and_takes_nobodys_turn_away(topics: Cluster) -> None:
    with Turn(topics.connection) as first:
        await stands(first, "training")
        first.take()
        with Turn(topics.connection) as second:
            await stands(second, "standby")
            await stands(first, "training")
            first.take()
            first.publish(b"recommend", b"1")
            with pytest.raises(TurnLost):
                second.publish(b"recommend", b"2")
        # and when the other leaves
        await stands(first, "training")

    records = await read_until(topics.connection, "versions", bool)
    assert [record.value for record in records] == [b"1"]


async def test_when_the_first_one_leaves_the_second_one_trains(topics: Cluster) -> None:
    second = Turn(topics.connection)
    with ExitStack() as stack:
        with Turn(topics.connection) as first:
            await stands(first, "training")
            stack.enter_context(second)
            await stands(second, "standby")
        await stands(second, "training")
        second.take()
        second.publish(b"recommend", b"2")

    records = await read_until(topics.connection, "versions", bool)
    assert [record.value for record in records] == [b"2"]


@pytest.mark.kafka
async def test_who_stalled_and_wakes_up_beside_its_successor_publishes_nothing(kafka: Cluster) -> None:
    kafka.create(versions=1)
    with Turn(kafka.connection) as stalled:
        await stands(stalled, "training")
        stalled.take()
        # the group has forgotten it, which it does not know yet
        successor = Turn(kafka.connection)
        successor.take()
        with pytest.raises(TurnLost):
            stalled.publish(b"recommend", b"of the past")

    assert await read_until(kafka.connection, "versions", bool, within_s=1) == []
