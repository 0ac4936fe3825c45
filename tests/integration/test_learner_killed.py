"""The death of a learner does not stop the fold, and after its restart the learner publishes again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.events import Event
from models.learning.churn import EVERY, FIRST
from models.learning.examples import CHURN_TOPIC, ChurnExample, encode_example, fingerprint
from models.log import Use, decode_control
from models.profile.features import FEATURES
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection
from stream.installation.running import Installation, await_folding, own_ports, running
from stream.log.event_log import EventLog
from stream.lookup.client import UnknownUser, ask_json
from stream.settings.loading import Settings, load
from stream.settings.worker_addresses import worker_urls
from tests.support.processes import roles_below
from tests.support.topic_reading import write

pytestmark = pytest.mark.slow

CLICKS = 20


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "perennial.yaml").write_text("version: 1\nfolder: data\n")
    with running(load(tmp_path / "perennial.yaml", dict(own_ports())), ("worker",)) as started:
        await_folding(started)
        yield started


async def test_profiles_change_while_the_learner_is_dead_and_it_publishes_again_after_its_restart(
    installation: Installation,
) -> None:
    settings, connection = installation.settings, installation.settings.connection()
    (worker,) = installation.supervisor.statuses()
    assert worker.pid is not None
    await write(connection, CHURN_TOPIC, examples(FIRST, seed=1), partition=0)
    first = await published(connection, at_least=1)

    keeping_dead = asyncio.create_task(keep_dead(worker.pid))
    await write(connection, CHURN_TOPIC, examples(EVERY, seed=2), partition=0)
    async with EventLog(connection, settings.partitions) as log:
        for number in range(CLICKS):
            at = time.time_ns() // 1_000_000
            await log.append([Event(id=f"m{number}", user="ann", type="click", at=at, item=f"i{number}")])
            await ann(settings, clicks=number + 1)
    meanwhile = await published(connection, at_least=1)
    keeping_dead.cancel()
    again = await published(connection, at_least=first + 1)

    assert (first, meanwhile, again) == (1, 1, 2)
    # The fold, which has continued without the learner, uses the new version.
    await ann(settings, clicks=CLICKS, version=again)


async def keep_dead(worker: int) -> None:
    """Kill the learner, and every learner that is started instead, with ``kill -9``."""
    while True:
        learner = roles_below(worker).get("learn")
        if learner is not None:
            os.kill(learner, signal.SIGKILL)
        await asyncio.sleep(0.05)  # poll: the process table sends no notification


def examples(count: int, seed: int) -> list[tuple[bytes, bytes]]:
    """Make labelled rows as the fold writes them, for random users."""
    chance, schema = random.Random(seed), fingerprint(FEATURES)
    found = []
    for number in range(count):
        row = [chance.uniform(0, 3) for _ in FEATURES]
        example = ChurnExample(user=f"u{number}", at=1, due=2, schema=schema, row=row, churned=chance.random() < 0.5)
        found.append((example.user.encode(), encode_example(example)))
    return found


async def ann(settings: Settings, *, clicks: int, version: int = 1, within_s: float = 30) -> None:
    """Wait until the fold has counted this many clicks of the user ``ann``, with this version of the churn model."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                user = await ask_json(worker_urls(settings.sections.worker)[:1], "/v1/users/ann")
                if (user["profile"]["events"]["click"], user["versions"]["churn"]) == (clicks, version):
                    return
            except UnknownUser:
                pass  # not folded yet
            await asyncio.sleep(0.02)  # poll: a process sends no notification


async def published(connection: Connection, at_least: int, within_s: float = 60) -> int:
    """Wait until a version of the churn model has at least this number; return the number of the newest version."""
    async with asyncio.timeout(within_s):
        while True:
            value = (await read_compacted(connection, "versions", 0)).get(b"churn")
            use = None if value is None else decode_control(value)
            if isinstance(use, Use) and use.version >= at_least:
                return use.version
            await asyncio.sleep(0.1)
