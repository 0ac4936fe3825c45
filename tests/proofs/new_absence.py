"""``python -m tests.proofs.new_absence``: proof that a new ``absent ... for: 90d`` gets exactly the right members.

A log on Apache Kafka has 100,000 users: some have bought within 90 days, some before, some never, and some are known
for a shorter time. A worker folds the log. Then 2,000 events a second come, while ``perennial apply`` brings in new
segments:

1. ``--history log``: has not bought for 90 days. The members are exactly those of a naive evaluation of each user.
2. ``--history from-now``: has not asked for help for 90 days. No user can be known to be a member, so none is one.
3. A condition on a fact, in the same file: is on the free plan. The members are exactly those of a naive evaluation.

Each signal is checked as well, so a user who is a member by mistake for a moment is a difference, too. It also measures
the time from the moment at which an event was due until what the fold makes of it can be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from models.conditions.program import segment_key
from models.configuration.compiled import encode
from models.events import encode_event
from models.fold.conditions_in_use import USERS_PER_SECOND
from models.fold.memo import read_memo
from models.learning.publication import Publication
from models.log import encode_control, is_control, opening
from models.profile.codec import unpack
from models.units import DAY
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.writer import Writer
from stream.log.versions import NAME
from stream.settings import loading
from stream.settings.rules import read_configuration
from tests.benchmarks import worker
from tests.benchmarks.broker import a_broker
from tests.benchmarks.report import machine
from tests.proofs.absences import share
from tests.proofs.configurations import commit_name
from tests.support.known_users import KnownArrival, KnownUsers, in_order, naive
from tests.support.live_feed import LiveFeed, Timed, create_for_past, write_past
from tests.support.segment_folds import FoldedMove, decode_move
from tests.support.shop import Owner
from tests.support.topic_reading import read_all

RESULTS = Path(__file__).with_name("NEW_ABSENCE.md")
LAPSED: dict[str, Any] = {"name": "lapsed", "when": {"absent": "purchase", "for": "90d"}}
SILENT: dict[str, Any] = {"name": "silent", "when": {"absent": "support_message", "for": "90d"}}
FREE: dict[str, Any] = {"name": "free", "when": {"trait": "plan", "is": "free"}}
MAX_LATE_MS = 2_000
"""Maximum time from the due time of an event until it is folded, milliseconds."""
PATIENCE_S = 900.0


@dataclass(frozen=True)
class NewAbsencePlan:
    """Size of the proof.

    Attributes
    ----------
    users
        Number of users of the log.
    rate
        Number of events per second meanwhile.
    partitions
        Number of partitions.
    rest_s
        How long the events come before the first command, and after the users have come to new conditions, seconds.
    seed
        Seed of the users and events.
    """

    users: int = 100_000
    rate: int = 2_000
    partitions: int = 4
    rest_s: float = 10.0
    seed: int = 1

    @property
    def coming_s(self) -> float:
        """Time in which the users of a partition come to new conditions, seconds."""
        return 1.3 * self.users / self.partitions / USERS_PER_SECOND + 1


class AppliedChange(NamedTuple):
    """A run of ``perennial apply``.

    Attributes
    ----------
    seconds
        How long the command took.
    late
        Times from the due time of each event of the command's time until it was folded, sorted, milliseconds.
    load
        Load average of the machine at its end.
    """

    seconds: float
    late: list[float]
    load: float


class NewMembers(NamedTuple):
    """Result of the proof.

    Attributes
    ----------
    members, expected
        The members of each segment: those that are stored, and those of the naive evaluation.
    signals
        Number of signals of users who have entered or left.
    wrong
        Descriptions of all differences.
    with_history, from_now
        The two commands.
    before
        Times until events before the commands were folded, sorted, milliseconds.
    sent
        Number of events that came meanwhile.
    """

    members: dict[str, int]
    expected: dict[str, int]
    signals: int
    wrong: list[str]
    with_history: AppliedChange
    from_now: AppliedChange
    before: list[float]
    sent: int


class ProvedInstallation:
    """The log, its settings file, and the commands that change it."""

    def __init__(self, connection: Connection, plan: NewAbsencePlan, folder: Path) -> None:
        self._connection = connection
        self._plan = plan
        self._folder = folder
        self._file = folder / "perennial.yaml"

    def __repr__(self) -> str:
        return f"ProvedInstallation({self._connection.prefix})"

    def use(self, *segments: dict[str, Any]) -> None:
        """Write the settings file."""
        kafka = f"{{servers: '{self._connection.servers}', prefix: {self._connection.prefix}, partitions: "
        lines = [
            "version: 1",
            f"kafka: {kafka}{self._plan.partitions}}}",
            "churn: {active_within: 1d}",  # fewer daily assessments; they are not what is measured
            f"segments: {json.dumps(segments)}",
        ]
        self._file.write_text("\n".join([*lines, ""]), encoding="utf-8")

    async def write_history(self, users: KnownUsers) -> int:
        """Write the log of the past, and return the number of its events that count."""
        self.use()
        content = encode(read_configuration(loading.load(self._file, environment={})))
        version = Publication(1, content)
        writer = Writer(self._connection)
        try:
            await writer.send([version.output(NAME)])
        finally:
            await writer.close()
        log = in_order(users.arrivals.values())
        places: defaultdict[int, list[Timed]] = defaultdict(list)
        for arrival in log:
            key = arrival.event.user.encode()
            places[partition_of(key, self._plan.partitions)].append((arrival.arrives, key, encode_event(arrival.event)))
        begin = log[0].arrives - DAY
        first = [(begin, *encode_control(opening("wall"))), (begin, *version.broadcast(NAME))]
        await write_past(self._connection, first, [places[number] for number in range(self._plan.partitions)])
        return sum(arrival.counts for arrival in log)

    async def apply(self, feed: LiveFeed, history: str, *segments: dict[str, Any]) -> AppliedChange:
        """Run ``perennial apply`` with these segments, and wait until all users have come to them."""
        self.use(*segments)
        began = time.time_ns() // 1_000_000
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream.cli", "apply", "--history", history, "--json"),
            env={**os.environ, **worker.environment(self._connection, self._plan.partitions, self._folder)},
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"perennial apply --history {history}: {output.decode()}")
        seconds = time.time_ns() / 1e9 - began / 1e3
        await asyncio.sleep(self._plan.coming_s + self._plan.rest_s)
        return AppliedChange(seconds, _late(feed, began), os.getloadavg()[0])


def _late(feed: LiveFeed, since: int) -> list[float]:
    return sorted(float(late) for due, late in feed.late if due >= since)


async def prove(connection: Connection, plan: NewAbsencePlan) -> NewMembers:
    """Run the proof on a cluster."""
    users = KnownUsers(plan.users, plan.seed, time.time_ns() // 1_000_000)
    await asyncio.to_thread(create_for_past, connection, plan.partitions)
    with tempfile.TemporaryDirectory(prefix="proof-absence-") as folder:
        installation = ProvedInstallation(connection, plan, Path(folder))
        counted = await installation.write_history(users)
        with worker.running(("fold",), connection, plan.partitions, Path(folder)) as (fold,):
            await _folded(fold, counted)
            feed = LiveFeed(connection, plan.partitions, plan.rate, users.live)
            async with _running(feed):
                await asyncio.sleep(plan.rest_s)
                before = _late(feed, feed.began)
                with_history = await installation.apply(feed, "log", LAPSED)
                from_now = await installation.apply(feed, "from-now", LAPSED, SILENT, FREE)
                feed.stop()
                await _folded(fold, counted + feed.sent)
    signals = await read_all(connection, "signals")
    moves = [move for record in signals if record.value is not None and (move := decode_move(record.value))]
    members, expected, wrong = await _compare(connection, plan, users)
    wrong += wrong_signals(users, moves)
    return NewMembers(members, expected, len(moves), wrong, with_history, from_now, before, feed.sent)


@asynccontextmanager
async def _running(feed: LiveFeed) -> AsyncIterator[None]:
    """Send and watch the events until the end of the block."""
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(feed.watch())
        tasks.create_task(feed.send())
        yield
        feed.stop()
        watching.cancel()


async def _folded(fold: worker.WorkerProcess, events: int) -> None:
    """Wait until a number of events is committed."""
    deadline = time.monotonic() + PATIENCE_S
    while (sample := await asyncio.to_thread(fold.sample)).folded < events:
        fold.check("folding")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sample.folded:,.0f} of {events:,} events are folded")
        await asyncio.sleep(0.5)


async def _compare(
    connection: Connection, plan: NewAbsencePlan, users: KnownUsers
) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """Compare the stored members of each segment with those of the naive evaluation, at the partition's clock."""
    found: dict[str, set[str]] = {segment["name"]: set() for segment in (LAPSED, SILENT, FREE)}
    expected: dict[str, set[str]] = {name: set() for name in found}
    for partition in range(plan.partitions):
        owner = Owner(connection, partition)
        await owner.take_over()
        await owner.leave()
        now = read_memo(owner.state).now
        for key, packed in owner.state.records.items():
            if not is_control(key):
                memberships = unpack(packed).ledger.memberships
                since = {} if memberships is None else memberships.since
                for name, members in found.items():
                    if segment_key(name) in since:
                        members.add(key.decode())
        for name in users.names:
            if partition_of(name.encode(), plan.partitions) == partition:
                for segment in (LAPSED, FREE):  # no user is known to be in the other one
                    if _is_member(name, users.arrivals[name], segment, now):
                        expected[segment["name"]].add(name)
    wrong = [
        f"{segment}: {user} is {'' if user in members else 'not '}a member"
        for segment, members in found.items()
        for user in sorted(members ^ expected[segment])
    ]
    return ({name: len(of) for name, of in found.items()}, {name: len(of) for name, of in expected.items()}, wrong)


