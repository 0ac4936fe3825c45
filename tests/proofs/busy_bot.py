"""``python -m tests.proofs.busy_bot``: proof that one user with a million events harms neither the fold nor others.

A bot has a million events within three days, beside ordinary users. There are segments of all kinds: each measure over
each window, sequences, absences, values. The whole fold reads the log, once with the bot and once without it.

1. What the clauses remember of the bot, and its whole state, are within their limits after each batch.
2. The answer to ``perennial user bot --why`` says for each approximate clause that it is approximate.
3. No step fails, and no event is refused. There is one exception: the bot has more message ids than are remembered.
   Therefore its late events are ``too_late`` if ids of their time were forgotten (``docs/events.md``).
4. The states of all ordinary users are the same bytes in both runs.
5. The last events of the bot take no more processor time than the first ones.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from models.batch import Restored
from models.conditions.budget import MAX_STATE_BYTES
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.outputs import MAX_RECORD_BYTES
from models.fold.partition import PartitionFold
from models.log import is_control
from models.profile.codec import unpack
from tests.benchmarks.report import machine
from tests.proofs.configurations import commit_name
from tests.support.busy_bots import BOT, ORDINARY, BotCost, bot_log, in_batches, segments

RESULTS = Path(__file__).with_name("BUSY_BOT.md")
PART = 50_000
"""Number of events whose processor time is compared, at the beginning and at the end."""
MAX_GROWTH = 1.5
"""Maximum processor time of a late event, relative to an early one."""
_BATCH = 2_000


class BotRun(NamedTuple):
    """The fold of the log.

    Attributes
    ----------
    state
        The state at the end.
    costs
        Processor time of each batch.
    largest
        The largest sizes after a batch, bytes: of the clauses as weighed and as stored, and of the whole state.
    counts
        Sums of the counters.
    """

    state: Restored
    costs: list[BotCost]
    largest: tuple[int, int, int]
    counts: Counter[tuple[str, ...]]


def fold(events: int, seed: int, *, has_bot: bool) -> BotRun:
    """Fold the whole log, with the bot or without it."""
    state, costs, counts = Restored(), list[BotCost](), Counter[tuple[str, ...]]()
    folding, largest = PartitionFold(state), (0, 0, 0)
    for batch in in_batches(bot_log(events, seed, has_bot=has_bot), _BATCH):
        begin = time.process_time()
        for outputs in folding.slices(batch):
            state.apply(outputs.commit)
            counts.update(outputs.counts)
        costs.append(BotCost(sum(record.key == BOT.encode() for record in batch.records), time.process_time() - begin))
        if (packed := state.records.get(BOT.encode())) is not None:
            clauses = unpack(packed).facts.clauses
            weight, stored = (0, 0) if clauses is None else (clauses.weight, sum(map(len, clauses.entries.values())))
            largest = (max(largest[0], weight), max(largest[1], stored), max(largest[2], len(packed)))
    return BotRun(state, costs, largest, counts)


def part_of(costs: list[BotCost], events: int) -> BotCost:
    """Return the processor time of the first batches with at least this many events of the bot."""
    found = BotCost(0, 0.0)
    for one in costs:
        if found.events >= events:
            break
        found = BotCost(found.events + one.events, found.seconds + one.seconds)
    return found


def approximate(state: Restored) -> list[str]:
    """Return the segments of which ``--why`` says that a clause is approximate for the bot."""
    memo = read_memo(state)
    versions, customer = versions_in_use(state, memo), unpack(state.records[BOT.encode()])
    answers = {one.name: why(BOT, customer, memo.now, versions, one.name)["tree"] for one in segments()}
    return [name for name, tree in answers.items() if tree.get("approximate")]


def others_of(state: Restored) -> dict[bytes, bytes]:
    """Return the states of all ordinary users."""
    return {key: packed for key, packed in state.records.items() if not is_control(key) and key != BOT.encode()}


class BotProof(NamedTuple):
    """The results of both folds.

    Attributes
    ----------
    run, alone
        The folds with the bot and without it.
    first, last
        Processor time of the first and the last events of the bot.
    approximate
        The segments of which the bot has an approximate clause.
    different
        The ordinary users whose state is another one without the bot.
    """

    run: BotRun
    alone: BotRun
    first: BotCost
    last: BotCost
    approximate: list[str]
    different: list[str]

    @property
    def late(self) -> int:
        """Number of late events of the bot that were refused, because ids of their time were forgotten."""
        return _refused(self.run, is_late=True)

    @property
    def refused(self) -> int:
        """Number of all other events that were refused."""
        return _refused(self.run, is_late=False) + sum(_refused(self.alone, is_late=late) for late in (True, False))

    @property
    def growth(self) -> float:
        """Processor time of a late event, relative to an early one."""
        return self.last.microseconds / self.first.microseconds

    @property
    def faults(self) -> list[str]:
        """Everything that must not be, in words, except a growth of the processor time."""
        weight, stored, packed = self.run.largest
        found = {
            f"clauses of {max(weight, stored):,} bytes, at most {MAX_STATE_BYTES:,}": max(weight, stored)
            > MAX_STATE_BYTES,
            f"a state of {packed:,} bytes, at most {MAX_RECORD_BYTES:,}": packed > MAX_RECORD_BYTES,
            f"{self.refused} refused events": self.refused > 0,
            "no clause is shown as approximate": not self.approximate,
            f"users with another state: {self.different}": bool(self.different),
        }
        return [text for text, is_wrong in found.items() if is_wrong]


def _refused(run: BotRun, *, is_late: bool) -> int:
    counted = {name[1]: count for name, count in run.counts.items() if name[0] == "events_rejected"}
    return int(sum(count for reason, count in counted.items() if (reason == "too_late") == is_late))


def prove(events: int, seed: int) -> BotProof:
    """Fold both logs, and compare."""
    run, alone = fold(events, seed, has_bot=True), fold(events, seed, has_bot=False)
    part, one, other = min(PART, max(events // 4, 1)), others_of(run.state), others_of(alone.state)
    different = sorted(key.decode() for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    first, last = part_of(run.costs, part), part_of(run.costs[::-1], part)
    return BotProof(run, alone, first, last, approximate(run.state), different)


def page(found: BotProof, events: int, seed: int, commit: str) -> str:
    """Format the results."""
    about, (weight, stored, packed) = machine(), found.run.largest
    full = int(found.run.counts["event_warnings", "state_full"])
    forgotten = int(found.run.counts["ids_forgotten",])
    rows = {
        "events of the bot": f"{events:,} in 3 days",
        "ordinary users": f"{ORDINARY}",
        "segments": f"{len(segments())}",
        "seed": str(seed),
        "commit": commit,
        "machine": f"{about['processor']}, {about['cores']} cores",
        "**The state of the bot**": "",
        "clauses, as they are weighed, at most": f"{weight:,} of {MAX_STATE_BYTES:,} bytes",
        "clauses, as they are stored, at most": f"{stored:,} bytes",
        "whole state, at most": f"{packed:,} of {MAX_RECORD_BYTES:,} bytes",
        "segments that `--why` shows as approximate": f"{len(found.approximate)}",
        "traits left out as `state_full`": f"{full:,}",
        "message ids forgotten early": f"{forgotten:,}",
        "**Events and other users**": "",
        "late events of the bot that were `too_late`, because ids of their time were forgotten": f"{found.late:,}",
        "other refused events": f"{found.refused}",
        "ordinary users whose state is another one without the bot": f"{len(found.different)}",
        "**Processor time for an event of the bot**": "",
        f"first {found.first.events:,} events": f"{found.first.microseconds:.0f} µs",
        f"last {found.last.events:,} events": f"{found.last.microseconds:.0f} µs",
    }
    head = (
        "# One user with a million events harms neither the fold nor others\n\nA bot beside ordinary users, with "
        "segments of all kinds, through the whole fold. Written by `python -m "
        "tests.proofs.busy_bot`.\n\n| what | |\n|---|--:|"
    )
    return "\n".join([head, *(f"| {name} | {value} |" for name, value in rows.items()), ""])


def main(
    events: Annotated[int, typer.Option(help="Number of events of the bot.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of all events.")] = 1,
    write: Annotated[bool, typer.Option(help="Write the result to BUSY_BOT.md.")] = True,
) -> None:
    """Fold the log with the bot and without it, and exit with 1 if a limit is exceeded."""
    commit = commit_name()
    found = prove(events, seed)
    text = page(found, events, seed, commit)
    typer.echo(text)
    for fault in found.faults:
        typer.echo(fault)
    if is_slow := found.growth > MAX_GROWTH:
        typer.echo(f"an event takes {found.growth:.2f} times as long as at the beginning")
    if write:
        RESULTS.write_text(text, encoding="utf-8")
    raise typer.Exit(1 if found.faults or is_slow else 0)


if __name__ == "__main__":
    typer.run(main)
