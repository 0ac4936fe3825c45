from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from typing import NoReturn

import pytest

from models.configuration.compiled import Configuration, EventSettings
from models.units import DAY
from stream.cluster.connection import Connection
from stream.collector.configuration_watch import ConfigurationWatch
from stream.log.versions import publish
from tests.support.brokers import Cluster

DEFAULT = Configuration()


def days(horizon: int) -> Configuration:
    return Configuration(events=EventSettings(horizon=horizon * DAY))


async def test_the_newest_configuration_of_the_log_is_followed(cluster: Cluster) -> None:
    cluster.create(events=1, versions=1)
    watch = ConfigurationWatch(cluster.connection)
    assert watch.configuration is None
    task = asyncio.create_task(watch.follow())
    try:
        async with asyncio.timeout(20):
            assert await watch.current() == DEFAULT
            for number, horizon in enumerate((5, 6, 7), start=1):
                assert (await publish(cluster.connection, days(horizon))).version == number
                found = await watch.current(number)
                assert found is not None
                assert found.events.horizon == horizon * DAY
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_no_configuration_is_known_while_kafka_is_away_and_reading_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts, repeated = itertools.count(1), asyncio.Event()

    def failing(*_: object) -> NoReturn:
        if next(attempts) == 3:
            repeated.set()
        raise OSError("Kafka is away")

    monkeypatch.setattr("stream.collector.configuration_watch.TopicReader", failing)
    watch = ConfigurationWatch(Connection("127.0.0.1:1"), retry_s=0.0)
    task = asyncio.create_task(watch.follow())
    async with asyncio.timeout(10):
        await repeated.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert watch.configuration is None
