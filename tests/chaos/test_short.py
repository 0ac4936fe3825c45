"""A few faults under load, in under three minutes; the long suite does fifty rounds of the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.app import EXIT_NOT_OWNER
from stream.connection import Connection
from tests.brokers import ApacheKafka, running_kafka
from tests.chaos.harness import Chaos, Deed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[ApacheKafka]:
    """A broker that nobody else uses: it will be killed."""
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    folder = tmp_path / "kafka"
    folder.mkdir()
    yield from running_kafka(folder)


async def test_nothing_is_lost_and_nothing_twice_when_workers_die_or_stall_and_the_broker_is_killed(
    own_kafka: ApacheKafka, tmp_path: Path
) -> None:
    connection = Connection(own_kafka.address, prefix="chaos.", session_timeout_s=6)
    deeds: list[Deed] = ["kill", "stall", "broker", "terminate", "stall", "broker"]
    async with Chaos(own_kafka, connection, tmp_path, seed=3) as chaos:
        await chaos.await_copies(2_000)
        await chaos.do_all(deeds)
        books = await chaos.settle()

    assert books.balanced, (books, (tmp_path / "workers.log").read_text()[-4_000:])
    assert books.exits[EXIT_NOT_OWNER] > 0, "no stalled worker ever woke up beside its successor"
