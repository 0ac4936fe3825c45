"""``python -m tests.chaos.soak --minutes 30 --rate 5000``: test whether memory or lag grows.

The whole ``perennial worker`` (fold, deliver, learn) runs on a real Apache Kafka. An open-loop load goes straight into
``events``, as the doors write it. Nothing in the load grows: the users stay the same, and each has a history that fills
a profile before the soak begins. Two simulated days pass in a minute, so everything that is kept for days is added and
expires many times.

Every ten seconds the soak samples the resident memory of each process and the number of events that wait to be folded.
It also samples the time from the write of a probe to its committed interaction. At the end, memory must be flat
within 5% after the warm-up, at most two seconds of load may wait, and no process may have restarted.
"""

from __future__ import annotations

import asyncio
import csv
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition

from models.events import MICROS, Event, EventType, OrderLine, encode_event
from models.log import Tick, encode_control
from models.units import DAY
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.feed.progress import GroupProgress
from stream.installation.running import Installation, StartOptions, await_folding, own_ports, running
from stream.log.event_log import EventLog
from stream.settings.loading import load
from tests.chaos.installing import write_templates
from tests.chaos.plot import Panel, draw
from tests.support.brokers import ApacheKafka
from tests.support.processes import roles_below

PARTITIONS = 8
USERS, ITEMS = 20_000, 2_000
START_MS = 1_767_571_200_000
DAYS_A_MINUTE = 2
HISTORY, HISTORY_DAYS = 50, 20
"""Events of each user before the soak, and days over which they are spread; they fill every bounded part of a profile.
"""
BURST_S = 0.02
PROBES = 64
SAMPLE_EVERY_S = 10.0
FLAT = 0.05
MAX_LAG_S = 2.0
"""Maximum number of events that wait at the end (median), as seconds of load."""
_MIX: dict[EventType, float] = {
    "page_view": 0.32,
    "product_view": 0.40,
    "click": 0.16,
    "cart_add": 0.08,
    "purchase": 0.04,
}
_FILE = """
version: 1
folder: data
rules:
  - name: welcome
    category: transactional
    when: {first_purchase: true}
  - name: cart_reminder
    when: {cart_left: {for: 1h}}
    cooldown: 90d
"""


@dataclass
class SoakSample:
    """One sample of the running worker.

    Attributes
    ----------
    at
        Seconds since the load began.
    memory
        Resident memory in MiB, by process.
    waiting
        Number of events written but not folded yet.
    rate
        Events written per second since the previous sample.
    p50, p99
        Latencies of the probes that came back since the previous sample, milliseconds.
    """

    at: float
    memory: dict[str, float]
    waiting: int
    rate: float
    p50: float
    p99: float


