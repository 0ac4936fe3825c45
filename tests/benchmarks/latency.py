"""From an event to the message that it causes, readable by a ``read_committed`` consumer; open loop, as a histogram.

Events are due at fixed moments, whatever the system does meanwhile, and a message's time counts from the moment at
which its event was *due*: a stall is felt by everything that was due in it (no coordinated omission). Beside it stands
the time from the broker's acknowledgement of the event. Broker, worker, sender and reader share this machine: how much
of its cores each of them took is told, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from models.delivery.messages import decode_message, message_id
from models.delivery.notices import is_notice
from models.events import Event, encode_event
from models.log import is_control
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.cluster.topics import create
from tests.benchmarks import worker
from tests.benchmarks.broker import Broker, Kind, a_broker, cpu_seconds
from tests.benchmarks.feeding import feed
from tests.benchmarks.guard import await_open
from tests.benchmarks.load import START_MS, Load
from tests.benchmarks.log import log_of
from tests.benchmarks.report import Grid, Report, Spread
from tests.support.brokers import free_ports

HANGING_RATE = 5_000
PROBERS = 2_000
PROBE_ONE_IN = 20
"""Of a dense load; of a thin one every event is a probe."""
ALL_PROBES_BELOW = 200
RULE = "bench_probe"
EVENT = "Bench Probe"
MORE_RULES = f"""  - name: {RULE}
    category: transactional
    when: {{event: {EVENT}}}
    template: first_order
"""
WARM_S = 5.0
EVERY_S = 0.005
"""The sender sends no more often, and together what has become due by then: Kafka's own producer waits as long since
4.0. What waits for it is counted."""
DRAIN_S = 60.0
BOUNDS_MS = (1, 2, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 2_000, 5_000, 10_000)
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass
class Probes:
    """What is known of the probes of one run, by message id; seconds of the monotonic clock."""

    due: dict[str, float] = field(default_factory=dict)
    accepted: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)

    def since(self, moments: dict[str, float], from_: float) -> list[float]:
        """Milliseconds until each message could be read, of probes that were due at ``from_`` or later."""
        return sorted(
            (self.read[name] - moments[name]) * 1e3
            for name, due in self.due.items()
            if due >= from_ and name in self.read and name in moments
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Least value that so many percent do not exceed.

    Examples
    --------
    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 99)
    (2.0, 4.0)
    """
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def histogram(values: Sequence[float]) -> dict[str, int]:
    """How many lie at or below each bound and above the one before."""
    counts = dict.fromkeys([*(f"<= {bound} ms" for bound in BOUNDS_MS), "more"], 0)
    for value in values:
        bound = next((f"<= {bound} ms" for bound in BOUNDS_MS if value <= bound), "more")
        counts[bound] += 1
    return counts


