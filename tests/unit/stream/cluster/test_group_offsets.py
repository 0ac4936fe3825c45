"""Offsets of a consumer group, read without joining it."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer

from stream.cluster.group_offsets import GroupOffsets
from stream.cluster.topic_reader import partitions_of
from tests.support.brokers import Cluster


async def test_committed_offsets_are_read_and_missing_ones_are_none(cluster: Cluster) -> None:
    cluster.create(events=2)
    connection = cluster.connection
    first, second = partitions_of(connection, "events", 2)
    member = AIOKafkaConsumer(
        **connection.client_options(), group_id=connection.group("fold"), enable_auto_commit=False
    )
    await member.start()
    try:
        member.assign([first])
        await member.commit({first: 7})
        async with GroupOffsets(connection, "fold", [first, second]) as offsets:
            found = await offsets.read()
    finally:
        await member.stop()

    assert found == {first: 7, second: None}
