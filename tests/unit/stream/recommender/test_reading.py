"""Reading of whole topics by a retrainer at its start."""

from __future__ import annotations

import asyncio

import pytest

from stream.cluster.connection import Connection
from stream.recommender.reading import SLACK, reading
from tests.support.brokers import Cluster
from tests.support.topic_reading import write


def read_numbers(connection: Connection, partitions: int, newest: int | None = None) -> list[int]:
    with reading(connection, "interactions", partitions, newest) as reader:
        return [int(record.value or b"") for record in reader.read_to_end()]


async def test_a_topic_is_read_from_its_beginning_to_its_end(cluster: Cluster) -> None:
    cluster.create(interactions=1)
    await write(cluster.connection, "interactions", [(b"u", b"%d" % number) for number in range(500)], 0)

    found = await asyncio.to_thread(read_numbers, cluster.connection, 1)

    assert found == list(range(500))


@pytest.mark.kafka
async def test_only_the_newest_records_of_a_long_topic_are_read_and_never_too_few(kafka: Cluster) -> None:
    kafka.create(interactions=2)
    for partition in range(2):
        await write(kafka.connection, "interactions", [(b"u", b"%d" % n) for n in range(1_000)], partition)

    found = sorted(await asyncio.to_thread(read_numbers, kafka.connection, 2, newest=100))

    first = 1_000 - SLACK * 51
    assert found == sorted([*range(first, 1_000)] * 2)
