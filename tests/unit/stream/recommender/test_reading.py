"""What a retrainer reads at its start."""

from __future__ import annotations

import pytest

from stream.recommender.reading import SLACK, reading
from tests.support.brokers import Cluster
from tests.support.topic_reading import write


async def test_everything_is_read_from_the_beginning_to_the_end(cluster: Cluster) -> None:
    cluster.create(interactions=1)
    await write(cluster.connection, "interactions", [(b"u", b"%d" % number) for number in range(500)], 0)

    with reading(cluster.connection, "interactions", 1) as reader:
        found = [int(record.value) for record in reader.read_to_end()]

    assert found == list(range(500))


@pytest.mark.kafka
async def test_of_a_long_topic_only_the_newest_are_read_and_never_too_few(kafka: Cluster) -> None:
    kafka.create(interactions=2)
    for partition in range(2):
        await write(kafka.connection, "interactions", [(b"u", b"%d" % n) for n in range(1_000)], partition)

    with reading(kafka.connection, "interactions", 2, newest=100) as reader:
        found = sorted(int(record.value) for record in reader.read_to_end())

    first = 1_000 - SLACK * 51
    assert found == sorted([*range(first, 1_000)] * 2)
