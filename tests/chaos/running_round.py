"""A round in progress: start its processes, and carry out its plan on them, on the broker and on the provider."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from pathlib import Path

from stream.cluster.connection import Connection
from stream.settings.loading import Settings
from tests.chaos.arena import Arena
from tests.chaos.crew import Crew
from tests.chaos.faults import Sabotage
from tests.chaos.installing import SESSION_S, write_settings
from tests.chaos.lives import Absence, by_dispatcher, now_ms
from tests.chaos.plan import DISK_S, Deed, Plan
from tests.chaos.sink import Sink
from tests.chaos.unknown import Troubles

logger = logging.getLogger(__name__)

BROKER_WITHIN_S = 180
"""How long a broker may take to start on two busy cores, seconds."""
SETTLED_WITHIN_S = 120
BROKEN_WITHIN_S = 60
"""How long to wait until nothing is pending if a promise is broken on purpose, seconds. Something may then stay pending
forever.
"""


class RunningRound:
    """A round in progress: its installation, its processes, and the actions against them so far.

    Attributes
    ----------
    plan, arena, folder
        Plan of the round, its broker, and the folder of its files.
    settings, connection, partitions
        Settings of the installation, its connection, and its number of partitions.
    door, smtp
        Ports of the HTTP door and of the mail server.
    crew
        The processes.
    patience_s
        How long to wait at the end until nothing is pending, seconds.
    broker_away, hanging
        Periods in which the broker was away, and in which the provider did not answer.
    unheard
        Descriptions of the planned signals that were not sent, because their process did not run.
    deeds
        How often each action of the plan was carried out, by name; some observed events are counted, too.
    """

    def __init__(self, plan: Plan, arena: Arena, address: str, folder: Path, sabotage: Sabotage | None) -> None:
        self.plan, self.arena, self.folder = plan, arena, folder
        self.settings: Settings
        self.settings, self.door, self.smtp = write_settings(
            folder, address, f"{folder.name}.", embedded=plan.broker == "embedded"
        )
        self.partitions = self.settings.partitions
        self.connection: Connection = self.settings.connection()
        environment = self.settings.environment()
        if sabotage is not None:
            environment["CHAOS_SABOTAGE"] = sabotage
        self.crew = Crew(environment, folder, stall_s=SESSION_S + plan.stall_s, on_awake=self._awake)
        self.patience_s = SETTLED_WITHIN_S if sabotage is None else BROKEN_WITHIN_S
        self.broker_away: list[Absence] = []
        self.hanging: list[Absence] = []
        self._at_broker = asyncio.Lock()
        self.unheard: list[str] = []
        self.deeds: Counter[str] = Counter()
        self._newcomers = 0

    def start_all(self) -> None:
        """Start all processes of the plan, and the HTTP door."""
        roles = {"fold": self.plan.folds, "deliver": self.plan.delivers, "learn": self.plan.learns}
        for role, count in roles.items():
            for number in range(count):
                self._start(role, number)
        self.crew.start("door", ("stream.cli", "collector"))

    def _start(self, role: str, number: int) -> None:
        name = f"{role}-{number}"
        argv = ("tests.chaos.worker", "worker", "--role", role)
        self.crew.start(name, argv, self.plan.faults.get(name, ()))

    def join(self, role: str) -> None:
        """Start another process of a role."""
        self._newcomers += 1
        self._start(role, 10 + self._newcomers)

    def _awake(self, name: str) -> None:
        if self.plan.rejoin:
            self.join(name.partition("-")[0])

    async def do_all(self, sink: Sink, began: float) -> None:
        """Perform all deeds of the plan, each at its time after ``began`` on the monotonic clock."""
        async with asyncio.TaskGroup() as tasks:
            for deed in self.plan.deeds:
                # Faults happen at planned times, not at events, so that a seed gives the same round again.
                await asyncio.sleep(max(0.0, began + deed.at_s - time.monotonic()))
                tasks.create_task(self._do(deed, sink))

    async def _do(self, deed: Deed, sink: Sink) -> None:
        logger.info("%s", deed)
        if deed.act in ("kill", "terminate", "leave"):
            number = signal.SIGKILL if deed.act == "kill" else signal.SIGTERM
            if not self.crew.signal(deed.target, number, leaving=deed.act == "leave"):
                self.unheard.append(str(deed))
                return
        self.deeds[_named(deed)] += 1
        if deed.act == "join":
            self.join(deed.target)
        elif deed.act == "mood":
            self.change_mood(sink, deed.target)
        elif deed.act in ("broker", "slow", "disk"):
            async with self._at_broker:  # one fault of the broker at a time
                if deed.act == "broker":
                    await self._restart_broker()
                elif deed.act == "slow":
                    await self._stop_broker(deed.for_s)
                else:
                    await self._fill_disk()

    def change_mood(self, sink: Sink, mood: str) -> None:
        """Change the behaviour of the provider."""
        if sink.mood == "hang":
            self.hanging[-1].end = now_ms()
        if mood == "hang":
            self.hanging.append(Absence("provider", now_ms()))
        sink.mood = mood  # type: ignore[assignment]  # a plan contains only valid moods

    async def _stop_broker(self, for_s: float) -> None:
        kafka = self.arena.kafka
        assert kafka is not None, "the embedded broker is not stopped, because its clients would not wait for it"
        away = Absence("broker", now_ms(), stalled=True)
        self.broker_away.append(away)
        os.kill(kafka.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)  # the fault itself is this pause
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        away.end = now_ms()

    async def _restart_broker(self) -> None:
        kafka = self.arena.kafka
        assert kafka is not None, "the embedded broker loses everything when it ends"
        away = Absence("broker", now_ms())
        self.broker_away.append(away)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start, BROKER_WITHIN_S)
        away.end = now_ms()

    async def _fill_disk(self) -> None:
        disk, kafka = self.arena.disk, self.arena.kafka
        assert disk is not None, "no small disk can be mounted here"
        assert kafka is not None, "the embedded broker has no disk"
        away = Absence("broker", now_ms())
        self.broker_away.append(away)
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(DISK_S)  # the fault itself is this pause
        disk.free()
        if not kafka.running:  # Kafka ends itself when its only disk fails
            self.deeds["broker ended itself"] += 1
            await asyncio.to_thread(kafka.start, BROKER_WITHIN_S)
        away.end = now_ms()

    def newcomers_wait(self) -> list[str]:
        """Return the names of the processes that joined but have no assignment yet."""
        given = {note.pid for note in self.crew.notes if note.generation}
        last = {life.name: life for life in self.crew.lives if int(life.name.partition("-")[2] or 0) > 10}
        return [name for name, life in last.items() if life.end is None and life.pid not in given]

    @property
    def troubles(self) -> Troubles:
        """Incidents so far that can have left a message unknown."""
        return Troubles(by_dispatcher(self.crew.lives, self.crew.notes), self.broker_away, self.hanging)


def _named(deed: Deed) -> str:
    """Return the name under which a deed is counted; stored results contain it."""
    if deed.act == "mood":
        return f"provider {deed.target}"
    return f"{deed.act} {deed.target.partition('-')[0]}" if deed.act in ("join", "leave") else deed.act