@dataclass
class Soak:
    """A running soak."""

    log: EventLog
    rate: int
    seed: int
    written: int = 0
    records: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    probes: dict[str, float] = field(default_factory=dict)
    took_ms: list[float] = field(default_factory=list)

    async def fill(self, progress: GroupProgress) -> None:
        """Write the history of every user, and wait until it is folded."""
        numbers, kinds = random.Random(self.seed), list(_MIX)
        for turn in range(HISTORY):
            now = START_MS - (HISTORY - turn) * HISTORY_DAYS * DAY // HISTORY
            chosen = numbers.choices(kinds, list(_MIX.values()), k=USERS)
            made = (
                _Made(-1 - turn * USERS - number, user, kind, numbers.randrange(ITEMS))(now)
                for number, (user, kind) in enumerate(zip(_users(), chosen, strict=True))
            )
            await self._write(now, made)
            print(f"history {turn + 1} of {HISTORY}: {await self.waiting(progress):,} events wait", flush=True)
            await self._folded(progress, USERS)
        await self._folded(progress, 0)

    async def _folded(self, progress: GroupProgress, most: int) -> None:
        while await self.waiting(progress) > most:  # noqa: ASYNC110 - offsets can only be polled
            await asyncio.sleep(SAMPLE_EVERY_S / 10)

    async def waiting(self, progress: GroupProgress) -> int:
        """Count the events written but not folded yet."""
        folded = await progress.committed()
        return sum(max(0, end - folded[number]) for number, end in enumerate(self.records))

    async def feed(self, until: float) -> None:
        """Write at the given rate, whether or not the worker keeps up."""
        events = self._events()
        began = time.monotonic()
        while (moment := time.monotonic()) < until:
            due = int((moment - began) * self.rate) - self.written
            now = START_MS + int((moment - began) * DAYS_A_MINUTE * DAY / 60)
            await self._write(now, [*(next(events)(now) for _ in range(due)), self._probe(now)])
            self.written += due
            await asyncio.sleep(max(0.0, moment + BURST_S - time.monotonic()))

    async def _write(self, now: int, events: Iterable[Event]) -> None:
        records = [(partition, *encode_control(Tick(at=now))) for partition in range(PARTITIONS)]
        for event in events:
            key = event.user.encode()
            records.append((partition_of(key, PARTITIONS), key, encode_event(event)))
        for appended in await self.log.write_at(records):
            self.records[appended.partition] = max(self.records[appended.partition], appended.offset + 1)

    def _probe(self, now: int) -> Event:
        number = len(self.probes)
        item = f"probe {number}"
        self.probes[item] = time.monotonic()
        return Event(id=item, user=f"probe-{number % PROBES}", type="click", at=now, origin="replay", item=item)

    def _events(self) -> Iterator[_Made]:
        draw_, numbers = np.random.default_rng(self.seed), random.Random(self.seed)
        kinds = list(_MIX)
        everyone = _users()
        number = 0
        while True:
            users = np.minimum((draw_.pareto(1.2, 10_000) * USERS / 40).astype(np.int64), USERS - 1).tolist()
            chosen = draw_.choice(len(kinds), size=10_000, p=list(_MIX.values())).tolist()
            for user, kind in zip(users, chosen, strict=True):
                # a number after the last user is replaced by a random user, all with equal probability
                who = everyone[user if user < USERS - 1 else numbers.randrange(USERS)]
                yield _Made(number, who, kinds[kind], numbers.randrange(ITEMS))
                number += 1

    async def listen(self, connection: Connection) -> None:
        """Measure how long each probe takes until an outside consumer can read its result."""
        places = [TopicPartition(connection.topic("interactions"), number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            consumer.assign(places)
            while True:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    moment = time.monotonic()
                    for record in records:
                        if record.key.startswith(b"probe"):
                            item = record.value.partition(b'"item":"')[2].partition(b'"')[0].decode()
                            self.took_ms.append((moment - self.probes[item]) * 1_000)
        finally:
            await consumer.stop()


@dataclass(slots=True)
class _Made:
    number: int
    user: str
    kind: EventType
    item: int

    def __call__(self, now: int) -> Event:
        item, category, price = f"sku-{self.item}", f"c{self.item % 20}", (5 + self.item % 95) * MICROS
        bought = self.kind == "purchase"
        return Event(
            id=f"soak-{self.number}",
            user=self.user,
            type=self.kind,
            at=now,
            origin="replay",
            item=None if bought or self.kind == "page_view" else item,
            category=None if bought else category,
            lines=(OrderLine(item, 1, price, category),) if bought else (),
            amount=0 if self.kind == "page_view" else price,
            order=f"o{self.number}" if bought else None,
            properties={"url": f"https://shop.example/{category}/{item}", "device": "phone"},
        )


def _users() -> list[str]:
    return [f"user-{number:05d}" for number in range(USERS)]


@contextmanager
def installed(folder: Path) -> Iterator[tuple[Installation, ApacheKafka]]:
    """Start a broker and a whole worker on it."""
    home = Path(os.environ.get("KAFKA_HOME") or Path.cwd().parent / "shared" / "kafka")
    (folder / "kafka").mkdir()
    kafka = ApacheKafka(home, folder / "kafka", java_options="")
    kafka.start()
    try:
        (folder / "perennial.yaml").write_text(_FILE)
        write_templates(folder, ("welcome", "cart_reminder"))
        flags = {
            **own_ports(),
            "kafka.servers": kafka.address,
            "kafka.prefix": "soak.",
            "kafka.partitions": PARTITIONS,
        }
        with running(load(folder / "perennial.yaml", flags), ("worker",), StartOptions(clock="feeder")) as installation:
            await_folding(installation)
            yield installation, kafka
    finally:
        kafka.stop()


async def soak(installation: Installation, minutes: float, rate: int, seed: int) -> list[SoakSample]:
    """Feed the worker and sample it every ten seconds; raise an error if a process restarts."""
    connection = installation.settings.connection()
    (status,) = installation.supervisor.statuses()
    assert status.pid is not None
    before, samples = roles_below(status.pid), list[SoakSample]()
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(EventLog(connection, PARTITIONS, timeout_s=60))
        progress = await stack.enter_async_context(GroupProgress(connection, PARTITIONS))
        state = Soak(log, rate, seed)
        await state.fill(progress)
        began = last = time.monotonic()
        listening = asyncio.create_task(state.listen(connection))
        feeding = asyncio.create_task(state.feed(began + minutes * 60))
        stack.callback(listening.cancel)
        stack.callback(feeding.cancel)
        written = 0
        while not feeding.done():
            await asyncio.wait([feeding, listening], timeout=SAMPLE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
            waiting = await state.waiting(progress)
            moment, took = time.monotonic(), sorted(state.took_ms)
            state.took_ms.clear()
            sample = SoakSample(
                at=moment - began,
                memory={name: _resident_mib(pid) for name, pid in before.items()},
                waiting=waiting,
                rate=(state.written - written) / (moment - last),
                p50=took[len(took) // 2] if took else float("nan"),
                p99=took[int(len(took) * 0.99)] if took else float("nan"),
            )
            samples.append(sample)
            written, last = state.written, moment
            print(_said(sample), flush=True)
            if roles_below(status.pid) != before:
                raise RuntimeError(f"a process restarted: {before}, now {roles_below(status.pid)}")
        feeding.result()
    return samples


def findings(samples: Sequence[SoakSample], warm_up_s: float, rate: int) -> list[str]:
    """Describe each promise that does not hold: memory flat after the warm-up, events folded as they come.

    Memory is compared between the first and the last third of the samples after the warm-up, by their medians.
    """
    warm = [sample for sample in samples if sample.at >= warm_up_s]
    if len(warm) < 6:
        return [f"only {len(warm)} samples after a warm-up of {warm_up_s:.0f} s: let it run longer"]
    third = len(warm) // 3
    found = []
    for process in warm[0].memory:
        early = statistics.median(sample.memory[process] for sample in warm[:third])
        late = statistics.median(sample.memory[process] for sample in warm[-third:])
        if late > early * (1 + FLAT):
            found.append(f"{process} grew from {early:.0f} to {late:.0f} MiB ({late / early - 1:+.1%})")
    early_lag, late_lag = (
        statistics.median(sample.waiting for sample in some) for some in (warm[:third], warm[-third:])
    )
    if late_lag > MAX_LAG_S * rate:
        found.append(f"{late_lag:,.0f} events wait at the end, {early_lag:,.0f} did after the warm-up")
    written = statistics.median(sample.rate for sample in warm)
    if written < 0.97 * rate:
        found.append(f"only {written:,.0f} events a second were written")
    return found


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _said(sample: SoakSample) -> str:
    memory = ", ".join(f"{name} {mib:.0f}" for name, mib in sample.memory.items())
    return (
        f"{sample.at:6.0f} s  {memory} MiB  {sample.waiting:,} waiting  {sample.rate:,.0f}/s  "
        f"p50 {sample.p50:.0f} ms, p99 {sample.p99:.0f} ms"
    )


def write_table(samples: Sequence[SoakSample], file: Path) -> None:
    """Write every sample as a line."""
    with file.open("w", newline="") as out:
        table = csv.writer(out)
        names = list(samples[0].memory)
        table.writerow(
            ["seconds", *(f"{name}_mib" for name in names), "waiting", "events_a_second", "p50_ms", "p99_ms"]
        )
        for sample in samples:
            memory = [f"{sample.memory[name]:.1f}" for name in names]
            table.writerow(
                [
                    f"{sample.at:.0f}",
                    *memory,
                    sample.waiting,
                    f"{sample.rate:.0f}",
                    f"{sample.p50:.1f}",
                    f"{sample.p99:.1f}",
                ]
            )


def panels(samples: Sequence[SoakSample]) -> list[Panel]:
    """Return the panels of the plot."""
    minutes = [sample.at / 60 for sample in samples]
    return [
        Panel(
            "resident memory, MiB", minutes, {n: [sample.memory[n] for sample in samples] for n in samples[0].memory}
        ),
        Panel("events that wait to be folded", minutes, {"waiting": [sample.waiting for sample in samples]}),
        Panel(
            "event to committed interaction, ms",
            minutes,
            {"p50": [k.p50 for k in samples], "p99": [k.p99 for k in samples]},
        ),
        Panel("events written a second", minutes, {"rate": [sample.rate for sample in samples]}),
    ]


def run(
    minutes: Annotated[float, typer.Option(min=1, help="Duration in minutes.")] = 30,
    rate: Annotated[int, typer.Option(min=10, help="Events per second.")] = 5_000,
    warm_up: Annotated[float | None, typer.Option(help="Minutes that do not count; a third by default.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the load.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of soak.csv and soak.svg.")] = Path(__file__).parent,
) -> None:
    """Run a soak; the exit code is 1 if something grew."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as name, installed(Path(name)) as (installation, _):
        samples = asyncio.run(soak(installation, minutes, rate, seed))
    found = findings(samples, (minutes / 3 if warm_up is None else warm_up) * 60, rate)
    write_table(samples, out / "soak.csv")
    title = f"{minutes:g} minutes at {rate:,} events/s, {USERS:,} users, {os.cpu_count()} cores"
    (out / "soak.svg").write_text(draw(title, panels(samples), "minutes"))
    print("\n".join(found) or "memory is flat, and nothing is left waiting")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    typer.run(run)
