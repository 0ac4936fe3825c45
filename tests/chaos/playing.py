"""A round from its first process to its verdict."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stream.cluster.connection import Connection
from stream.delivery.configured import suppression_hashes
from stream.processes import exits
from stream.settings.loading import Settings
from tests.chaos.arena import Arena, a_broker
from tests.chaos.crew import Crew
from tests.chaos.faults import Sabotage
from tests.chaos.flow import Flow
from tests.chaos.house import SESSION_S, furnish, open_house
from tests.chaos.learners import Lessons, QuietLearners
from tests.chaos.lives import (
    Interval,
    Life,
    Note,
    awakenings,
    by_desk,
    ended_by_limit,
    has_moved_on,
    held_by,
    late_ends,
    now_ms,
    unmet,
)  # fmt: skip
from tests.chaos.load import Load
from tests.chaos.plan import DISK_S, Deed, Plan
from tests.chaos.reference import Reference
from tests.chaos.sink import Sink, listening
from tests.chaos.suppressed import Leavers, Listing
from tests.chaos.transactions import open_transactions
from tests.chaos.unknown import Troubles
from tests.chaos.verdict import Verdict, judge, judge_learners, judge_suppressions

log = logging.getLogger(__name__)

RATE = 250
EMBEDDED_RATE = 100
LESSONS_RATE = 80
"""Of each kind: a version every two or three seconds."""
READY_WITHIN_S = 60
BROKER_WITHIN_S = 180
"""On two busy cores it takes its time."""
SETTLED_WITHIN_S = 120
BROKEN_WITHIN_S = 60
"""Whoever breaks a promise on purpose need not wait long for a rest that may never come."""
LONG_S = 4.0
"""In so long every partition gets events."""
CALM_MS = 10_000
"""A house with no timer due for so long is at rest."""


@dataclass
class Played:
    """What happened in a round.

    Attributes
    ----------
    verdict
        Of it.
    events, repeats, malformed
        Acknowledged; sent once more; no events at all.
    deeds
        How often what was done: by ``act`` for deeds, by ``action@point`` for faults.
    exits
        How processes ended, by exit code.
    unmet
        What was planned and did not happen, in words.
    learners_ended
        How often a learner was not there any more, or was stopped.
    longest_silence_s
        Longest time in which nothing was committed in some partition, while events came in.
    rest_s
        From the end of the load until nothing moved any more and all processes had ended.
    seconds
        It took.
    """

    verdict: Verdict
    events: int = 0
    repeats: int = 0
    malformed: int = 0
    deeds: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    unmet: list[str] = field(default_factory=list)
    learners_ended: int = 0
    longest_silence_s: float = 0.0
    rest_s: float = 0.0
    seconds: float = 0.0


class NotAtRest(Exception):
    """Something is stuck: the house did not come to rest."""


class _Round:
    """A round while it goes on."""

    def __init__(self, plan: Plan, arena: Arena, address: str, folder: Path, sabotage: Sabotage | None) -> None:
        self.plan, self.arena, self.folder = plan, arena, folder
        self.settings: Settings
        self.settings, self.door, self.smtp = furnish(
            folder, address, f"{folder.name}.", embedded=plan.broker == "embedded"
        )
        self.partitions = self.settings.partitions
        self.connection: Connection = self.settings.connection()
        environment = self.settings.environment()
        if sabotage is not None:
            environment["CHAOS_SABOTAGE"] = sabotage
        self.crew = Crew(environment, folder, stall_s=SESSION_S + plan.stall_s, on_awake=self._awake)
        self.patience_s = SETTLED_WITHIN_S if sabotage is None else BROKEN_WITHIN_S
        self.broker_away: list[Interval] = []
        self.hanging: list[Interval] = []
        self.at_broker = asyncio.Lock()
        self.unheard: list[str] = []
        self.deeds: Counter[str] = Counter()
        self.newcomers = 0

    def start_all(self) -> None:
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
        """Let another process of a role come in."""
        self.newcomers += 1
        self._start(role, 10 + self.newcomers)

    def _awake(self, name: str) -> None:
        if self.plan.rejoin:
            self.join(name.partition("-")[0])

    async def do(self, deed: Deed, sink: Sink) -> None:
        """Do one deed."""
        log.info("%s", deed)
        if deed.act in ("kill", "terminate", "leave"):
            number = signal.SIGKILL if deed.act == "kill" else signal.SIGTERM
            if not self.crew.signal(deed.whom, number, leaving=deed.act == "leave"):
                self.unheard.append(str(deed))
                return
        self.deeds[_named(deed)] += 1
        if deed.act == "join":
            self.join(deed.whom)
        elif deed.act == "mood":
            self.change_mood(sink, deed.whom)
        elif deed.act in ("broker", "slow", "disk"):
            async with self.at_broker:  # one trouble of its at a time
                if deed.act == "broker":
                    await self._restart_broker()
                elif deed.act == "slow":
                    await self._stop_broker(deed.for_s)
                else:
                    await self._fill_disk()

    def change_mood(self, sink: Sink, mood: str) -> None:
        """Let the provider be as it is told."""
        if sink.mood == "hang":
            self.hanging[-1].end = now_ms()
        if mood == "hang":
            self.hanging.append(Interval("provider", now_ms()))
        sink.mood = mood  # type: ignore[assignment]  # plans name moods only

    async def _stop_broker(self, for_s: float) -> None:
        kafka = self.arena.kafka
        assert kafka is not None, "the embedded broker has nobody who waits for it"
        away = Interval("broker", now_ms(), stalled=True)
        self.broker_away.append(away)
        os.kill(kafka.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        away.end = now_ms()

    async def _restart_broker(self) -> None:
        kafka = self.arena.kafka
        assert kafka is not None, "the embedded broker comes back with nothing"
        away = Interval("broker", now_ms())
        self.broker_away.append(away)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start, BROKER_WITHIN_S)
        away.end = now_ms()

    async def _fill_disk(self) -> None:
        disk, kafka = self.arena.disk, self.arena.kafka
        assert disk is not None, "no small disk can be mounted here"
        assert kafka is not None, "the embedded broker has no disk"
        away = Interval("broker", now_ms())
        self.broker_away.append(away)
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(DISK_S)
        disk.free()
        if not kafka.running:  # Kafka ends itself when its only disk fails
            self.deeds["broker ended itself"] += 1
            await asyncio.to_thread(kafka.start, BROKER_WITHIN_S)
        away.end = now_ms()

    def newcomers_wait(self) -> list[str]:
        """Who came in and was not given anything yet."""
        given = {note.pid for note in self.crew.notes if note.generation}
        last = {life.who: life for life in self.crew.lives if int(life.who.partition("-")[2] or 0) > 10}
        return [who for who, life in last.items() if life.end is None and life.pid not in given]

    @property
    def troubles(self) -> Troubles:
        """What can have left a message unknown."""
        return Troubles(by_desk(self.crew.lives, self.crew.notes), self.broker_away, self.hanging)


async def play(plan: Plan, arena: Arena, *, sabotage: Sabotage | None = None, keep: bool = False) -> Played:
    """Play a round; its files stay where something was found, or where told to ``keep`` them.

    Raises
    ------
    TimeoutError
        The house did not even begin.
    """
    began = time.monotonic()
    folder = arena.folder / f"round-{plan.seed}-{int(time.time()) % 1_000_000}"
    folder.mkdir(parents=True)
    log.info("%s", plan)
    with a_broker(arena, folder) as address:
        round_ = _Round(plan, arena, address, folder, sabotage)
        try:
            played = await _play(round_)
        finally:
            if arena.kafka is not None:
                await asyncio.to_thread(_forget_topics, round_.connection)
    played.seconds = time.monotonic() - began
    if not played.verdict.findings and not keep:
        shutil.rmtree(folder)
    return played


async def _play(round_: _Round) -> Played:
    plan, connection, partitions = round_.plan, round_.connection, round_.partitions
    await open_house(round_.settings)
    rate = RATE if plan.broker == "kafka" else EMBEDDED_RATE
    load = Load(connection, partitions, f"http://127.0.0.1:{round_.door}", seed=plan.seed, rate=rate)
    lessons = Lessons(connection, seed=plan.seed, rate=LESSONS_RATE)
    async with AsyncExitStack() as stack:
        sink = stack.enter_context(listening(round_.smtp, Sink()))
        flow = await stack.enter_async_context(Flow(connection, partitions))
        listing = await stack.enter_async_context(Listing(connection))
        leavers = Leavers(sink, plan.seed)
        crew = await stack.enter_async_context(round_.crew)
        round_.start_all()
        await _everybody_folds(flow)
        stop = asyncio.Event()
        loading = asyncio.gather(load.run(stop), lessons.run(stop), leavers.run(stop))
        stack.callback(loading.cancel)
        loaded = time.monotonic()
        await _do_all(round_, sink, loaded)
        await asyncio.sleep(max(0.0, loaded + plan.load_s - time.monotonic()))
        stop.set()
        round_.change_mood(sink, "take")
        ended = time.monotonic()
        reference = await stack.enter_async_context(Reference(connection, partitions))
        learners = await stack.enter_async_context(QuietLearners(connection))
        stuck = await _settled(loading, reference, learners, flow, round_)
        # who takes over from a learner that ends tells the newest version once more, which the folds have to read
        await crew.dismiss("learn")
        stuck = stuck or await _settled(loading, reference, learners, flow, round_)
        await crew.stop()
        await reference.catch_up()
        await learners.catch_up()
        rest_s = time.monotonic() - ended
        try:
            verdict = await judge(connection, partitions, reference, load, sink, round_.troubles)
            await judge_learners(verdict, connection, reference, learners)
            judge_suppressions(verdict, listing, leavers, suppression_hashes(round_.settings), crew.lives)
        except TimeoutError as error:
            verdict = Verdict([f"a partition cannot be read to its end: {error!r}"])
    verdict.findings += late_ends(crew.lives, crew.notes, round_.broker_away)
    if stuck and connection.transactions:
        stuck += f"; transactions: {await asyncio.to_thread(open_transactions, connection, partitions)}"
    if stuck:
        verdict.findings.insert(0, stuck)
    deeds = round_.deeds + crew.deeds()
    if plan.rejoin and not stuck:
        verdict.findings += _not_moved_on(crew, deeds)
    if plan.kind == "frozen":
        verdict.findings += _held_back(flow, crew.lives, crew.notes, ended, deeds)
    crew.exits[exits.SLOW_STOP] = ended_by_limit(crew.lives)
    return Played(
        verdict,
        events=len(load.acknowledged),
        repeats=load.repeated,
        malformed=len(load.malformed),
        deeds=deeds,
        exits=+crew.exits,
        unmet=unmet(plan.faults, crew.met()) + round_.unheard,
        learners_ended=sum(interval.who.startswith("learn") for interval in crew.away),
        longest_silence_s=flow.longest_silence(loaded, ended),
        rest_s=rest_s,
    )


async def _everybody_folds(flow: Flow) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while not all(flow.positions):  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)


async def _do_all(round_: _Round, sink: Sink, began: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        for deed in round_.plan.deeds:
            await asyncio.sleep(max(0.0, began + deed.at_s - time.monotonic()))
            tasks.create_task(round_.do(deed, sink))


async def _settled(
    loading: asyncio.Future[Any],
    reference: Reference,
    learners: QuietLearners,
    flow: Flow,
    round_: _Round,
) -> str:
    """Return when everything is acknowledged, folded and delivered, and nothing is due; in words what is not."""
    deadline = time.monotonic() + round_.patience_s
    what, said = "not everything was acknowledged", ""
    while time.monotonic() < deadline:
        if loading.done():
            loading.result()
            await reference.catch_up()
            await learners.catch_up()
            what = _unsettled(reference, learners, flow, round_)
            if not what:
                return ""
        if what != said:
            log.debug("waiting: %s", what)
            said = what
        await asyncio.sleep(0.2)  # a log at rest sends no word
    return f"not at rest after {round_.patience_s} s: {what}"


def _unsettled(reference: Reference, learners: QuietLearners, flow: Flow, round_: _Round) -> str:
    behind = [
        f"partition {number} at {position} of {end}"
        for number, (position, end) in enumerate(zip(flow.positions, reference.positions, strict=True))
        if position != end
    ]
    if behind:
        return ", ".join(behind)
    if missing := set(reference.messages) - reference.outcomes.keys():
        return f"{len(missing)} messages without an outcome"
    if reference.next_due is not None and reference.next_due < now_ms() + CALM_MS:
        return f"a timer is due at {reference.next_due}"
    for name, quiet in learners.models.items():
        if flow.learned[name] != quiet.position:
            return f"the learner of {name} at {flow.learned[name]} of {quiet.position}"
        if any(max(told.get(name, {}), default=0) != quiet.newest for told in reference.told):
            return f"not every partition was told version {quiet.newest} of {name}"
    if asleep := round_.crew.stopped():
        return f"stopped: {', '.join(asleep)}"
    if waiting := round_.newcomers_wait():
        return f"not in their groups yet: {', '.join(waiting)}"
    return ""


def _named(deed: Deed) -> str:
    """What a deed is counted as."""
    if deed.act == "mood":
        return f"provider {deed.whom}"
    return f"{deed.act} {deed.whom.partition('-')[0]}" if deed.act in ("join", "leave") else deed.act


def _not_moved_on(crew: Crew, deeds: Counter[str]) -> list[str]:
    """Who woke up without another rebalance behind it; counts the others."""
    found, lives, notes = [], crew.lives, crew.notes
    for life, woken in awakenings(lives):
        if life.role == "learn":
            continue  # of two topics, nobody else need take part
        if has_moved_on(life, woken, lives, notes):
            deeds[f"rebalance beside a {life.role} that woke up"] += 1
        else:
            found.append(f"no rebalance after {life.who} woke up")
    return found


def _held_back(
    flow: Flow, lives: Sequence[Life], notes: Sequence[Note], ended: float, deeds: Counter[str]
) -> list[str]:
    """What stood still while somebody was frozen and must not have; counts those beside whom everything flowed on.

    A frozen delivery holds up no partition of users. A frozen router is a frozen fold, too: their users wait until the
    group gives them to somebody else, the other ones do not; and no partition of ``events`` is shut for its readers.
    """
    wall = time.time() - time.monotonic()
    found = []
    for life in lives:
        for stall in life.stalls:
            begin, end = stall.begin / 1000 - wall, min((stall.end or now_ms()) / 1000 - wall, ended)
            if life.role == "learn" or end - begin < LONG_S:
                continue
            held = held_by(life, stall.begin, lives, notes)
            silent = [number for number in flow.silent_in(begin, end) if f"events-{number}" not in held]
            unread = flow.unread_in(begin, end)
            while_ = f"while {life.who} was frozen for {end - begin:.1f} s"
            if silent:
                found.append(f"partitions without a commit {while_}: {silent}")
            if unread:
                found.append(f"partitions of events with nothing to read {while_}: {unread}")
            if not (silent or unread):
                deeds[f"users' events flowed on beside a frozen {life.role}"] += 1
    return found


def _forget_topics(connection: Connection) -> None:
    """Delete the round's topics: hundreds of partitions that nobody needs would slow the next rounds down."""
    try:
        client = KafkaAdminClient(**connection.client_options())
    except KafkaError as error:
        log.info("the round's topics stay: %r", error)
        return
    try:
        mine = [name for name in client.list_topics() if name.startswith(connection.prefix)]
        client.delete_topics(mine)
    except KafkaError as error:
        log.info("the round's topics stay: %r", error)
    finally:
        client.close()
