"""A million invalid or malicious records for the real router and fold: no record may be lost, or stop router or fold.

    python -m tests.chaos.hostile --records 1000000 --seed 1

The program needs no other process and no broker. It drives the router's agent and the folds of four partitions as
lanes drive them, with rules, scores and messages. Each record must have exactly one result: folded, a duplicate, or a
dead letter. The dead letter has a reason, the record's position and its content. ``fold_failed`` is a bug of the engine
and counts as a failure. The result is written to ``HOSTILE.md``.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from agents.fold_customers import fold_customers
from agents.route_events import route_events
from models.batch import Batch, Output, Outputs, Restored
from models.errors import InvalidEvent
from models.events import decode_event, encode_event
from models.fold.outputs import MAX_RECORD_BYTES
from models.log import Control, encode_control, is_control, opening
from models.profile.codec import unpack
from models.rejected import MAX_KEPT_BYTES, TOPIC, decode_rejected
from models.source import Received, Source
from models.wire import decode
from models.wire.statements import withdrawing
from stream.cluster.partitioner import partition_of
from tests.chaos.attacks import NOW, Hostile, attack
from tests.support.configured_versions import churn_version, configuration_version, segments_version

PARTITIONS = 4
BATCH = 500
STEP_MS = 100
"""Time between two records on the broker's clock, milliseconds. A million records take over 27 hours: timers fire too.
"""
RESULTS = Path(__file__).with_name("HOSTILE.md")


class NotKept(AssertionError):
    """A promise about bad input was broken."""


class _Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass
class Books:
    """Counts of a run.

    Attributes
    ----------
    sent, accepted
        Records by kind, and the number of them that became events.
    refused
        Dead letters by reason and by writer: the router or the fold.
    details
        Dead letters about a detail of an event that was accepted.
    folded, repeats, salvaged
        Events that were folded; that were duplicates; that were refused except for their withdrawal.
    withdrawals
        Events that the router wrote for withdrawals in records that it refused.
    users, largest
        Number of profiles at the end, and size of the largest, in bytes.
    timers
        Number of timers that fired.
    seconds
        Duration of the run.
    """

    sent: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    details: Counter[tuple[str, str]] = field(default_factory=Counter)
    folded: int = 0
    repeats: int = 0
    salvaged: int = 0
    withdrawals: int = 0
    users: int = 0
    largest: int = 0
    timers: int = 0
    seconds: float = 0.0


class _Partition:
    """A log of ``events``, and the fold of one partition that reads it."""

    def __init__(self, number: int) -> None:
        self.state = Restored(partition=number)
        self._written = 0
        self._inbox: asyncio.Queue[Batch] = asyncio.Queue()
        self._fold = fold_customers(_each(self._inbox), state=self.state)

    async def take(self, pairs: Iterable[tuple[bytes, bytes | None]], stamp: int) -> tuple[Batch, list[Outputs]]:
        records = [_Record(offset, stamp, *pair) for offset, pair in enumerate(pairs, self._written)]
        self._written += len(records)
        batch = Batch("events", self.state.partition, records)
        self._inbox.put_nowait(batch)
        given: list[Outputs] = []
        while not given or given[-1].commit.position is not None:
            given.append(await anext(self._fold))
            self.state.apply(given[-1].commit)
        return batch, given


class HostileRun:
    """Router and folds, joined by lists."""

    def __init__(self) -> None:
        self.books = Books()
        self._offset = 0
        self._partitions = [_Partition(number) for number in range(PARTITIONS)]
        self._letters: set[bytes] = set()

    async def run(self, records: Iterable[Hostile]) -> Books:
        """Send all records, and compare the results with the input.

        Raises
        ------
        NotKept
            A record was lost, doubled or wrongly accepted, or it stopped the engine.
        """
        began = time.monotonic()
        first: list[Control] = [opening("wall"), configuration_version(1), churn_version(1), segments_version(1)]
        for partition in self._partitions:
            await partition.take(map(encode_control, first), NOW)
        inbox: asyncio.Queue[Batch] = asyncio.Queue()
        router = route_events(_each(inbox))
        for portion in _portions(iter(records)):
            batch = self._batch(portion)
            inbox.put_nowait(batch)
            accepted = self._routed(portion, await anext(router))
            for partition, pairs in zip(self._partitions, accepted, strict=True):
                if pairs:
                    self._folded(*await partition.take(pairs, batch.records[-1].timestamp))
        self._close()
        self.books.seconds = time.monotonic() - began
        return self.books

    def _batch(self, portion: list[Hostile]) -> Batch:
        records = [
            _Record(offset, NOW + offset * STEP_MS, sent.key, sent.value)
            for offset, sent in enumerate(portion, self._offset)
        ]
        self._offset += len(records)
        return Batch("events.in", 0, records)

    def _routed(self, portion: list[Hostile], outputs: Outputs) -> list[list[tuple[bytes, bytes | None]]]:
        """Check the router's results of each record, and return what it wrote to ``events``, by partition."""
        accepted: list[list[tuple[bytes, bytes | None]]] = [[] for _ in range(PARTITIONS)]
        main: Counter[int] = Counter()
        record = self._offset - len(portion) - 1
        for output in outputs.commit.records:
            if output.topic == TOPIC:
                letter = decode_rejected(output.value)
                record, is_main = letter.offset, not letter.accepted
                self._letter("router", output, portion[record - self._offset].value)
            else:
                is_main = not self._is_withdrawal_of(output, portion, record, main)
                record += is_main
                self._into_events(output, portion[record - self._offset], is_main=is_main)
                accepted[partition_of(output.key, PARTITIONS)].append((output.key, output.value))
            main[record] += is_main
        if sorted(main) != list(range(self._offset - len(portion), self._offset)) or {*main.values()} != {1}:
            raise NotKept(f"{len(portion)} records became {main.total()}: {[n for n in main if main[n] != 1][:9]}")
        self.books.sent.update(sent.kind for sent in portion)
        return accepted

    def _is_withdrawal_of(self, output: Output, portion: list[Hostile], record: int, main: Counter[int]) -> bool:
        """Return whether an event is the withdrawal that the router salvaged from the refused record before it."""
        if not main[record] or record < self._offset - len(portion):
            return False
        received_at, value = NOW + record * STEP_MS, portion[record - self._offset].value
        try:
            decode(value, Received(Source("events.in", 0, record), received_at))
        except InvalidEvent as error:
            return error.withdrawal is not None and encode_event(error.withdrawal) == output.value
        return False

    def _into_events(self, output: Output, sent: Hostile, *, is_main: bool) -> None:
        event = decode_event(output.value or b"")
        if output.topic != "events" or output.key != event.user.encode() or is_control(output.key) or event.forced:
            raise NotKept(f"{output} must not be in the log")
        if is_main:
            self.books.accepted[sent.kind] += 1
        elif event.granted is not False and not withdrawing(event.traits):
            raise NotKept(f"{output} is not a withdrawal of consent")
        else:
            self.books.withdrawals += 1

    def _folded(self, batch: Batch, given: list[Outputs]) -> None:
        """Check that each event was folded, a duplicate, or refused; a refused one may contain a valid withdrawal."""
        letters, salvaged, counts = 0, 0, Counter[str]()
        for outputs in given:
            for output in outputs.commit.records:
                if output.topic == TOPIC:
                    letter = decode_rejected(output.value)
                    self._letter("fold", output, batch.records[letter.offset - batch.records[0].offset].value)
                    letters += not letter.accepted  # otherwise it is about a detail of an event that was folded
            for name, count in outputs.counts.items():
                counts[name[0]] += int(count)
                salvaged += int(count) if name[0] == "withdrawals_salvaged" else 0
        folded, repeats = counts["events_folded"], counts["events_duplicate"] + counts["orders_repeated"]
        # A refused event that is only a withdrawal is neither folded nor a dead letter.
        rest = len(batch.records) - folded - repeats - letters
        if not 0 <= rest <= salvaged:
            raise NotKept(f"{len(batch.records)} events: {folded} folded, {repeats} repeats, {letters} dead letters")
        self.books.folded += folded
        self.books.repeats += repeats
        self.books.salvaged += rest
        self.books.timers += counts["timers_fired"]

    def _letter(self, by: str, output: Output, value: bytes | None) -> None:
        letter = decode_rejected(output.value)
        content = value or b""
        if not letter.reason or not letter.allowed or letter.reason == "fold_failed":
            raise NotKept(f"rejected as {letter.reason!r}: {letter.found}, {content[:500]!r}")
        if (letter.sha256, letter.value) != (hashlib.sha256(content).hexdigest(), content[:MAX_KEPT_BYTES]):
            raise NotKept(f"{output.key!r} is not what was sent")
        if output.key in self._letters or len(output.value or b"") > MAX_RECORD_BYTES:
            raise NotKept(f"{output.key!r} twice, or too large for Kafka")
        self._letters.add(output.key)
        (self.books.details if letter.accepted else self.books.refused)[letter.reason, by] += 1

    def _close(self) -> None:
        books, events = self.books, 0
        for partition in self._partitions:
            profiles = [packed for key, packed in partition.state.records.items() if not is_control(key)]
            books.users += len(profiles)
            books.largest = max(books.largest, *map(len, profiles), 0)
            events += sum(sum(unpack(packed).facts.events.values()) for packed in profiles)
        if events != books.folded:
            raise NotKept(f"{books.folded} events folded, {events} in the profiles")
        if books.largest > MAX_RECORD_BYTES:
            raise NotKept(f"a profile of {books.largest} bytes")


