"""Runs under way move to a new version while the fold is killed, and a pause acts within a second."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from models.batch import Batch, Restored
from models.events import Event
from models.fold.partition import PartitionFold
from models.profile.codec import unpack
from models.profile.state import Customer
from stream.installation.running import Installation, StartOptions, await_folding, own_ports, running
from stream.log.event_log import EventLog
from stream.lookup.client import LookupFailed, ask_state
from stream.rebuild.reading import read_log
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls
from tests.integration.test_identity_split import command
from tests.support.brokers import ApacheKafka
from tests.support.processes import roles_below

PARTITIONS, USERS, KILLS = 3, 150, 3
LATE = {"after": "30d", "as": "late"}
_numbers = itertools.count()
pytestmark = pytest.mark.slow


def trial(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "trial", "enter": {"on": {"event": "Start"}}, "exit": [LATE], "steps": list(steps), **more}


def sides(first: dict[str, Any], *second: dict[str, Any]) -> dict[str, Any]:
    """Return a branch: half of the users go one way."""
    half = {"bucket": "sides", "below": "50%"}
    return {"id": "sides", "branch": [{"if": half, "do": [first]}, {"else": list(second)}]}


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """A running worker; its settings are in the folder from which commands are run."""
    flags: dict[str, Any] = {**own_ports(), "folder": str(tmp_path / "data"), "kafka.partitions": PARTITIONS}
    if request.param == "kafka":
        broker: ApacheKafka = request.getfixturevalue("kafka_broker")
        prefix = f"inflight{os.getpid()}-{next(_numbers)}."
        flags |= {"kafka.servers": broker.address, "kafka.prefix": prefix, "kafka.embedded": False}
    with running(load(None, flags), ("worker",), StartOptions(logs=tmp_path / "logs")) as started:
        await_folding(started)
        yield started


class Shop:
    """The installation, its users, and its settings file."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        self.users = [f"u{number}" for number in range(USERS)]

    def describe(self, journey: dict[str, Any]) -> None:
        """Write the settings file."""
        sections = self.installation.settings.sections
        kafka = {"servers": sections.kafka.servers, "prefix": sections.kafka.prefix, "partitions": PARTITIONS}
        kafka["embedded"] = sections.kafka.embedded
        content = {"version": 1, "folder": str(self.folder / "data"), "kafka": kafka}
        content |= {"worker": {"port": sections.worker.port}, "journeys": [journey]}
        (self.folder / "perennial.yaml").write_text(json.dumps(content))

    async def said(self, *arguments: str, typed: str = "") -> str:
        """Run a command until the workers answer, and return its output."""
        async with asyncio.timeout(90):
            while True:
                code, out, err = await command(self.folder, *arguments, typed=typed)
                if code == 0:
                    return out + err
                assert "no worker" in err, err
                await asyncio.sleep(0.2)

    async def start(self) -> None:
        """Let every user enter."""
        async with EventLog(self.installation.settings.connection(), PARTITIONS) as log:
            at = time.time_ns() // 1_000_000
            await log.append([Event(id=f"s-{u}", user=u, type="custom", at=at, name="Start") for u in self.users])

    async def state(self, user: str) -> Customer | None:
        with suppress(LookupFailed):
            return unpack((await ask_state(worker_urls(self.installation.settings.sections.worker)[:1], user)).packed)
        return None

    async def known(self, user: str) -> Customer:
        """Wait until the worker answers about a user."""
        async with asyncio.timeout(30):
            while True:
                if (found := await self.state(user)) is not None:
                    return found
                await asyncio.sleep(0.1)  # poll: a process sends no notification

    async def counts(self, **wanted: Any) -> dict[str, Any]:
        """Wait until ``perennial journeys show`` says these numbers, and return all."""
        async with asyncio.timeout(90):
            while True:
                found: dict[str, Any] = json.loads(await self.said("journeys", "show", "trial", "--json"))
                found["number"] = sum(found["under_way"].values())
                if {name: found[name] for name in wanted} == wanted:
                    return found
                await asyncio.sleep(0.1)  # poll: a process sends no notification

    async def kill(self, is_done: asyncio.Event) -> int:
        """Kill the process that folds as soon as it answers, a few times, and return how often."""
        killed = 0
        while killed < KILLS and not is_done.is_set():
            (worker,) = self.installation.supervisor.statuses()
            fold = None if worker.pid is None else roles_below(worker.pid).get("fold")
            if fold is not None and await self.state("u1") is not None:
                os.kill(fold, signal.SIGKILL)
                killed += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(is_done.wait(), 0.3)
        return killed


