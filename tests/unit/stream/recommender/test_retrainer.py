"""A retrainer makes versions from interactions, and a worker uses them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.profile.recent_items import RecentItem
from models.recommend.factors import fit_items
from models.recommend.interactions import Interaction, encode_interaction
from models.recommend.model import FactorModel, Hyperparameters
from models.recommend.retraining import Fit
from models.recommend.window import SLACK
from stream.processes.stop import StopRequest
from stream.recommender.artifacts import ArtifactFolder, Published, decode_published
from stream.recommender.following import ModelWatch
from stream.recommender.retrainer import Retrainer, RetrainerOptions
from tests.support.brokers import Cluster
from tests.support.inprocess import until
from tests.support.tastes import interactions_of_two_tastes
from tests.support.topic_reading import read_until, write

PARTITIONS = 2
OPTIONS = RetrainerOptions(interval_s=0.1, fresh=50, hyperparameters=Hyperparameters(dimensions=8))


class Running(NamedTuple):
    """A retrainer that runs: its reports, and the request that stops it."""

    said: list[str]
    stop: StopRequest


@contextmanager
def retraining(
    cluster: Cluster, folder: ArtifactFolder, options: RetrainerOptions = OPTIONS, fit: Fit = fit_items
) -> Iterator[Running]:
    """Run a retrainer in a thread."""
    running = Running([], StopRequest())
    retrainer = Retrainer(cluster.connection, PARTITIONS, folder, options, fit, running.said.append)
    thread = threading.Thread(target=retrainer.run, args=(running.stop,))
    thread.start()
    try:
        yield running
    finally:
        running.stop.set()
        thread.join(20)
        assert not thread.is_alive()


async def send(cluster: Cluster, interactions: list[Interaction]) -> None:
    records = [(each.user.encode(), encode_interaction(each)) for each in interactions]
    await write(cluster.connection, "interactions", records)


async def said(running: Running, line: str, within_s: float = 60) -> None:
    """Wait until the retrainer has reported this line."""
    async with asyncio.timeout(within_s):
        while True:
            if line in running.said:
                return
            await asyncio.sleep(0.05)  # the retrainer reports from another thread


async def published(cluster: Cluster, version: int) -> Published:
    def decoded(records: list[ConsumerRecord]) -> list[Published]:
        return [decode_published(record.value) for record in records if record.value != b"garbage"]

    records = await read_until(
        cluster.connection, "versions", lambda found: any(each.version >= version for each in decoded(found))
    )
    newest = decoded(records)[-1]
    assert newest.version >= version
    return newest


def files_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


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
    answer = watch.recommend([RecentItem("a0", 1.0, 10**9)], now=10**9, k=3)
    await watch.stop()

    assert answer["version"] == 1
    assert [each["item"][0] for each in answer["items"]] == ["a", "a", "a"]
    assert answer["items"][0]["why"] == "because of a0"


async def test_a_restarted_retrainer_continues_with_the_next_version(topics: Cluster, tmp_path: Path) -> None:
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
    assert second.run.published is not None, "it was not compared with the previous version"


async def test_one_retrainer_trains_and_another_one_continues_after_its_end(topics: Cluster, tmp_path: Path) -> None:
    folder, once = ArtifactFolder(tmp_path), replace(OPTIONS, interval_s=3_600.0)
    await send(topics, interactions_of_two_tastes(users=80, seed=1))
    with retraining(topics, folder, once) as one:
        await published(topics, 1)
        with retraining(topics, folder, once) as other:
            await said(other, "stands by: another retrainer of this installation trains")
            await send(topics, interactions_of_two_tastes(users=80, seed=2, start=2 * 10**9))
            one.stop.set()
            await said(other, "trains from now on: the previous retrainer has ended")
            await published(topics, 2)

    records = await read_until(topics.connection, "versions", lambda found: len(found) >= 2)
    assert [decode_published(record.value).version for record in records] == [1, 2]


async def test_garbage_and_interactions_of_another_origin_are_skipped(topics: Cluster, tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path)
    unwanted = [
        Interaction(user="u0", item="simulated", weight=1.0, at=1, type="click", origin="simulate"),
        Interaction(user="u0", item="drowning", weight=1e30, at=1, type="click"),
        Interaction(user="u0", item="negative", weight=-1.0, at=1, type="click"),
        Interaction(user="u0", item="far", weight=1.0, at=10**18, type="click"),
    ]
    await write(topics.connection, "interactions", [(b"u0", b"garbage"), (b"u1", b"\xff\xfe")])
    await write(topics.connection, "versions", [(b"recommend", b"garbage")])
    await send(topics, unwanted)
    await send(topics, interactions_of_two_tastes(users=80, seed=1))
    live = replace(OPTIONS, origins=frozenset({"live"}))
    with retraining(topics, folder, live):
        found = await published(topics, 1)

    assert not {"simulated", "drowning", "negative", "far"} & set(folder.read(found).items)


async def test_a_retrainer_that_is_asked_to_stop_does_not_finish_its_training(topics: Cluster, tmp_path: Path) -> None:
    training = threading.Event()

    def fit_forever(
        confidence: csr_array,
        hyperparameters: Hyperparameters,
        *,
        start: NDArray[np.float32] | None,
        progress: Callable[[int, int], None] | None,
    ) -> NDArray[np.float32]:
        assert progress is not None
        while True:
            training.set()
            progress(1, 10)

    await send(topics, interactions_of_two_tastes(users=80, seed=1))
    with retraining(topics, ArtifactFolder(tmp_path), OPTIONS, fit_forever):
        assert await asyncio.to_thread(training.wait, 20)

    assert files_in(tmp_path) == []


async def test_a_run_that_fails_is_reported_and_repeated(topics: Cluster, tmp_path: Path) -> None:
    class FullOnce(ArtifactFolder):
        full = True

        def write(self, version: int, model: FactorModel) -> tuple[str, str]:
            if self.full:
                self.full = False
                raise OSError(28, "No space left on device")
            return super().write(version, model)

    await send(topics, interactions_of_two_tastes(users=80, seed=1))
    with retraining(topics, FullOnce(tmp_path)) as running:
        found = await published(topics, 1)

    assert found.version == 1
    assert "a run failed, the next one is in 0.1 s: OSError(28, 'No space left on device')" in running.said


async def test_nothing_is_read_during_a_long_training_and_the_window_is_bounded_afterwards(
    embedded: Cluster, tmp_path: Path
) -> None:
    trains, may_end = threading.Event(), threading.Event()

    def slowly(
        confidence: csr_array,
        hyperparameters: Hyperparameters,
        *,
        start: NDArray[np.float32] | None,
        progress: Callable[[int, int], None] | None,
    ) -> NDArray[np.float32]:
        trains.set()
        assert may_end.wait(60)
        return fit_items(confidence, hyperparameters, start=start, progress=progress)

    embedded.create(interactions=PARTITIONS, versions=1, items=1)
    rows, many = 1_000, interactions_of_two_tastes(users=2_000, seed=1)
    options = replace(OPTIONS, rows=rows)
    retrainer = Retrainer(embedded.connection, PARTITIONS, ArtifactFolder(tmp_path), options, slowly, lambda _: None)
    window, stop = retrainer.window, StopRequest()
    thread = threading.Thread(target=retrainer.run, args=(stop,))
    thread.start()
    try:
        await send(embedded, many[:500])
        await asyncio.to_thread(trains.wait, 60)
        read = window.added
        await send(embedded, many)  # the programs that write do not wait for the retrainer
        untouched = window.added == read
        may_end.set()
        await until(lambda: window.added == 500 + len(many), within_s=60)
    finally:
        may_end.set()
        stop.set()
        await asyncio.to_thread(thread.join, 60)

    assert untouched
    assert len(many) > 10 * rows
    assert len(window) <= rows * SLACK