def _is_member(name: str, arrivals: Sequence[KnownArrival], segment: dict[str, Any], now: int) -> bool:
    user = naive(name, arrivals, segment["when"])
    return user.known_since is not None and user.truth(user.rules["segment"], now) is True


def wrong_signals(users: KnownUsers, moves: Sequence[FoldedMove]) -> list[str]:
    """Describe the signals that the naive evaluation does not have."""
    known = {segment["name"]: segment for segment in (LAPSED, FREE)}
    wrong = []
    for move in moves:
        until = [arrival for arrival in users.arrivals[move.user] if arrival.arrives <= move.at]
        segment = known.get(move.segment)
        if segment is None or _is_member(move.user, until, segment, move.at) is not move.has_entered:
            wrong.append(f"signal of {move}")
    return wrong


def page(plan: NewAbsencePlan, commit: str, broker: str, found: NewMembers) -> str:
    """Format the results."""
    about = machine()
    rows = {
        "users of the log": f"{plan.users:,}, in {plan.partitions} partitions",
        "seed": str(plan.seed),
        "commit": commit,
        "machine": f"{about['processor']}, {about['cores']} cores",
        "broker": broker,
        "events meanwhile": f"{found.sent:,}, {plan.rate:,}/s",
        "signals of users who entered or left": f"{found.signals:,}",
        "users who differ, and wrong signals": f"{len(found.wrong)}",
    }
    for name, count in found.members.items():
        rows[f"members of `{name}`"] = f"{count:,}; naive evaluation: {found.expected[name]:,}"
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    head = (
        "# A new `absent: purchase, for: 90d` gets exactly the right members\n\nWritten by `python -m "
        "tests.proofs.new_absence`. Lateness is the time from the moment at which an event is due until its "
        "interaction can be read.\n\n| what | |\n|---|--:|"
    )
    late = "\n| while | seconds | lateness, median | 99% | most | load average |\n|---|--:|--:|--:|--:|--:|"
    timed = [
        ("no command runs", AppliedChange(plan.rest_s, found.before, found.with_history.load)),
        ("`apply --history log`, until all users have come to the segment", found.with_history),
        ("`apply --history from-now`, until all users have come to the segments", found.from_now),
    ]
    lines += [
        late,
        *(
            f"| {name} | {one.seconds:.0f} | {share(one.late, 0.5):,.0f} ms | {share(one.late, 0.99):,.0f} ms "
            f"| {one.late[-1]:,.0f} ms | {one.load:.1f} |"
            for name, one in timed
        ),
    ]
    return "\n".join([head, *lines, ""])


def main(
    users: Annotated[int, typer.Option(help="Number of users of the log.")] = 100_000,
    rate: Annotated[int, typer.Option(help="Number of events per second meanwhile.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed of users and events.")] = 1,
    write: Annotated[bool, typer.Option(help="Write the result to NEW_ABSENCE.md.")] = True,
) -> None:
    """Compare and measure; exit with 1 if a user differs or an event is late."""
    plan, commit = NewAbsencePlan(users=users, rate=rate, seed=seed), commit_name()
    with a_broker("kafka") as broker:
        found = asyncio.run(prove(broker.connection(), plan))
    for line in found.wrong[:20]:
        typer.echo(line)
    text = page(plan, commit, broker.name, found)
    typer.echo(text)
    if write:
        RESULTS.write_text(text, encoding="utf-8")
    latest, load = max((one.late[-1], one.load) for one in (found.with_history, found.from_now))
    if latest > MAX_LATE_MS:
        typer.echo(f"an event was folded {latest:,.0f} ms after it was due, allowed: {MAX_LATE_MS:,}; load {load:.1f}")
    raise typer.Exit(1 if found.wrong or latest > MAX_LATE_MS else 0)


if __name__ == "__main__":
    typer.run(main)
