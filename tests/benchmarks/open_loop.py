"""Open-loop load: events that are sent at fixed times. Some of them, the probes, cause a message.

Events are due at fixed moments, whatever the system does meanwhile. The time of a message counts from the moment at
which its event was *due*. So a stall affects every event that was due during the stall (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from models.delivery.messages import decode_message, message_id
from models.delivery.notices import is_notice
from models.events import Event, decode_event, encode_event
from models.log import is_control
from models.units import DAY
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from tests.benchmarks.broker import cpu_seconds
from tests.benchmarks.load_choice import Workload, load_of
from tests.support.brokers import free_ports

PROBERS = 2_000
PROBE_ONE_IN = 20
"""Number of events for each probe in a dense load; in a thin load, every event is a probe."""
ALL_PROBES_BELOW = 200
"""Rate below which every event is a probe, events per second."""
RULE = "bench_probe"
EVENT = "Bench Probe"
MORE_RULES = f"""  - name: {RULE}
    category: transactional
    when: {{event: {EVENT}}}
    template: first_order
"""
WARM_S = 5.0
SEND_EVERY_S = 0.005
"""How long the sender waits between two sends, seconds. All events that are due are then sent together.

Since version 4.0, Kafka's own producer waits for the same time by default. The measured times include the wait.
"""


@dataclass
class Probes:
    """Times of the probes of one run, by message id, in seconds of the monotonic clock.

    Attributes
    ----------
    due, sent, accepted
        When the event was due, when it was given to the producer, and when the broker had accepted it.
    written, read
        When the lane wrote the message, by the message's own timestamp, and when the message could be read.
    """

    due: dict[str, float] = field(default_factory=dict)
    sent: dict[str, float] = field(default_factory=dict)
    accepted: dict[str, float] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)

    def since(self, moments: dict[str, float], from_: float) -> list[float]:
        """Return the sorted times from the probes' moments to their messages, ms, for probes due since ``from_``."""
        return sorted(
            (self.read[name] - moments[name]) * 1e3
            for name, due in self.due.items()
            if due >= from_ and name in self.read and name in moments
        )


class CoreShares:
    """Number of cores that each process uses while the counted events are sent.

    Parameters
    ----------
    pids
        Process ids by the names in the report.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before: dict[str, float] = {}
        self._began = 0.0
        self.cores: dict[str, float] = {}

    @property
    def begun(self) -> bool:
        """Whether counting has begun."""
        return bool(self._before)

    def begin(self) -> None:
        """Start counting."""
        self._before, self._began = self._spent(), time.monotonic()

    def end(self) -> None:
        """Stop counting, and compute the shares."""
        if not self.begun:
            raise RuntimeError(
                "the sender was blocked while the counted events were due; measure for longer, or on an idle machine"
            )
        seconds = time.monotonic() - self._began
        self.cores = {name: (spent - self._before[name]) / seconds for name, spent in self._spent().items()}

    def _spent(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}


@dataclass(frozen=True)
class OpenLoop:
    """Load of one run.

    Attributes
    ----------
    rate
        Number of events per second.
    seconds
        Duration after the warm-up.
    partitions
        Number of partitions of the log.
    seed
        Seed of the events that are not probes.
    workload
        Name of the load of the events that are not probes. Visits are those of a shop with this rate. So as many
        visitors are in the shop at the same time as there would be.
    """

    rate: int
    seconds: float
    partitions: int
    seed: int
    workload: Workload = Workload.VISITS


MAX_DISTINCT = 100_000
"""Maximum number of different events that are no probes; a longer run repeats them under other ids."""


def others(load: OpenLoop) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield key and value of each event that is no probe, and the bytes that hold its time in the value."""
    several = min(int(load.rate * (WARM_S + load.seconds)), MAX_DISTINCT)
    for key, value in load_of(
        load.workload, several, seed=load.seed, days=several / load.rate * 1_000 / DAY, origin="live"
    ):
        if not is_control(key):
            yield key, value, b'"at":%d' % decode_event(value).at


