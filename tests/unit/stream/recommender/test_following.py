"""The follower of models in a worker uses the newest version, and never a damaged one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.profile.recent_items import RecentItem
from models.recommend.catalogue import Catalogue, Item, encode_item
from models.recommend.model import FactorModel, Hyperparameters, model_of
from models.recommend.new_items import NEW
from models.recommend.retraining_report import RetrainingReport
from monitoring.testing import value
from stream.recommender.artifacts import ArtifactFolder, Published, encode_published
from stream.recommender.following import ModelWatch
from tests.support.brokers import Cluster
from tests.support.topic_reading import write

RUN = RetrainingReport(publish=True, reason="good enough", cut=1, rows=2, users=3, items=4)
ITEMS = ("mug", "pot", "pan")


@pytest.fixture
def topics(cluster: Cluster) -> Cluster:
    cluster.create(versions=1, items=1)
    return cluster


@pytest.fixture
def folder(tmp_path: Path) -> ArtifactFolder:
    return ArtifactFolder(tmp_path)


@pytest.fixture
async def watch(topics: Cluster, folder: ArtifactFolder) -> AsyncIterator[ModelWatch]:
    watch = ModelWatch(topics.connection, folder)
    await watch.start()
    yield watch
    await watch.stop()


def written(folder: ArtifactFolder, version: int) -> Published:
    factors = np.array([[1.0, 0.0], [0.9, 0.0], [0.0, 1.0]], np.float32)
    model = model_of(ITEMS, factors, np.array([1, 2, 3], np.float32), Hyperparameters(dimensions=2, trend=0.0))
    file, sha256 = folder.write(version, model)
    return Published(version=version, file=file, sha256=sha256, trained_at=5, trained_until=4, run=RUN)


async def publish(topics: Cluster, *published: Published) -> None:
    await write(topics.connection, "versions", [encode_published(each) for each in published])


def counted(name: str, **labels: str) -> float:
    return value(name, **labels) or 0.0


def shown(watch: ModelWatch) -> list[str]:
    return [each["item"] for each in watch.recommend([RecentItem("mug", 1.0, 0)], now=0, k=10)["items"]]


async def test_nothing_is_recommended_before_the_first_version(watch: ModelWatch) -> None:
    assert watch.recommend([], now=0, k=3) == {"version": 0, "trained_until": None, "items": []}


async def test_the_newest_version_is_in_use(topics: Cluster, folder: ArtifactFolder, watch: ModelWatch) -> None:
    await publish(topics, written(folder, 2), written(folder, 1))
    await asyncio.wait_for(watch.until(lambda it: it.version == 2), 20)

    assert watch.recommend([RecentItem("mug", 1.0, 0)], now=0, k=1) == {
        "version": 2,
        "trained_until": 4,
        "items": [{"item": "pot", "score": pytest.approx(0.9, abs=0.2), "why": "because of mug"}],
    }


async def test_a_damaged_artifact_is_refused_and_the_model_in_use_is_kept(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch
) -> None:
    good = written(folder, 1)
    await publish(topics, good)
    await asyncio.wait_for(watch.until(lambda it: it.version == 1), 20)
    await publish(topics, msgspec.structs.replace(good, version=2, sha256="0" * 64))
    await asyncio.wait_for(watch.until(lambda it: it.refused is not None), 20)
    in_use = watch.version
    await publish(topics, msgspec.structs.replace(good, version=3))
    await asyncio.wait_for(watch.until(lambda it: it.version == 3), 20)

    assert in_use == 1


async def test_a_worker_that_starts_with_a_damaged_version_uses_the_previous_one(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch
) -> None:
    good = written(folder, 1)
    await publish(topics, msgspec.structs.replace(good, version=2, sha256="0" * 64, previous=good))
    await asyncio.wait_for(watch.until(lambda it: it.refused is not None), 20)

    assert watch.version == 1
    assert shown(watch) == ["pot", "pan"]


async def test_a_file_that_arrives_late_is_used_without_a_new_record(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.recommender.following.RETRY_S", 0.1)
    published = written(folder, 1)
    data = (folder.path / published.file).read_bytes()
    (folder.path / published.file).unlink()
    await publish(topics, published)
    await asyncio.wait_for(watch.until(lambda it: it.refused is not None), 20)
    (folder.path / published.file).write_bytes(data)
    await asyncio.wait_for(watch.until(lambda it: it.version == 1), 20)

    assert shown(watch) == ["pot", "pan"]


async def test_garbage_in_the_topics_is_skipped(topics: Cluster, folder: ArtifactFolder, watch: ModelWatch) -> None:
    await write(topics.connection, "items", [(b"mug", b"garbage"), (b"\xff", b"{}"), (b"\x00new", b"{}")])
    await write(topics.connection, "versions", [(b"recommend", b"garbage"), (b"churn", b"{}")])
    await publish(topics, written(folder, 1))
    await asyncio.wait_for(watch.until(lambda it: it.version == 1), 20)

    assert shown(watch) == ["pot", "pan"]


async def test_a_sold_out_item_disappears_and_titles_are_shown(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch
) -> None:
    await publish(topics, written(folder, 1))
    await asyncio.wait_for(watch.until(lambda it: it.version == 1), 20)
    items = [Item(id="pan", stock=0), Item(id="pot", title="Pot", price=5, stock=2)]
    await write(topics.connection, "items", [(item.id.encode(), encode_item(item)) for item in items])
    await asyncio.wait_for(watch.until(lambda it: len(it.catalogue) == len(items)), 20)
    answer = watch.recommend([RecentItem("mug", 1.0, 0)], now=0, k=10)

    assert [(each["item"], each["title"], each["price"]) for each in answer["items"]] == [("pot", "Pot", 5)]


async def test_new_items_are_recommended_and_an_empty_answer_has_a_reason(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch
) -> None:
    touched = [RecentItem(item, 1.0, 0) for item in ITEMS]
    await publish(topics, written(folder, 1))
    await asyncio.wait_for(watch.until(lambda it: it.version == 1), 20)
    without_catalogue = watch.recommend(touched, now=0, k=3, user="big")
    await write(topics.connection, "items", [(b"vase", encode_item(Item(id="vase")))])
    await asyncio.wait_for(watch.until(lambda it: len(it.catalogue) == 1), 20)
    for_known = watch.recommend(touched, now=0, k=3, user="big")
    for_stranger = watch.recommend([], now=0, k=3)
    touched_all = watch.recommend([*touched, RecentItem("vase", 1.0, 0)], now=0, k=3)
    await write(topics.connection, "items", [(b"vase", encode_item(Item(id="vase", stock=0)))])
    await asyncio.wait_for(watch.until(lambda it: not it.catalogue.sells("vase")), 20)
    sold_out = watch.recommend(touched, now=0, k=3)

    assert (without_catalogue["items"], without_catalogue["empty"]) == ([], "all_known_touched")
    assert [(each["item"], each["why"]) for each in for_known["items"]] == [("vase", NEW)]
    assert [(each["item"], each["why"]) for each in for_stranger["items"]] == [("vase", NEW)]
    assert (touched_all["items"], touched_all["empty"]) == ([], "all_touched")
    assert (sold_out["items"], sold_out["empty"]) == ([], "nothing_for_sale")


async def test_a_first_version_that_cannot_be_loaded_is_named(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch
) -> None:
    await publish(topics, msgspec.structs.replace(written(folder, 4), sha256="0" * 64))
    await asyncio.wait_for(watch.until(lambda it: it.refused is not None), 20)

    assert watch.recommend([], now=0, k=3) == {"version": 0, "trained_until": None, "items": [], "refused": 4}


@pytest.fixture
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry soon; a watch must be started after this."""
    monkeypatch.setattr("stream.recommender.following.RETRY_S", 0.1)


