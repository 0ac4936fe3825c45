"""Interactions go in, a version comes out, and whoever watches swaps it in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.customer.state import Touch
from models.recommend.factors import fit_items
from models.recommend.interactions import Interaction, encode_interaction
from models.recommend.model import Hyperparameters
from stream.artifacts import ArtifactFolder, Published, decode_published
from stream.model_watch import ModelWatch
from stream.retrainer.process import Retrainer, RetrainerOptions
from stream.stop import StopRequest
from tests.brokers import Cluster
from tests.models.recommend.tastes import interactions_of_two_tastes
from tests.stream.reading import read_until, write

PARTITIONS = 2
OPTIONS = RetrainerOptions(interval_s=0.1, fresh=50, hyperparameters=Hyperparameters(dimensions=8))


@contextmanager
def retraining(cluster: Cluster, folder: ArtifactFolder) -> Iterator[list[str]]:
    """Run a retrainer in a thread; yields what it reports."""
    said: list[str] = []
    stop = StopRequest()
    retrainer = Retrainer(cluster.connection, PARTITIONS, folder, OPTIONS, fit_items, said.append)
    thread = threading.Thread(target=retrainer.run, args=(stop,))
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


async def send(cluster: Cluster, interactions: list[Interaction]) -> None:
    records = [(each.user.encode(), encode_interaction(each)) for each in interactions]
    await write(cluster.connection, "interactions", records)


async def published(cluster: Cluster, version: int) -> Published:
    records = await read_until(
        cluster.connection,
        "versions",
        lambda found: any(decode_published(record.value).version >= version for record in found),
    )
    return decode_published(records[-1].value)


@pytest.fixture
def topics(cluster: Cluster) -> Cluster:
    cluster.create(interactions=PARTITIONS, versions=1, items=1)
    return cluster


async def test_interactions_become_a_version_that_a_watch_recommends_from(topics: Cluster, tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path)
    watch = ModelWatch(topics.connection, folder)
    await watch.start()
    await send(topics, interactions_of_two_tastes(users=80, seed=1))
    with retraining(topics, folder):
        await asyncio.wait_for(watch.until(lambda it: it.version == 1), 30)
    answer = watch.recommend([Touch("a0", 1.0, 10**9)], now=10**9, k=3)
    await watch.stop()

    assert answer["version"] == 1
    assert [each["item"][0] for each in answer["items"]] == ["a", "a", "a"]
    assert answer["items"][0]["why"] == "because of a0"


async def test_a_restarted_retrainer_goes_on_with_the_next_version(topics: Cluster, tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path)
    await send(topics, interactions_of_two_tastes(users=80, seed=1))
    with retraining(topics, folder):
        first = await published(topics, 1)
    await send(topics, interactions_of_two_tastes(users=80, seed=2, start=2 * 10**9))
    with retraining(topics, folder):
        second = await published(topics, 2)

    assert (first.version, second.version) == (1, 2)
    assert second.previous == first
    assert second.trained_until > first.trained_until
    assert second.run.published is not None, "it was compared with the one before"
