"""The command splits two profiles while events arrive and processes die; each event counts in exactly one profile."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
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
from stream.cluster.partitioner import partition_of
from stream.installation.commands import perennial
from stream.installation.running import Installation, StartOptions, await_folding, own_ports, running
from stream.log.event_log import EventLog
from stream.lookup.client import LookupFailed, ask_state
from stream.rebuild.reading import read_log
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls
from tests.support.brokers import ApacheKafka
from tests.support.processes import roles_below

VISITOR, USER = "anonymous:a1", "u1"
PARTITIONS, KILLS = 3, 4
_numbers = itertools.count()
pytestmark = pytest.mark.slow


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """A running worker; its settings are in the folder from which commands are run."""
    flags: dict[str, Any] = {**own_ports(), "folder": str(tmp_path / "data"), "kafka.partitions": PARTITIONS}
    if request.param == "kafka":
        broker: ApacheKafka = request.getfixturevalue("kafka_broker")
        prefix = f"split{os.getpid()}-{next(_numbers)}."
        flags |= {"kafka.servers": broker.address, "kafka.prefix": prefix, "kafka.embedded": False}
    with running(load(None, flags), ("worker",), StartOptions(logs=tmp_path / "logs")) as started:
        await_folding(started)
        sections = started.settings.sections
        kafka = {"servers": sections.kafka.servers, "prefix": sections.kafka.prefix, "partitions": PARTITIONS}
        kafka["embedded"] = sections.kafka.embedded
        content = {"version": 1, "folder": flags["folder"], "kafka": kafka, "worker": {"port": sections.worker.port}}
        (tmp_path / "perennial.yaml").write_text(json.dumps(content))
        yield started


async def command(folder: Path, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    """Run a command in the folder, and return its exit code, its output and its errors."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PERENNIAL_")}
    process = await asyncio.create_subprocess_exec(
        *perennial(*arguments),
        cwd=folder,
        env=own,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(typed.encode())
    return process.returncode or 0, out.decode(), err.decode()


class VisitedShop:
    """A visitor and a user whose events arrive one after the other."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.sent = {VISITOR: 0, USER: 0}
        self.logins = 0
        self._number = 0

    async def tell(self, user: str, log: EventLog, **more: Any) -> None:
        """Send one event."""
        self._number += 1
        self.sent[user] += 1
        at = time.time_ns() // 1_000_000
        content = {"type": "click", "item": "sku1", **more}
        await log.append([Event(id=f"m{self._number}", user=user, at=at, **content)])

    async def state(self, user: str) -> Customer | None:
        """Return a profile; ``None`` while its worker does not answer."""
        with suppress(LookupFailed):
            return unpack((await ask_state(worker_urls(self.installation.settings.sections.worker)[:1], user)).packed)
        return None

    async def counted(self, **wanted: int) -> None:
        """Wait until the profiles have these numbers of events."""
        names = {"visitor": VISITOR, "user": USER}
        async with asyncio.timeout(60):
            while True:
                states = {name: await self.state(names[name]) for name in wanted}
                found = {name: -1 if one is None else sum(one.facts.events.values()) for name, one in states.items()}
                if found == wanted:
                    return
                await asyncio.sleep(0.05)  # poll: a process sends no notification


async def kill_folds(shop: VisitedShop, is_done: asyncio.Event) -> int:
    """Kill the process that folds as soon as it answers, a few times, and return how often."""
    killed = 0
    while killed < KILLS and not is_done.is_set():
        (worker,) = shop.installation.supervisor.statuses()
        fold = None if worker.pid is None else roles_below(worker.pid).get("fold")
        if fold is not None and await shop.state(USER) is not None:
            os.kill(fold, signal.SIGKILL)
            killed += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(is_done.wait(), 0.7)
    return killed


async def folded(installation: Installation, user: str) -> Customer:
    """Return a profile as a fold of the whole log has it."""
    partition = partition_of(user.encode(), PARTITIONS)
    state = Restored(partition=partition)
    fold = PartitionFold(state)
    async for records in read_log(installation.settings.connection(), partition, 0):
        state.apply(fold.fold(Batch("events", partition, records)).commit, records[-1].offset + 1)
    return unpack(state.records[user.encode()])


async def test_the_command_splits_two_profiles_while_events_arrive(installation: Installation, tmp_path: Path) -> None:
    shop, settings = VisitedShop(installation), installation.settings
    is_kafka = settings.connection().transactions
    async with EventLog(settings.connection(), PARTITIONS) as log:
        for _ in range(5):
            await shop.tell(VISITOR, log)
            await shop.tell(USER, log)
        await shop.tell(USER, log, type="identify", anonymous=VISITOR)
        for _ in range(3):
            await shop.tell(VISITOR, log)
        await shop.counted(user=14, visitor=0)
        code, out, _ = await command(tmp_path, "identity", "split", USER, "a1", "--json")
        preview = json.loads(out)
        assert (code, preview["events"], preview["is_done"]) == (0, {"click": 8}, False)

        code, out, _ = await command(tmp_path, "identity", "split", USER, VISITOR, typed="n\n")
        assert (code, out.endswith("nothing was changed\n")) == (0, True)

        is_done = asyncio.Event()

        async def go_on() -> None:
            while not is_done.is_set():
                await shop.tell(VISITOR, log)
                await shop.tell(USER, log)
                await asyncio.sleep(0.1)

        going = asyncio.create_task(go_on())
        killing = asyncio.create_task(kill_folds(shop, is_done)) if is_kafka else None
        code, err = 2, "no worker answers"
        while code == 2 and "no worker answers" in err:  # it was killed just when the command began
            code, out, err = await command(tmp_path, "identity", "split", USER, "a1", "--yes", "--json")
        is_done.set()
        await going
        killed = 0 if killing is None else await killing
        assert code == 0, err
        assert killed > 0 or not is_kafka
        await shop.tell(VISITOR, log)
        await shop.tell(USER, log)
        await shop.counted(visitor=shop.sent[VISITOR], user=shop.sent[USER])

    for user in (VISITOR, USER):
        found, again = await shop.state(user), await folded(installation, user)
        assert found is not None
        assert (found.facts, found.identity) == (again.facts, again.identity)
    split = json.loads(out)["id"]
    for user in (VISITOR, USER):
        code, out, _ = await command(tmp_path, "identity", "show", user)
        assert code == 0
        assert f"split {split} from {VISITOR if user == USER else USER} at " in out
    code, _, err = await command(tmp_path, "identity", "split", USER, VISITOR, "--yes")
    assert (code, "were split before" in err) == (2, True)
