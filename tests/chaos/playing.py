"""A round from its first process to its verdict."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stream.cluster.connection import Connection
from stream.delivery.configured import suppression_hashes
from stream.processes import exits
from tests.chaos.arena import Arena, a_broker
from tests.chaos.faults import Sabotage
from tests.chaos.flow import Flow
from tests.chaos.installing import create_installation
from tests.chaos.learners import Lessons, QuietLearners
from tests.chaos.lives import ended_by_limit, late_ends, unmet
from tests.chaos.load import ShopLoad
from tests.chaos.plan import Plan
from tests.chaos.reference import Reference
from tests.chaos.running_round import RunningRound
from tests.chaos.settling import settle
from tests.chaos.sink import Sink, listening
from tests.chaos.stalls import held_back, not_moved_on
from tests.chaos.stuck import describe_stuck
from tests.chaos.suppressed import Leavers, Listing
from tests.chaos.verdict import Verdict, judge, judge_learners, judge_suppressions

logger = logging.getLogger(__name__)

RATE = 250
EMBEDDED_RATE = 100
LESSONS_RATE = 80
"""Number of examples of each kind per second; enough for a version every two or three seconds."""
READY_WITHIN_S = 60


@dataclass
class Played:
    """Verdict and counts of a round.

    Attributes
    ----------
    verdict
        Verdict of the round.
    events, repeats, malformed
        Number of records that were acknowledged, that were sent twice, and that were not events.
    deeds
        How often each action was done: by ``act`` for deeds, by ``action@point`` for faults.
    exits
        Number of processes that ended with each exit code.
    unmet
        Descriptions of the planned actions that did not happen.
    learners_ended
        How often a learner ended or was stopped.
    longest_silence_s
        Longest time without a commit in one partition, while events came in, seconds.
    rest_s
        Time from the end of the load until nothing was pending and all processes had ended, seconds.
    seconds
        Duration of the round.
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


class _Bystanders(NamedTuple):
    """Parts of the suite that put the installation under load or watch it.

    Attributes
    ----------
    load, lessons, leavers
        Writers of events and of examples, and recipients who unsubscribe.
    sink
        The mail server.
    flow, listing
        Readers of commits and of the suppression list.
    """

    load: ShopLoad
    lessons: Lessons
    leavers: Leavers
    sink: Sink
    flow: Flow
    listing: Listing


class _Loaded(NamedTuple):
    """The load of a round, after its end.

    Attributes
    ----------
    acknowledged
        Done when everything sent is acknowledged.
    began, ended
        Begin and end of the load, seconds of the monotonic clock.
    """

    acknowledged: asyncio.Future[Any]
    began: float
    ended: float


async def play(plan: Plan, arena: Arena, *, sabotage: Sabotage | None = None, keep: bool = False) -> Played:
    """Play a round; its files are kept if it has a finding, or with ``keep``.

    Raises
    ------
    TimeoutError
        The installation did not start.
    """
    began = time.monotonic()
    folder = arena.folder / f"round-{plan.seed}-{int(time.time()) % 1_000_000}"
    folder.mkdir(parents=True)
    logger.info("%s", plan)
    with a_broker(arena, folder) as address:
        round_ = RunningRound(plan, arena, address, folder, sabotage)
        try:
            played = await _play(round_)
        finally:
            if arena.kafka is not None:
                await asyncio.to_thread(_forget_topics, round_.connection)
    played.seconds = time.monotonic() - began
    if not played.verdict.findings and not keep:
        shutil.rmtree(folder)
    return played


