"""A learner that is killed at any moment ends with the same bytes as a learner that was never killed."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from models.learning.churn import ChurnLearner
from models.learning.examples import (
    CHURN_TOPIC,
    SEGMENTS_TOPIC,
    ChurnExample,
    SegmentExample,
    encode_example,
    fingerprint,
)
from models.learning.lesson import KEY
from models.learning.segments import SegmentLearner
from models.log import USE_KEY, Use, decode_control
from models.profile.features import FEATURES
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.engine.state import restore
from tests.support.brokers import Cluster
from tests.support.learning_worker import POINTS
from tests.support.topic_reading import read_until, write
from tests.support.workers import running_worker

pytestmark = pytest.mark.slow

EXAMPLES, PART, CHUNK, SEED = 1_500, 300, 30, 5


def rows(count: int) -> Iterator[list[float]]:
    chance = random.Random(SEED)
    for _ in range(count):
        yield [chance.uniform(0, 3) for _ in FEATURES]


SCHEMA = fingerprint(FEATURES)
CHURN = [
    ChurnExample(user=f"u{n}", at=n, due=n + 1, schema=SCHEMA, row=row, churned=row[0] > 1.5)
    for n, row in enumerate(rows(EXAMPLES))
]
SEGMENTS = [SegmentExample(user=f"u{n}", at=n, schema=SCHEMA, row=row) for n, row in enumerate(rows(EXAMPLES))]


async def test_a_learner_killed_at_every_point_and_at_a_random_moment_has_the_state_of_an_uninterrupted_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    connection, log = cluster.connection, tmp_path / "learn.log"
    await asyncio.to_thread(topics.create, connection, 2)
    parts = [range(first, first + PART) for first in range(0, EXAMPLES, PART)]
    deaths = []
    # Each kill takes long, because a dead member blocks its group for a whole session. On the embedded broker every
    # commit is one batch, so one point is enough there.
    points = POINTS if connection.transactions else POINTS[1:2]
    for number, (point, part) in enumerate(zip(points, parts, strict=False), start=1):
        with running_worker(connection, log, "tests.support.learning_worker", point) as worker:
            await opened(log, 2 * number)
            await feed(connection, part, worker)
            deaths.append(await asyncio.to_thread(worker.wait, 90))
    with running_worker(connection, log, "tests.support.learning_worker") as worker:
        await learned(connection, at_least=parts[len(points)].start)
        feeding = asyncio.create_task(feed(connection, parts[len(points)], worker))
        await asyncio.sleep(random.Random(SEED).uniform(0.2, 2))
        worker.kill()
        await feeding
    undisturbed = {"churn": uninterrupted(ChurnLearner(FEATURES), CHURN)}
    undisturbed["segments"] = uninterrupted(SegmentLearner(FEATURES), SEGMENTS)
    with running_worker(connection, log, "tests.support.learning_worker") as worker:
        for part in parts[len(points) + 1 :]:
            await feed(connection, part, worker)
        await learned(connection, at_least=EXAMPLES)
        published = {name: await uses(connection, name, max(versions)) for name, (_, versions) in undisturbed.items()}

    assert deaths == [-signal.SIGKILL] * len(points)
    for name, (state, versions) in undisturbed.items():
        restored = await restore(connection, f"learners.{name}", 0)
        assert (restored.position, restored.records) == (EXAMPLES, {KEY: state})
        # Each published version is the one that an uninterrupted run publishes under that number.
        assert {use.version: bytes(use.content) for use in published[name]}.items() <= versions.items()
        assert published[name][-1].version == max(versions)


def uninterrupted(learner: Any, examples: Sequence[Any]) -> tuple[bytes, dict[int, bytes]]:
    """Return the state of a learner that is never killed, and the content of each of its versions."""
    versions = {}
    for example in examples:
        version = learner.learn_one(example)
        if version is not None:
            versions[version.version] = version.content
    return learner.state(), versions


async def feed(connection: Connection, part: range, worker: subprocess.Popen[bytes]) -> None:
    """Write some of the examples in chunks.

    A chunk is written only after the worker has committed the previous chunk, or has died. So each chunk has its own
    commit.
    """
    for first in part[::CHUNK]:
        for topic, examples in ((CHURN_TOPIC, CHURN), (SEGMENTS_TOPIC, SEGMENTS)):
            chunk: Sequence[ChurnExample | SegmentExample] = examples[first : first + CHUNK]
            await write(connection, topic, [(e.user.encode(), encode_example(e)) for e in chunk], partition=0)
        await learned(connection, first + CHUNK, unless=lambda: worker.poll() is not None)


async def opened(log: Path, lanes: int, within_s: float = 90) -> None:
    """Wait until a log file names this many opened lanes."""
    async with asyncio.timeout(within_s):
        while True:
            if (await asyncio.to_thread(log.read_text)).count(": open at") >= lanes:
                return
            await asyncio.sleep(0.1)  # poll: a file sends no notification


async def learned(
    connection: Connection, at_least: int, unless: Callable[[], bool] = lambda: False, within_s: float = 90
) -> None:
    """Wait until both learners have committed this many examples, or until ``unless`` returns true."""
    async with asyncio.timeout(within_s):
        for name in ("churn", "segments"):
            while not unless():
                # Commits do not extend the topic faster than it is read here, because it has one key and few commits.
                # A killed worker leaves a transaction open, for whose end a reading of the whole topic would wait.
                is_open = connection.transactions
                if (await restore(connection, f"learners.{name}", 0, in_use=is_open)).position >= at_least:
                    break
                await asyncio.sleep(0.2)  # poll: a state topic sends no notification


async def uses(connection: Connection, name: str, until: int) -> list[Use]:
    """Wait for version ``until`` of a model; return the model's versions in the first partition of the log so far."""

    def found(records: list[ConsumerRecord]) -> list[Use]:
        controls = [decode_control(r.value) for r in records if r.partition == 0 and r.key == USE_KEY]
        return [control for control in controls if isinstance(control, Use) and control.name == name]

    records = await read_until(
        connection, "events", lambda read: any(use.version >= until for use in found(read)), within_s=60
    )
    return found(records)
