"""``python -m tests.proofs.absences``: proof that an absence of three days fires within a second of its end.

A partition has a million users. Each has bought once, so each waits for "has not bought for 3 days". For some thousand
of them, this ends at known instants within a minute. For a third of the others, it ends within the same hour.

1. The fold alone, with a simulated clock: exactly these users enter the segment, at their instants. It counts whose
   state was looked up.
2. A real worker on a real broker, which has restored these users: the time from each instant until a reader of
   ``signals`` has the signal.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from aiokafka import AIOKafkaConsumer

from models.fold.partition import PartitionFold
from models.log import encode_control, opening
from models.units import MINUTE, SECOND
from stream.cluster.connection import Connection
from stream.cluster.topics import create
from stream.cluster.writer import Writer
from stream.engine.state import POSITION_KEY, encode_position
from tests.benchmarks import worker
from tests.benchmarks.broker import Broker, Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.report import machine
from tests.proofs.configurations import commit_name
from tests.support.absent_users import (
    TICK_MS,
    AbsencePlan,
    AbsentUsers,
    WatchedRecords,
    absent_users,
    fold_all,
    tick,
)
from tests.support.event_logs import START
from tests.support.segment_folds import decode_move, moves_of

RESULTS = Path(__file__).with_name("ABSENCES.md")
MAX_LATE_MS = 1_000
"""Maximum time from an instant until its signal can be read, milliseconds."""
LEAD_S = 60.0
"""How long the users may take to be written and restored, at first, seconds; each further attempt has twice as long."""
ATTEMPTS = 4
_CHUNK = 2_000
_PATIENCE_S = 120.0


class RestoredTooLate(Exception):
    """The users were not restored before the first absence ended."""


class FoldedAbsences(NamedTuple):
    """Result of the fold alone.

    Attributes
    ----------
    entered
        Time at which each user has entered, milliseconds.
    latest
        Most time between an instant and the tick that fired it, milliseconds of the log.
    timers
        Number of timers that have fired, by name.
    looked_up
        Number of users whose stored state was looked up.
    slowest
        Longest time for a tick, milliseconds.
    """

    entered: dict[str, int]
    latest: int
    timers: dict[str, int]
    looked_up: int
    slowest: float


class LaneAbsences(NamedTuple):
    """Result of a worker.

    Attributes
    ----------
    broker
        Name of the broker.
    entered
        Time at which each user has entered, milliseconds.
    late
        Time from each instant until its signal was read, sorted, milliseconds.
    timers
        Number of timers that have fired in the window.
    cpu_s
        CPU time of the worker in the window, seconds.
    load
        Mean number of running processes of the machine in the window.
    """

    broker: str
    entered: dict[str, int]
    late: list[float]
    timers: int
    cpu_s: float
    load: float


def in_fold(plan: AbsencePlan) -> tuple[AbsentUsers, FoldedAbsences]:
    """Fold the window with a simulated clock."""
    opens = START
    users = absent_users(plan, opens, opens - SECOND)
    state, watched = users.state, WatchedRecords(users.state.records)
    state.records = watched
    fold = PartitionFold(state)
    watched.looked_up.clear()
    entered: dict[str, int] = {}
    timers: dict[str, int] = {}
    latest, slowest = 0, 0.0
    for at in range(opens, opens + plan.window + TICK_MS, TICK_MS):
        began = time.thread_time()
        for outputs in fold_all(fold, state, [tick(at)]):
            for move in moves_of(outputs):
                entered[move.user] = move.at
                latest = max(latest, at - move.at)
            for (name, *labels), count in outputs.counts.items():
                if name == "timers_fired":
                    timers[labels[0]] = timers.get(labels[0], 0) + int(count)
        slowest = max(slowest, time.thread_time() - began)
    return users, FoldedAbsences(entered, latest, timers, len(watched.looked_up), slowest * 1e3)


async def on_broker(broker: Broker, plan: AbsencePlan, lead_s: float) -> tuple[AbsentUsers, LaneAbsences]:
    """Let a worker fold the window in real time.

    Raises
    ------
    RestoredTooLate
        The users were not restored in time.
    """
    connection = broker.connection()
    now = _now_ms()
    opens = now + int(lead_s * 1_000)
    users = absent_users(plan, opens, now)
    await asyncio.to_thread(create, connection, 1)
    await _write(connection, users)
    with (
        tempfile.TemporaryDirectory(prefix="proof-absences-") as folder,
        worker.running(("fold",), connection, 1, Path(folder)) as (fold,),
    ):
        while not fold.opened:
            fold.check("restoring")
            if _now_ms() > opens:
                raise RestoredTooLate
            await asyncio.sleep(0.2)
        wait_s = (opens - _now_ms()) / 1_000 - 1
        if wait_s < 0:
            raise RestoredTooLate
        await asyncio.sleep(wait_s)
        before = fold.sample()
        found = await _read(connection, len(users.instants), opens + plan.window)
        after = fold.sample()
    late = sorted(float(at - users.instants.get(user, moved)) for user, moved, at in found)
    entered = {user: moved for user, moved, _ in found}
    timers = int(after.timers - before.timers)
    return users, LaneAbsences(broker.name, entered, late, timers, after.cpu - before.cpu, os.getloadavg()[0])


async def _write(connection: Connection, users: AbsentUsers) -> None:
    await feed(connection, connection.topic("events"), 1, [encode_control(opening("wall"))])
    writer = Writer(connection)
    try:
        pairs: list[tuple[bytes, bytes | None]] = list(users.state.records.items())
        for first in range(0, len(pairs), _CHUNK):
            await writer.send_to("profiles", 0, pairs[first : first + _CHUNK])
        await writer.send_to("profiles", 0, [(POSITION_KEY, encode_position(0, users.state.memo))])
    finally:
        await writer.close()


async def _read(connection: Connection, count: int, until: int) -> list[tuple[str, int, int]]:
    """Read signals to the end of the window, and further while some are missing.

    Returns
    -------
    list of tuple
        User, time at which the user has entered, and time at which the signal was read, milliseconds.
    """
    found: list[tuple[str, int, int]] = []
    consumer = AIOKafkaConsumer(
        connection.topic("signals"),
        **connection.client_options(),
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        while (now := _now_ms()) < until + 2 * SECOND or (
            len(found) < count and now < until + int(_PATIENCE_S * SECOND)
        ):
            for records in (await consumer.getmany(timeout_ms=50)).values():
                read = _now_ms()
                moves = (decode_move(record.value) for record in records if record.value is not None)
                found += [(move.user, move.at, read) for move in moves if move is not None]
    finally:
        await consumer.stop()
    return found


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def differences(users: AbsentUsers, entered: Mapping[str, int]) -> list[str]:
    """Return the users who have entered at a wrong time, by mistake, or not at all."""
    return [
        f"{user}: expected {users.instants.get(user, 'never')}, found {entered.get(user, 'never')}"
        for user in sorted(users.instants.keys() | entered.keys())
        if users.instants.get(user) != entered.get(user)
    ]


def share(sorted_values: list[float], quantile: float) -> float:
    """Return a quantile of sorted values.

    Examples
    --------
    >>> share([1.0, 2.0, 3.0, 4.0], 0.5)
    3.0
    """
    return sorted_values[min(int(len(sorted_values) * quantile), len(sorted_values) - 1)]


def page(plan: AbsencePlan, commit: str, folded: FoldedAbsences, lane: LaneAbsences, wrong: int) -> str:
    """Format the results."""
    about = machine()
    rows = {
        "users": f"{plan.users:,}",
        "absences that end in the window": f"{plan.due:,} in {plan.window // SECOND} s",
        "users who have come back before": f"{plan.moved:,}",
        "seed": str(plan.seed),
        "commit": commit,
        "machine": f"{about['processor']}, {about['cores']} cores",
        "users who entered by mistake, at a wrong time or not at all": str(wrong),
        "**The fold alone**": "",
        "timers fired in the window": ", ".join(f"{count:,} {name}" for name, count in sorted(folded.timers.items())),
        "users whose state was looked up": f"{folded.looked_up:,} ({folded.looked_up / plan.users:.2%})",
        "longest CPU time for a tick": f"{folded.slowest:.1f} ms",
        "**A worker**": "",
        "broker": lane.broker,
        "from the instant to the signal, median": f"{share(lane.late, 0.5):.0f} ms",
        "from the instant to the signal, 99%": f"{share(lane.late, 0.99):.0f} ms",
        "from the instant to the signal, most": f"{lane.late[-1]:.0f} ms",
        "timers fired": f"{lane.timers:,}",
        "CPU time of the worker in the window": f"{lane.cpu_s:.1f} s",
        "load average of the machine": f"{lane.load:.1f}",
    }
    head = (
        "# An absence of three days fires within a second of its end\n\nEach user of a partition waits for `{absent: "
        "purchase, for: 3d}`. Written by `python -m tests.proofs.absences`.\n\n| what | |\n|---|--:|"
    )
    return "\n".join([head, *(f"| {name} | {value} |" for name, value in rows.items()), ""])


def attempt(broker: Broker, plan: AbsencePlan, lead_s: float = LEAD_S) -> tuple[AbsentUsers, LaneAbsences]:
    """Let a worker fold the window; again with twice the lead if the users were not restored in time."""
    for number in range(ATTEMPTS):
        try:
            return asyncio.run(on_broker(broker, plan, lead_s * 2**number))
        except RestoredTooLate:
            typer.echo(f"not restored within {lead_s * 2**number:.0f} s", err=True)
    raise RestoredTooLate


def main(
    users: Annotated[int, typer.Option(help="Number of users.")] = 1_000_000,
    due: Annotated[int, typer.Option(help="Number of users whose absence ends in the window.")] = 3_000,
    window: Annotated[int, typer.Option(help="Length of the window, seconds.")] = MINUTE // SECOND,
    seed: Annotated[int, typer.Option(help="Seed of the times.")] = 1,
    broker: Annotated[Kind, typer.Option(help="Apache Kafka (from KAFKA_HOME), or embedded.")] = "kafka",
    write: Annotated[bool, typer.Option(help="Write the result to ABSENCES.md.")] = True,
) -> None:
    """Measure, and exit with 1 if a user is wrong or a signal is late."""
    plan, commit = AbsencePlan(users=users, due=due, window=window * SECOND, seed=seed), commit_name()
    expected, folded = in_fold(plan)
    wrong = differences(expected, folded.entered)
    with a_broker(broker) as running:
        measured, lane = attempt(running, plan)
    wrong += differences(measured, lane.entered)
    for line in wrong[:20]:
        typer.echo(line)
    text = page(plan, commit, folded, lane, len(wrong))
    typer.echo(text)
    if write:
        RESULTS.write_text(text, encoding="utf-8")
    raise typer.Exit(1 if wrong or lane.late[-1] > MAX_LATE_MS else 0)


if __name__ == "__main__":
    typer.run(main)