@pytest.mark.usefixtures("soon_again")
async def test_any_failure_is_counted_and_the_topics_are_followed_again(
    topics: Cluster,
    folder: ArtifactFolder,
    watch: ModelWatch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    apply, failures = Catalogue.apply, iter([RuntimeError("a bug of ours")])

    def failing(catalogue: Catalogue, key: bytes, value: bytes | None) -> None:
        for failure in failures:
            raise failure
        apply(catalogue, key, value)

    monkeypatch.setattr(Catalogue, "apply", failing)
    before = counted("model_watch_failures", error="RuntimeError")
    await write(topics.connection, "items", [(b"pot", encode_item(Item(id="pot")))])
    await publish(topics, written(folder, 1))
    await asyncio.wait_for(watch.until(lambda it: it.version == 1 and len(it.catalogue) == 1), 20)

    assert shown(watch) == ["pot"]
    assert counted("model_watch_failures", error="RuntimeError") == before + 1
    assert "in failing" in caplog.text  # the traceback


async def test_a_version_that_cannot_be_loaded_does_not_block_the_catalogue(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ArtifactFolder.read

    def failing(it: ArtifactFolder, published: Published) -> FactorModel:
        if published.version == 2:
            raise RuntimeError("a bug of ours")
        return read(it, published)

    monkeypatch.setattr(ArtifactFolder, "read", failing)
    await publish(topics, written(folder, 1))
    await asyncio.wait_for(watch.until(lambda it: it.version == 1), 20)
    await publish(topics, written(folder, 2))
    await asyncio.wait_for(watch.until(lambda it: it.refused is not None), 20)
    await write(topics.connection, "items", [(b"pot", encode_item(Item(id="pot")))])
    await asyncio.wait_for(watch.until(lambda it: len(it.catalogue) == 1), 20)

    assert (watch.version, shown(watch)) == (1, ["pot"])


async def test_the_previous_catalogue_answers_while_a_new_one_is_computed(
    topics: Cluster, folder: ArtifactFolder, watch: ModelWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    sells, looking, go_on = Catalogue.sells, threading.Event(), threading.Event()
    here = threading.current_thread()
    on_the_loop: list[str] = []

    def slow(catalogue: Catalogue, item_id: str) -> bool:
        if threading.current_thread() is here:
            on_the_loop.append(item_id)
        elif catalogue.imported:
            looking.set()
            go_on.wait(20)
        return sells(catalogue, item_id)

    monkeypatch.setattr(Catalogue, "sells", slow)
    await publish(topics, written(folder, 1))
    await asyncio.wait_for(watch.until(lambda it: it.version == 1), 20)
    await write(topics.connection, "items", [(b"pan", encode_item(Item(id="pan")))])
    assert await asyncio.to_thread(looking.wait, 20)
    meanwhile = shown(watch)
    go_on.set()
    await asyncio.wait_for(watch.until(lambda it: len(it.catalogue) == 1), 20)

    assert (meanwhile, shown(watch)) == (["pot", "pan"], ["pan"])
    assert on_the_loop == []