class Sender:
    """Sender of one run; all slow work is done before the clock starts.

    Parameters
    ----------
    load
        Rate, duration and partitions.
    topic
        Physical name of the log's topic.
    probes
        Times of the probes, which the sender fills in.
    shares
        Shares of the cores, counted after the warm-up.
    """

    def __init__(self, load: OpenLoop, topic: str, probes: Probes, shares: CoreShares) -> None:
        self._load, self._topic, self._probes, self._shares = load, topic, probes, shares
        self._one_in = 1 if load.rate < ALL_PROBES_BELOW else PROBE_ONE_IN
        self._total = int(load.rate * (WARM_S + load.seconds))
        self._others = [(key, partition_of(key, load.partitions), value, at) for key, value, at in others(load)]
        self._users = [f"prober-{number}" for number in range(PROBERS)]
        self._homes = [partition_of(user.encode(), load.partitions) for user in self._users]

    async def run(self, connection: Connection) -> float:
        """Send every event at its time, and return the time from which probes count."""
        producer = AIOKafkaProducer(**connection.client_options(), linger_ms=0, acks="all", max_batch_size=1 << 20)
        await producer.start()
        try:
            began, began_ms = time.monotonic() + 0.1, time.time() * 1e3 + 100  # the same moment, on both clocks
            await self._send_all(producer, began, began_ms)
            await producer.flush()
            self._shares.end()
        finally:
            await producer.stop()
        return began + WARM_S

    async def _send_all(self, producer: AIOKafkaProducer, began: float, began_ms: float) -> None:
        rate, sent, sent_at = self._load.rate, 0, 0.0
        while sent < self._total:
            await asyncio.sleep(max(0.0, max(began + sent / rate, sent_at + SEND_EVERY_S) - time.monotonic()))
            sent_at = time.monotonic()
            if not self._shares.begun and sent >= WARM_S * rate:
                self._shares.begin()
            ready: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
            names: dict[int, list[str]] = defaultdict(list)
            until = min(self._total, int((time.monotonic() - began) * rate) + 1)
            for number in range(sent, until):
                at = int(began_ms + number / rate * 1e3)
                if number % self._one_in == 0:
                    home, record, name = self._probe(number, at)
                    self._probes.due[name] = began + number / rate
                    names[home].append(name)
                    ready[home].append(record)
                else:
                    key, home, value, old_at = self._others[number % len(self._others)]
                    numbered = value.replace(b'"id":"bench-', b'"id":"bench-%d-' % number, 1)
                    ready[home].append((key, numbered.replace(old_at, b'"at":%d' % at, 1)))
            sent = until
            for home, records in ready.items():
                await self._hand_over(producer, home, records, names[home])

    def _probe(self, number: int, at: int) -> tuple[int, tuple[bytes, bytes], str]:
        """Return the partition of a probe, its record, and the id of the message that it causes."""
        which = number // self._one_in % PROBERS
        user = self._users[which]
        event = Event(id=f"probe-{number}", user=user, type="custom", name=EVENT, at=at)
        return self._homes[which], (user.encode(), encode_event(event)), message_id(user, RULE, event.id, at)

    async def _hand_over(
        self, producer: AIOKafkaProducer, partition: int, records: list[tuple[bytes, bytes]], names: list[str]
    ) -> None:
        batch = producer.create_batch()
        for key, value in records:
            batch.append(key=key, value=value, timestamp=None)
        self._probes.sent.update(dict.fromkeys(names, time.monotonic()))
        answer = await producer.send_batch(batch, self._topic, partition=partition)

        def accepted(done: asyncio.Future[Any]) -> None:
            if done.exception() is None:
                self._probes.accepted.update(dict.fromkeys(names, time.monotonic()))

        answer.add_done_callback(accepted)


def identify(number: int) -> tuple[bytes, bytes]:
    """Return the record that gives a prober an e-mail address."""
    user = f"prober-{number}"
    traits = {"email": f"{user}@shop.example"}
    event = Event(id=f"identify-{number}", user=user, type="identify", at=int(time.time() * 1e3), traits=traits)
    return user.encode(), encode_event(event)


async def read(connection: Connection, partitions: int, probes: Probes) -> None:
    """Record when each message of a probe can be read, until cancelled."""
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
                now, behind_s = time.monotonic(), time.time() - time.monotonic()
                for record in records:
                    if is_notice(record.value):
                        continue
                    message = decode_message(record.value)
                    if message.rule == RULE:
                        probes.read.setdefault(message.id, now)
                        probes.written.setdefault(message.id, record.timestamp / 1e3 - behind_s)
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def provider_that_hangs(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Start a mail server that accepts connections but never answers; yield the settings that send e-mails to it."""
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
