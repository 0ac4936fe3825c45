"""A real installation with faults: processes on a real Apache Kafka are killed and stalled while events come in.

At the end, everything that the installation committed is compared, byte for byte, with one undisturbed fold over the
same log. The test is seeded: events, faults and pauses are the same each time. Only the machine's timing differs.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord

from models.batch import Restored
from models.delivery.deliveries import decode_delivery
from models.delivery.messages import decode_message
from models.delivery.notices import is_notice
from models.events import Event, EventType, OrderLine
from models.log import is_control
from models.profile.codec import unpack
from models.recommend.interactions import WEIGHTS, decode_interaction
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.delivery.channels import MAX_CONCURRENT_FILES
from stream.engine.state import restore
from stream.installation.commands import perennial
from stream.installation.running import Installation, await_folding, own_ports, running
from stream.log.event_log import EventLog, LogUnavailable
from stream.lookup.client import LookupFailed, ask_json
from stream.processes.child import exit_reason
from stream.processes.exits import NOT_OWNER
from stream.processes.programs import Program
from stream.processes.supervisor import Supervisor
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls
from tests.chaos.installing import write_templates
from tests.chaos.reference import Reference, committed
from tests.support.brokers import ApacheKafka, running_kafka
from tests.support.processes import roles_below

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SEED, USERS, PARTITIONS, SESSION_S = 7, 300, 4, 6
OUTPUTS = (
    "interactions",
    "signals",
    "decisions",
    "messages.email",
    "messages.sms",
    "examples.churn",
    "examples.segments",
    "events.rejected",
)
FILE = """
version: 1
folder: data
rules:
  - name: welcome
    category: transactional
    when: {first_purchase: true}
  - name: thanks
    when: {event: purchase}
    cooldown: 3s
  - name: cart_reminder
    when: {cart_left: {for: 2s}}
caps:
  - {messages: 4, within: 1d}
"""


@dataclass
class AttackedInstallation:
    """An installation with a second fold beside its worker, on its own broker.

    Attributes
    ----------
    kafka
        Its broker.
    installation
        Its processes.
    beside
        Supervisor of the second fold.
    folds
        Addresses at which the two folds answer queries.
    exits
        Exit code of each end of the second fold.
    """

    kafka: ApacheKafka
    installation: Installation
    beside: Supervisor
    folds: list[str]
    exits: list[int]

    async def lanes(self) -> list[list[dict[str, int]]]:
        """Return the open lanes of the log in each fold, the worker's first; none for a fold that is not ready."""
        found = []
        for address in self.folds:
            try:
                lanes = (await ask_json([address], "/ready"))["lanes"]
            except LookupFailed:
                lanes = []
            found.append([lane for lane in lanes if lane["topic"] == "events" and lane["open"]])
        return found

    async def owner(self, within_s: float = 60) -> int:
        """Return the process id of the fold with most partitions, once both folds run and own all partitions."""
        async with asyncio.timeout(within_s):
            while True:
                owned = [len(lanes) for lanes in await self.lanes()]
                pids = self._pids()
                if sum(owned) == PARTITIONS and None not in pids:
                    return max(zip(owned, pids, strict=True))[1] or 0
                await asyncio.sleep(0.1)  # poll: a process only answers requests

    async def kill_fold(self) -> None:
        """Kill a fold that owns partitions, with SIGKILL."""
        os.kill(await self.owner(), signal.SIGKILL)

    async def stall_fold(self, seconds: float) -> None:
        """Stop a fold that owns partitions while the other one runs; wake it when its session has ended."""
        pid = await self.owner()
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)  # the duration is the fault
        finally:
            os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int | None]:
        """Return the process ids of the worker's fold and of the second fold."""
        (worker,), (beside,) = self.installation.supervisor.statuses(), self.beside.statuses()
        return [None if worker.pid is None else roles_below(worker.pid).get("fold"), beside.pid]

    def ends(self) -> str:
        """Describe the ends of folds."""
        return (self.installation.logs / "worker.log").read_text() + " ".join(map(exit_reason, self.exits))

    async def kill_broker(self, down_s: float) -> None:
        """Kill the broker with SIGKILL, and start it again on the same data."""
        await asyncio.to_thread(self.kafka.kill)
        await asyncio.sleep(down_s)  # the duration is the fault
        await asyncio.to_thread(self.kafka.start)

    def stop(self) -> None:
        """End all processes except the broker."""
        self.beside.stop()
        self.installation.supervisor.stop()