def summary(runs: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Percentiles and the largest of each run, ordered milliseconds, and the histogram of all of them together."""
    shown = {f"p{percent:g}": Spread.of(percentile(run, percent) for run in runs) for percent in PERCENTILES}
    together = [value for run in runs for value in run]
    return {
        "count": len(together),
        **shown,
        "max": Spread.of(run[-1] for run in runs),
        "histogram": histogram(together),
    }


def measure(
    kind: Kind,
    *,
    rates: Sequence[int],
    seconds: float,
    runs: int,
    hanging: bool,
    partitions: int,
    seed: int,
    output: Path | None,
) -> None:
    """Run every rate, and the hanging provider at 5,000 events/s, and report."""
    report = Report("latency", output, seconds=seconds, partitions=partitions, seed=seed)
    loads = {f"{rate:,} events/s": (rate, False) for rate in rates}
    if hanging:
        loads[f"{HANGING_RATE:,} events/s, a provider hangs"] = (HANGING_RATE, True)
    taken: dict[str, list[_Taken]] = {name: [] for name in loads}
    with a_broker(kind) as broker:
        for run in range(runs):
            for name, (rate, hangs) in loads.items():
                connection = broker.connection()
                create(connection, partitions)
                with tempfile.TemporaryDirectory(prefix="bench-latency-") as folder:
                    one = asyncio.run(_run(broker, connection, rate, seconds, hangs, partitions, seed, Path(folder)))
                if not one.due:
                    raise RuntimeError(f"at {name} no message could be read within {DRAIN_S:.0f} s")
                taken[name].append(one)
                report.say(
                    f"run {run + 1} of {runs}, {name}: p50 {percentile(one.due, 50):.1f}, "
                    f"p99 {percentile(one.due, 99):.1f}, max {one.due[-1]:.0f} ms"
                )
    results = {
        name: {
            "events_per_second": loads[name][0],
            "due": summary([one.due for one in several]),
            "accepted": summary([one.accepted for one in several]),
            "missing": sum(one.missing for one in several),
            "cores": {who: Spread.of(one.cores[who] for one in several) for who in several[0].cores},
        }
        for name, several in taken.items()
    }
    report.put(broker=broker.name, loads=results)
    report.show(tables(report.content))
    report.write()


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """What was measured, for people: percentiles, and the histogram."""
    loads = content["loads"]
    rows = [
        (
            name,
            str(result["due"]["count"]),
            str(result["missing"]),
            *(Spread.read(result["due"][f"p{percent:g}"]).show(".1f") for percent in PERCENTILES),
            Spread.read(result["due"]["max"]).show(),
            Spread.read(result["accepted"]["p50"]).show(".1f"),
            Spread.read(result["accepted"]["p99"]).show(".1f"),
        )
        for name, result in loads.items()
    ]
    bounds = [
        bound
        for bound in next(iter(loads.values()))["due"]["histogram"]
        if any(result["due"]["histogram"][bound] for result in loads.values())
    ]
    shares = [
        (
            bound,
            *(f"{result['due']['histogram'][bound] / result['due']['count']:.1%}" for result in loads.values()),
        )
        for bound in bounds
    ]
    percentiles = [f"p{percent:g}" for percent in PERCENTILES]
    parties = list(dict.fromkeys(who for result in loads.values() for who in result["cores"]))
    cores = [
        (name, *(Spread.read(result["cores"][who]).show(".2f") if who in result["cores"] else "" for who in parties))
        for name, result in loads.items()
    ]
    return [
        Grid(
            f"From when an event was due to its readable message, ms, {content['seconds']:.0f} s a run; "
            f"{content['broker']}",
            ("load", "probes", "missing", *percentiles, "max", "since accepted: p50", "p99"),
            rows,
        ),
        Grid("The same as a histogram: share of the probes", ("", *loads), shares),
        Grid("Meanwhile, cores in use", ("", *parties), cores),
    ]


class _Taken(NamedTuple):
    """One run.

    Attributes
    ----------
    due, accepted
        Milliseconds, ascending, since the events were due and since they were accepted.
    missing
        Probes that could not be read.
    cores
        In use by each process while what counts was sent.
    """

    due: list[float]
    accepted: list[float]
    missing: int
    cores: dict[str, float]


class _Shares:
    """How many cores each process takes while what counts is sent.

    Parameters
    ----------
    pids
        By what they are to people.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before: dict[str, float] = {}
        self._began = 0.0
        self.cores: dict[str, float] = {}

    @property
    def begun(self) -> bool:
        """Whether it is being counted."""
        return bool(self._before)

    def begin(self) -> None:
        """Count from now on."""
        self._before, self._began = self._spent(), time.monotonic()

    def end(self) -> None:
        """Until now."""
        if not self.begun:
            raise RuntimeError(
                "the sender stood still while what counts was due; measure for longer, or on a calmer machine"
            )
        seconds = time.monotonic() - self._began
        self.cores = {name: (spent - self._before[name]) / seconds for name, spent in self._spent().items()}

    def _spent(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}


async def _run(
    broker: Broker,
    connection: Connection,
    rate: int,
    seconds: float,
    hangs: bool,
    partitions: int,
    seed: int,
    folder: Path,
) -> _Taken:
    topic = connection.topic("events")
    known = [_identify(number) for number in range(PROBERS)]
    await feed(connection, topic, partitions, log_of(known, clock="wall", more_rules=MORE_RULES))
    probes = Probes()
    async with contextlib.AsyncExitStack() as stack:
        more = await stack.enter_async_context(_provider_that_hangs(folder)) if hangs else {}
        roles = ("fold", "deliver") if hangs else ("fold",)
        workers = stack.enter_context(worker.running(roles, connection, partitions, folder, more))
        await asyncio.to_thread(await_open, workers[0], partitions)
        reading = asyncio.create_task(_read(connection, partitions, probes))
        processes = {"broker": broker.pid, **{each.role: each.process.pid for each in workers}}
        shares = _Shares({**processes, "sender and reader": os.getpid()})
        from_ = await _send(connection, topic, partitions, rate, seconds, seed, probes, shares)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while len(probes.read) < len(probes.due):  # noqa: ASYNC110 - the reader has no end to tell of
                    await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.wait([reading])
        for each in workers:
            each.check("measuring")
    missing = len(probes.due) - len(probes.read)
    return _Taken(probes.since(probes.due, from_), probes.since(probes.accepted, from_), missing, shares.cores)


def _identify(number: int) -> tuple[bytes, bytes]:
    user = f"prober-{number}"
    traits = {"email": f"{user}@shop.example"}
    event = Event(id=f"identify-{number}", user=user, type="identify", at=int(time.time() * 1e3), traits=traits)
    return user.encode(), encode_event(event)


async def _send(
    connection: Connection,
    topic: str,
    partitions: int,
    rate: int,
    seconds: float,
    seed: int,
    probes: Probes,
    shares: _Shares,
) -> float:
    """Send at the given rate for the given time after a warm-up; returns from when on probes count."""
    one_in = 1 if rate < ALL_PROBES_BELOW else PROBE_ONE_IN
    total = int(rate * (WARM_S + seconds))
    # prepared before the clock starts: making an event takes longer than sending it
    others = [
        (key, partition_of(key, partitions), value)
        for key, value in Load(events=min(total, 100_000), seed=seed, days=0.0, origin="live")
        if not is_control(key)
    ]
    users = [f"prober-{number}" for number in range(PROBERS)]
    places = [partition_of(user.encode(), partitions) for user in users]
    old_at = b'"at":%d' % START_MS
    producer = AIOKafkaProducer(**connection.client_options(), linger_ms=0, acks="all", max_batch_size=1 << 20)
    await producer.start()
    try:
        # where both clocks stand at the beginning
        began, began_ms = time.monotonic() + 0.1, time.time() * 1e3 + 100
        sent, sent_at = 0, 0.0
        while sent < total:
            await asyncio.sleep(max(0.0, max(began + sent / rate, sent_at + EVERY_S) - time.monotonic()))
            sent_at = time.monotonic()
            if not shares.begun and sent >= WARM_S * rate:
                shares.begin()
            ready: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
            names: dict[int, list[str]] = defaultdict(list)
            until = min(total, int((time.monotonic() - began) * rate) + 1)
            for number in range(sent, until):
                at = int(began_ms + number / rate * 1e3)
                if number % one_in == 0:
                    which = number // one_in % PROBERS
                    user, place = users[which], places[which]
                    event = Event(id=f"probe-{number}", user=user, type="custom", name=EVENT, at=at)
                    name = message_id(user, RULE, event.id, at)
                    probes.due[name] = began + number / rate
                    names[place].append(name)
                    ready[place].append((user.encode(), encode_event(event)))
                else:
                    key, place, value = others[number % len(others)]
                    numbered = value.replace(b'"id":"bench-', b'"id":"bench-%d-' % number, 1)
                    ready[place].append((key, numbered.replace(old_at, b'"at":%d' % at, 1)))
            sent = until
            for place, records in ready.items():
                await _hand_over(producer, topic, place, records, names[place], probes)
        await producer.flush()
        shares.end()
    finally:
        await producer.stop()
    return began + WARM_S


async def _hand_over(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    records: list[tuple[bytes, bytes]],
    names: list[str],
    probes: Probes,
) -> None:
    batch = producer.create_batch()
    for key, value in records:
        batch.append(key=key, value=value, timestamp=None)
    answer = await producer.send_batch(batch, topic, partition=partition)

    def accepted(done: asyncio.Future[Any]) -> None:
        if done.exception() is None:
            now = time.monotonic()
            probes.accepted.update(dict.fromkeys(names, now))

    answer.add_done_callback(accepted)


async def _read(connection: Connection, partitions: int, probes: Probes) -> None:
    consumer = AIOKafkaConsumer(
        **connection.client_options(),
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed" if connection.transactions else "read_uncommitted",
        fetch_max_wait_ms=100 if connection.transactions else 20,
    )
    await consumer.start()
    try:
        topic = connection.topic("messages.email")
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                now = time.monotonic()
                for record in records:
                    if is_notice(record.value):
                        continue
                    message = decode_message(record.value)
                    if message.rule == RULE:
                        probes.read.setdefault(message.id, now)
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def _provider_that_hangs(folder: Path) -> AsyncIterator[dict[str, str]]:
    """A mail server that takes every connection and says nothing; gives the settings that send everything to it."""
    (port,) = free_ports(1)
    silent = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", port):
        (folder / "perennial.yaml").write_text(
            "version: 1\nhttp: {public_url: 'http://127.0.0.1:8080'}\ndelivery:\n  mode: live\n"
            f"  smtp: {{host: 127.0.0.1, port: {port}, tls: none, from: shop@shop.example}}\n"
        )
        try:
            yield {"PERENNIAL_CONFIG": str(folder / "perennial.yaml")}
        finally:
            silent.set()