async def _play(round_: RunningRound) -> Played:
    plan, connection, partitions, crew = round_.plan, round_.connection, round_.partitions, round_.crew
    await create_installation(round_.settings)
    async with AsyncExitStack() as stack:
        around = await _bystanders(round_, stack)
        loaded = await _put_under_load(round_, around, stack)
        reference = await stack.enter_async_context(Reference(connection, partitions))
        learners = await stack.enter_async_context(QuietLearners(connection))
        stuck = await settle(loaded.acknowledged, reference, learners, around.flow, round_)
        # End the learners first: a learner that takes over publishes the newest version again, and folds must read it.
        await crew.dismiss("learn")
        stuck = stuck or await settle(loaded.acknowledged, reference, learners, around.flow, round_)
        await crew.stop()
        await reference.catch_up()
        await learners.catch_up()
        rest_s = time.monotonic() - loaded.ended
        try:
            verdict = await judge(connection, partitions, reference, around.load, around.sink, round_.troubles)
            await judge_learners(verdict, connection, reference, learners)
            hashes = suppression_hashes(round_.settings)
            await judge_suppressions(verdict, around.listing, around.leavers, hashes, crew.lives)
        except TimeoutError as error:
            verdict = Verdict([f"a partition cannot be read to its end: {error!r}"])
    verdict.findings += late_ends(crew.lives, crew.notes, round_.broker_away)
    if stuck and connection.transactions:
        stuck += f"; {await asyncio.to_thread(describe_stuck, connection)}"
    if stuck:
        verdict.findings.insert(0, stuck)
    deeds = round_.deeds + crew.deeds()
    if plan.rejoin and not stuck:
        verdict.findings += not_moved_on(crew, deeds)
    if plan.kind == "frozen":
        verdict.findings += held_back(around.flow, crew.lives, crew.notes, loaded.ended, deeds)
    crew.exits[exits.SLOW_STOP] = ended_by_limit(crew.lives)
    return Played(
        verdict,
        events=len(around.load.acknowledged),
        repeats=around.load.repeated,
        malformed=len(around.load.malformed),
        deeds=deeds,
        exits=+crew.exits,
        unmet=unmet(plan.faults, crew.met()) + round_.unheard,
        learners_ended=sum(absence.name.startswith("learn") for absence in crew.away),
        longest_silence_s=around.flow.longest_silence(loaded.began, loaded.ended),
        rest_s=rest_s,
    )


async def _bystanders(round_: RunningRound, stack: AsyncExitStack) -> _Bystanders:
    plan, connection, partitions = round_.plan, round_.connection, round_.partitions
    rate = RATE if plan.broker == "kafka" else EMBEDDED_RATE
    load = ShopLoad(connection, partitions, f"http://127.0.0.1:{round_.door}", seed=plan.seed, rate=rate)
    lessons = Lessons(connection, seed=plan.seed, rate=LESSONS_RATE)
    sink = stack.enter_context(listening(round_.smtp, Sink()))
    flow = await stack.enter_async_context(Flow(connection, partitions))
    listing = await stack.enter_async_context(Listing(connection))
    return _Bystanders(load, lessons, Leavers(sink, plan.seed), sink, flow, listing)


async def _put_under_load(round_: RunningRound, around: _Bystanders, stack: AsyncExitStack) -> _Loaded:
    """Start the processes, put them under load while the plan's deeds are carried out, and end the load."""
    await stack.enter_async_context(round_.crew)
    round_.start_all()
    await _every_partition_is_folded(around.flow)
    stop = asyncio.Event()
    loading = asyncio.gather(around.load.run(stop), around.lessons.run(stop), around.leavers.run(stop))
    stack.callback(loading.cancel)
    began = time.monotonic()
    await round_.do_all(around.sink, began)
    await asyncio.sleep(max(0.0, began + round_.plan.load_s - time.monotonic()))  # the load has a planned length
    stop.set()
    round_.change_mood(around.sink, "take")
    return _Loaded(loading, began, time.monotonic())


async def _every_partition_is_folded(flow: Flow) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while not all(flow.positions):  # noqa: ASYNC110 - positions are polled; they have no event
            await asyncio.sleep(0.05)


def _forget_topics(connection: Connection) -> None:
    """Delete the topics of the round, because hundreds of unused partitions would slow the next rounds down."""
    try:
        client = KafkaAdminClient(**connection.client_options())
    except KafkaError as error:
        logger.info("the round's topics cannot be deleted: %r", error)
        return
    try:
        mine = [name for name in client.list_topics() if name.startswith(connection.prefix)]
        client.delete_topics(mine)
    except KafkaError as error:
        logger.info("the round's topics cannot be deleted: %r", error)
    finally:
        client.close()