@contextmanager
def attacked(kafka: ApacheKafka, home: Path) -> Iterator[AttackedInstallation]:
    (home / "perennial.yaml").write_text(FILE)
    write_templates(home, ("welcome", "thanks", "cart_reminder"))
    flags = {
        **own_ports(),
        "kafka.servers": kafka.address,
        "kafka.prefix": "house.",
        "kafka.partitions": PARTITIONS,
        "kafka.session_timeout": f"{SESSION_S}s",
    }
    with running(load(home / "perennial.yaml", flags), ("worker",)) as installation:
        exits: list[int] = []
        await_folding(installation)
        beside = load(home / "perennial.yaml", {**flags, **own_ports()})
        second = Program(
            "fold beside",
            perennial("worker", "--role", "fold"),
            env=beside.environment(),
            log=installation.logs / "beside.log",
        )
        folds = [worker_urls(settings.sections.worker)[0] for settings in (installation.settings, beside)]
        with Supervisor([second], on_end=lambda _, code: exits.append(code)) as keeper:
            yield AttackedInstallation(kafka, installation, keeper, folds, exits)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[AttackedInstallation]:
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    for name in ("kafka", "shop"):
        (tmp_path / name).mkdir()
    for kafka in running_kafka(tmp_path / "kafka"):
        with attacked(kafka, tmp_path / "shop") as found:
            yield found