async def reference(installation: Installation) -> dict[str, Customer]:
    """Return all profiles as a fold of the whole log has them."""
    found: dict[str, Customer] = {}
    for partition in range(PARTITIONS):
        state = Restored(partition=partition)
        fold = PartitionFold(state)
        async for records in read_log(installation.settings.connection(), partition, 0):
            state.apply(fold.fold(Batch("events", partition, records)).commit, records[-1].offset + 1)
        found |= {key.decode(): unpack(packed) for key, packed in state.records.items() if key[:1] != b"\x00"}
    return found


async def test_runs_move_exactly_once_although_the_fold_is_killed(installation: Installation, tmp_path: Path) -> None:
    shop = Shop(installation, tmp_path)
    long, removed = {"id": "long", "wait": "2d"}, {"id": "removed", "wait": "2d"}
    shop.describe(trial(sides(long, removed), {"set": {"done": 1}}))
    await shop.said("apply", "--without-test", "trial")
    await shop.start()
    await shop.counts(number=USERS)
    shop.describe(trial(sides({"id": "long", "wait": "1s"}), {"set": {"done": 2}}))
    waives = ("--without-test", "trial", "--in-flight", "move:2s")
    code, out, _ = await command(tmp_path, "apply", *waives, typed="n\n")
    assert (code, out.endswith("nothing was applied\n")) == (1, True)

    is_done = asyncio.Event()
    applied = json.loads(await shop.said("apply", *waives, "--yes", "--json"))
    killing = asyncio.create_task(shop.kill(is_done))
    [move] = [one["move"] for one in applied["in_flight"]]
    assert (move["released"] + move["step_removed"], move["go_on"], move["wait_shorter"]) == (USERS, 0, 0)
    ended = {"completed": move["released"], "step_removed": move["step_removed"]}
    await shop.counts(number=0, ended=ended)
    is_done.set()
    assert await killing > 0

    again = await reference(installation)
    for user in shop.users:
        found = await shop.known(user)
        assert found.ledger.runs == again[user].ledger.runs
        assert found.ledger.marks == again[user].ledger.marks
    assert sum(one.ledger.marks == {"done": 2} for one in again.values()) == move["released"]


async def test_a_pause_acts_within_a_second_and_no_run_skips_its_step(
    installation: Installation, tmp_path: Path
) -> None:
    shop = Shop(installation, tmp_path)
    shop.describe(trial({"id": "soon", "wait": "8s"}, {"set": {"done": 1}}, {"id": "rest", "wait": "1s"}))
    await shop.said("apply", "--without-test", "trial")
    await shop.start()
    await shop.counts(number=USERS)

    paused = json.loads(await shop.said("journeys", "pause", "trial", "--json"))
    assert paused["seconds"] < 1
    found = await shop.counts(held=USERS)
    assert (found["number"], found["paused"]["entries"]) == (USERS, "hold")
    assert "paused" in await shop.said("journeys", "list")
    assert [(await shop.known(user)).ledger.marks for user in shop.users] == [{}] * USERS

    resumed = json.loads(await shop.said("journeys", "resume", "trial", "--spread", "2s", "--json"))
    assert resumed["seconds"] < 1
    found = await shop.counts(number=0, ended={"completed": USERS})
    assert (found["held"], found["paused"]) == (0, None)
    again = await reference(installation)
    for user in shop.users:
        state = await shop.known(user)
        assert (state.ledger.runs, state.ledger.marks) == (again[user].ledger.runs, again[user].ledger.marks)
        assert state.ledger.marks == {"done": 1}