async def _each(inbox: asyncio.Queue[Batch]) -> AsyncIterator[Batch]:
    while True:
        yield await inbox.get()


def _portions(records: Iterator[Hostile]) -> Iterator[list[Hostile]]:
    while portion := list(islice(records, BATCH)):
        yield portion


def report(books: Books, records: int, seed: int) -> str:
    """Format the section of a run."""
    summary = (
        f"{records:,} in: {books.folded:,} folded because they were valid, {books.repeats:,} ignored as repeats, "
        f"{books.refused.total():,} dead letters with a reason. 0 crashes, 0 lost, 0 twice, 0 `fold_failed`.\n"
        f"{books.withdrawals + books.salvaged:,} withdrawals counted although the rest was refused; "
        f"{books.details.total():,} dead letters are about details of events that were accepted.\n"
        f"Meanwhile {books.timers:,} timers fired; {books.users:,} profiles at the end, the largest of "
        f"{books.largest:,} bytes. {books.seconds:,.0f} s."
    )
    lines = [
        f"## {records:,} records, seed {seed}",
        "",
        summary,
        "",
        "| what was tried | records | valid |",
        "|---|---:|---:|",
        *(f"| {kind} | {count:,} | {books.accepted[kind]:,} |" for kind, count in books.sent.most_common()),
        "",
        "| reason | dead letters | by |",
        "|---|---:|---|",
        *(f"| `{reason}` | {count:,} | {by} |" for (reason, by), count in books.refused.most_common()),
    ]
    return "\n".join(lines) + "\n"