@dataclass
class SeededShoppers:
    """Seeded users, who send events until ``stopping`` is set, some of them twice.

    Attributes
    ----------
    acknowledged
        Every event that was acknowledged, by its id.
    """

    rng: random.Random
    acknowledged: dict[str, Event] = field(default_factory=dict)
    stopping: bool = False
    _number: int = 0

    async def send(self, log: EventLog) -> None:
        everyone = [f"u{number}" for number in range(USERS)]
        for user in everyone:
            traits = {"email": f"{user}@example.org", "firstName": user.upper()}
            who = [self._event(user, "identify", traits=traits), self._event(user, "consent", granted=user[-1] != "3")]
            await self._append(log, who)
        while not self.stopping:
            events = [self._happening(self.rng.choice(everyone)) for _ in range(self.rng.randrange(1, 20))]
            # real clients repeat events that were not answered in time
            await self._append(log, events + self.rng.sample(events, len(events) // 10))
            await asyncio.sleep(0.01)  # the rate is high enough that some lane commits at any moment

    async def _append(self, log: EventLog, events: list[Event]) -> None:
        while True:
            try:
                await log.append(events)
            except LogUnavailable:
                await asyncio.sleep(0.1)
            else:
                self.acknowledged.update((event.id, event) for event in events)
                return

    def _happening(self, user: str) -> Event:
        kind: EventType = self.rng.choices(("click", "product_view", "cart_add", "purchase"), (6, 3, 1, 1))[0]
        item, price = f"item of {self._number}", self.rng.randrange(1, 90) * 500_000
        if kind == "purchase":
            lines = (OrderLine(item, 1, price, "shoes"),)
            return self._event(user, kind, order=f"o{self._number}", amount=price, currency="EUR", lines=lines)
        return self._event(user, kind, item=item, amount=price, category=f"c{self._number % 9}")

    def _event(self, user: str, kind: EventType, **more: object) -> Event:
        self._number += 1
        at = time.time_ns() // 1_000_000
        return Event(id=f"m{self._number}", user=user, type=kind, at=at, **more)  # type: ignore[arg-type]


async def settled(shop: AttackedInstallation, reference: Reference) -> None:
    """Wait until everything is folded and delivered, and no timer is due soon."""
    async with asyncio.timeout(90):
        while True:
            await reference.catch_up()
            said = [value for _, value in reference.outputs.get("messages.email", ()) if not is_notice(value)]
            made = {decode_message(value or b"").id for value in said}
            soon = (time.time() + 60) * 1000
            if made <= reference.outcomes.keys() and (reference.next_due is None or reference.next_due > soon):
                lanes = {lane["partition"]: lane["position"] for fold in await shop.lanes() for lane in fold}
                if [lanes.get(partition) for partition in range(PARTITIONS)] == reference.positions:
                    return
            await asyncio.sleep(0.2)  # poll: an idle log sends nothing to await


@dataclass
class Aftermath:
    """Contents of Kafka and of the outbox after all processes have ended.

    Attributes
    ----------
    sent
        Events that were acknowledged.
    states
        State of each partition.
    written
        Committed records of each output topic.
    reference
        Undisturbed fold over the same log.
    outbox
        Message ids of the files in the outbox.
    connection
        Connection of the installation.
    """

    sent: list[Event]
    states: list[Restored]
    written: dict[str, list[ConsumerRecord]]
    reference: Reference
    outbox: list[str]
    connection: Connection


async def attack(shop: AttackedInstallation) -> Aftermath:
    """Send events while folds and broker are killed and stopped, wait for rest, and collect the results."""
    settings, rng = shop.installation.settings, random.Random(SEED)
    connection, shoppers = settings.connection(), SeededShoppers(random.Random(SEED + 1))
    await shop.owner()
    async with EventLog(connection, PARTITIONS) as log, asyncio.TaskGroup() as tasks:
        tasks.create_task(shoppers.send(log))
        # The pauses between the faults are part of the plan: there is no event at which a fault should happen.
        await asyncio.sleep(rng.uniform(2, 4))
        await shop.kill_fold()
        await asyncio.sleep(1)
        await shop.kill_fold()  # the new owner has just taken over, and dies while it catches up
        await asyncio.sleep(1)
        await shop.stall_fold(SESSION_S + rng.uniform(2, 3))
        await shop.kill_broker(rng.uniform(0.2, 1))
        await asyncio.sleep(rng.uniform(3, 5))
        shoppers.stopping = True
    async with Reference(connection, PARTITIONS) as reference:
        await settled(shop, reference)
        await asyncio.to_thread(shop.stop)
        await reference.catch_up()
    states = [await restore(connection, "profiles", partition) for partition in range(PARTITIONS)]
    written = {
        topic: await committed(connection, topic, topics.topic(topic).partitions(PARTITIONS)) for topic in OUTPUTS
    }
    outbox = [path.stem for path in settings.outbox.glob("*.eml")]
    return Aftermath(list(shoppers.acknowledged.values()), states, written, reference, outbox, connection)


def assert_each_event_counts_once(found: Aftermath) -> None:
    counted = {
        key.decode(): Counter({kind: n for kind, n in unpack(packed).facts.events.items() if kind[:8] != "message_"})
        for state in found.states
        for key, packed in state.records.items()
        if not is_control(key)
    }
    expected: dict[str, Counter[str]] = {}
    for event in found.sent:
        expected.setdefault(event.user, Counter())[event.type] += 1
    assert len(found.sent) > 2_000
    assert counted == expected
    interactions = [decode_interaction(record.value) for record in found.written["interactions"]]
    met = Counter((one.user, one.type, one.item) for one in interactions)
    assert met == Counter((e.user, e.type, e.item or e.lines[0].item) for e in found.sent if e.type in WEIGHTS)


def assert_same_bytes_as_an_undisturbed_fold(found: Aftermath) -> None:
    for state, undisturbed in zip(found.states, found.reference.states, strict=True):
        assert (state.position, state.memo) == (undisturbed.position, undisturbed.memo)
        assert state.records == undisturbed.records
    for topic in OUTPUTS:
        written = Counter((record.key, record.value) for record in found.written[topic])
        assert written == found.reference.outputs.get(topic, Counter()), topic


async def assert_each_message_is_delivered_once(found: Aftermath) -> None:
    """Check attempts, outcomes and the outbox; a process that knows that it made no call may repeat an attempt."""
    records = found.written["messages.email"]
    ids = [decode_message(record.value).id for record in records if not is_notice(record.value)]
    deliveries = [
        (record.key.decode(), decode_delivery(record.value).status)
        for record in await committed(found.connection, "deliveries.email", PARTITIONS)
        if not is_control(record.key)
    ]
    ends = {message: status for message, status in deliveries if status not in ("queued", "attempted")}
    unknown = {message for message, status in ends.items() if status == "unknown"}
    assert len(ids) == len(set(ids)) > 100
    assert {message for message, status in deliveries if status == "attempted"} == set(ids)
    assert ends.keys() == set(ids)
    assert {end for end in ends.values() if end != "unknown"} == {"delivered"}
    assert len(unknown) <= MAX_CONCURRENT_FILES, "more messages are unknown than calls were open when the broker died"
    assert len(found.outbox) == len(set(found.outbox))
    assert set(ids) - unknown <= set(found.outbox) <= set(ids)


async def test_kills_a_stall_and_a_killed_broker_give_the_same_bytes_as_an_undisturbed_fold(
    shop: AttackedInstallation,
) -> None:
    found = await attack(shop)

    assert exit_reason(-signal.SIGKILL) in shop.ends()
    assert exit_reason(NOT_OWNER) in shop.ends(), "the stalled fold never woke up while its successor ran"
    assert_each_event_counts_once(found)
    assert_same_bytes_as_an_undisturbed_fold(found)
    await assert_each_message_is_delivered_once(found)
