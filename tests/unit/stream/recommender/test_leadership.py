"""One retrainer leads at a time, on both brokers.

On Kafka, a retrainer that stalled publishes nothing, because Kafka can fence it.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from stream.recommender.leadership import Leadership, LeadershipLost
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_all, read_until


async def await_standing(leadership: Leadership, standing: str) -> None:
    """Wait until a retrainer has this standing."""
    async with asyncio.timeout(60):
        while True:
            if leadership.standing() == standing:
                return
            await asyncio.sleep(0.05)  # the group does not report its decision


@pytest.fixture
def topics(cluster: Cluster) -> Cluster:
    cluster.create(versions=1)
    return cluster


async def test_a_retrainer_that_joins_stands_by_and_does_not_take_the_leadership_away(topics: Cluster) -> None:
    with Leadership(topics.connection) as first:
        await await_standing(first, "training")
        first.take()
        with Leadership(topics.connection) as second:
            await await_standing(second, "standby")
            await await_standing(first, "training")
            first.take()
            first.publish(b"recommend", b"1")
            with pytest.raises(LeadershipLost):
                second.publish(b"recommend", b"2")
        # the first one still leads after the second one has left
        await await_standing(first, "training")

    records = await read_until(topics.connection, "versions", bool)
    assert [record.value for record in records] == [b"1"]


async def test_the_other_retrainer_trains_when_the_leader_leaves(topics: Cluster) -> None:
    second = Leadership(topics.connection)
    with ExitStack() as stack:
        with Leadership(topics.connection) as first:
            await await_standing(first, "training")
            stack.enter_context(second)
            await await_standing(second, "standby")
        await await_standing(second, "training")
        second.take()
        second.publish(b"recommend", b"2")

    records = await read_until(topics.connection, "versions", bool)
    assert [record.value for record in records] == [b"2"]


@pytest.mark.kafka
async def test_a_leader_that_stalled_and_continues_beside_its_successor_publishes_nothing(kafka: Cluster) -> None:
    kafka.create(versions=1)
    with Leadership(kafka.connection) as stalled:
        await await_standing(stalled, "training")
        stalled.take()
        # as if the group had removed the stalled leader, and the leader had not noticed it yet
        successor = Leadership(kafka.connection)
        successor.take()
        with pytest.raises(LeadershipLost):
            stalled.publish(b"recommend", b"of the past")

    assert await read_all(kafka.connection, "versions") == []