HEAD = """# Hostile records

Written by `python -m tests.chaos.hostile`, which sends invalid and malicious records to `events.in`. They pass the
router and the fold as a worker runs them. A run ends with an error and writes nothing if it finds a crash, a lost or
doubled record, or a dead letter that differs from the record sent.
"""


def write(section: str) -> None:
    """Replace the section with the same title, or add this one after all others."""
    title = section.partition("\n")[0]
    _, *sections = RESULTS.read_text().split("\n## ") if RESULTS.exists() else [""]
    kept = ["## " + one.rstrip("\n") + "\n" for one in sections]
    titles = [one.partition("\n")[0] for one in kept]
    if title in titles:
        kept[titles.index(title)] = section
    else:
        kept.append(section)
    RESULTS.write_text("\n".join([HEAD, *kept]))


def main(
    records: Annotated[int, typer.Option(min=1, help="Number of records.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="The same seed sends the same records.")] = 1,
    as_written: Annotated[bool, typer.Option("--write/--no-write", help="Whether to write HOSTILE.md.")] = True,
) -> None:
    """Send the records, print the results, and write them to HOSTILE.md."""
    section = report(asyncio.run(HostileRun().run(attack(records, seed))), records, seed)
    typer.echo(section)
    if as_written:
        write(section)


if __name__ == "__main__":
    typer.run(main)
