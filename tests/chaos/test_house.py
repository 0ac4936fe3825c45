"""The real house under fire: real processes on a real Apache Kafka, killed and stalled while events come in.

At the end everything that it committed is compared, byte for byte, with one quiet fold over the same log. Seeded: the
same seed sends the same events and does the same deeds after the same pauses (what the machine was doing at that moment
is its own).
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

from models.delivery.deliveries import decode_delivery
from models.delivery.messages import decode_message
from models.delivery.notices import is_notice
from models.events import Event, EventType, OrderLine
from models.log import is_control
from models.profile.state import unpack
from models.recommend.interactions import WEIGHTS, decode_interaction
from stream.cluster import topics
from stream.delivery.channels import FILES_SIDE_BY_SIDE
from stream.engine.state import restore
from stream.installation.commands import perennial
from stream.installation.running import Installation, await_folding, own_ports, running
from stream.log.event_log import EventLog, LogUnavailable
from stream.lookup.client import LookupFailed, ask_json
from stream.processes.child import exit_reason
from stream.processes.supervisor import Program, Supervisor
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls
from stream.transport.app import EXIT_NOT_OWNER
from tests.chaos.house import write_templates
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
class House:
    """An installation with a second fold beside its worker, on a broker of its own.

    Attributes
    ----------
    kafka
        Its broker.
    installation
        Its processes.
    beside
        Keeper of the second fold.
    folds
        Where the two folds answer.
    exits
        How the second fold ended each time, by exit code.
    """

    kafka: ApacheKafka
    installation: Installation
    beside: Supervisor
    folds: list[str]
    exits: list[int]

    async def lanes(self) -> list[list[dict[str, int]]]:
        """Open lanes of the log in each fold, the worker's own first; none of a fold that is not ready."""
        found = []
        for address in self.folds:
            try:
                lanes = (await ask_json([address], "/ready"))["lanes"]
            except LookupFailed:
                lanes = []
            found.append([lane for lane in lanes if lane["topic"] == "events" and lane["open"]])
        return found

    async def owner(self, within_s: float = 60) -> int:
        """Process id of the fold that owns the most of the log, once both are there and all of it is owned."""
        async with asyncio.timeout(within_s):
            while True:
                owned = [len(lanes) for lanes in await self.lanes()]
                pids = self._pids()
                if sum(owned) == PARTITIONS and None not in pids:
                    return max(zip(owned, pids, strict=True))[1] or 0
                await asyncio.sleep(0.1)  # a process can only be asked

    async def kill_fold(self) -> None:
        """``kill -9`` of a fold that owns partitions."""
        os.kill(await self.owner(), signal.SIGKILL)

    async def stall_fold(self, seconds: float) -> None:
        """Stop a fold that owns partitions for longer than its session, the other beside it; then wake it."""
        pid = await self.owner()
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int | None]:
        """Process ids of the worker's own fold and of the one beside it."""
        (worker,), (beside,) = self.installation.supervisor.statuses(), self.beside.statuses()
        return [None if worker.pid is None else roles_below(worker.pid).get("fold"), beside.pid]

    def ends(self) -> str:
        """How folds ended, in words."""
        return (self.installation.logs / "worker.log").read_text() + " ".join(map(exit_reason, self.exits))

    async def kill_broker(self, down_s: float) -> None:
        """``kill -9`` of the broker, and a new one on the same data."""
        await asyncio.to_thread(self.kafka.kill)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.kafka.start)

    def stop(self) -> None:
        """End all processes but the broker."""
        self.beside.stop()
        self.installation.supervisor.stop()


@contextmanager
def housed(kafka: ApacheKafka, home: Path) -> Iterator[House]:
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
            yield House(kafka, installation, keeper, folds, exits)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    for name in ("kafka", "shop"):
        (tmp_path / name).mkdir()
    for kafka in running_kafka(tmp_path / "kafka"):
        with housed(kafka, tmp_path / "shop") as found:
            yield found


@dataclass
class Shoppers:
    """Seeded users, who send what they do until they are told to stop; some of it twice.

    Attributes
    ----------
    acknowledged
        Every event that was, by its id.
    """

    rng: random.Random
    acknowledged: dict[str, Event] = field(default_factory=dict)
    stopping: bool = False
    _number: int = 0

    async def send(self, log: EventLog) -> None:
        everybody = [f"u{number}" for number in range(USERS)]
        for user in everybody:
            traits = {"email": f"{user}@example.org", "firstName": user.upper()}
            who = [self._event(user, "identify", traits=traits), self._event(user, "consent", granted=user[-1] != "3")]
            await self._append(log, who)
        while not self.stopping:
            events = [self._happening(self.rng.choice(everybody)) for _ in range(self.rng.randrange(1, 20))]
            # whoever got no answer in time sends once more
            await self._append(log, events + self.rng.sample(events, len(events) // 10))
            await asyncio.sleep(0.01)  # so dense that some lane commits at any moment

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


async def settled(house: House, reference: Reference) -> None:
    """Return when the house has folded and delivered everything, and nothing is due soon."""
    async with asyncio.timeout(90):
        while True:
            await reference.catch_up()
            said = [value for _, value in reference.outputs.get("messages.email", ()) if not is_notice(value)]
            made = {decode_message(value or b"").id for value in said}
            soon = (time.time() + 60) * 1000
            if made <= reference.outcomes.keys() and (reference.next_due is None or reference.next_due > soon):
                lanes = {lane["partition"]: lane["position"] for fold in await house.lanes() for lane in fold}
                if [lanes.get(partition) for partition in range(PARTITIONS)] == reference.positions:
                    return
            await asyncio.sleep(0.2)  # a log at rest sends no word


async def test_kills_a_stall_and_a_broker_that_dies_leave_the_bytes_of_a_quiet_fold(house: House) -> None:
    settings, rng = house.installation.settings, random.Random(SEED)
    connection, shoppers = settings.connection(), Shoppers(random.Random(SEED + 1))
    await house.owner()

    async with EventLog(connection, PARTITIONS) as log, asyncio.TaskGroup() as tasks:
        tasks.create_task(shoppers.send(log))
        await asyncio.sleep(rng.uniform(2, 4))
        # The second one dies as soon as it has taken over, in the middle of catching up.
        await house.kill_fold()
        await asyncio.sleep(1)
        await house.kill_fold()
        await asyncio.sleep(1)
        await house.stall_fold(SESSION_S + rng.uniform(2, 3))
        await house.kill_broker(rng.uniform(0.2, 1))
        await asyncio.sleep(rng.uniform(3, 5))
        shoppers.stopping = True
    async with Reference(connection, PARTITIONS) as reference:
        await settled(house, reference)
        await asyncio.to_thread(house.stop)
        await reference.catch_up()

    sent = list(shoppers.acknowledged.values())
    states = [await restore(connection, "profiles", partition) for partition in range(PARTITIONS)]
    written = {
        topic: await committed(connection, topic, topics.topic(topic).partitions(PARTITIONS)) for topic in OUTPUTS
    }

    # the deeds were done
    assert exit_reason(-signal.SIGKILL) in house.ends()
    assert exit_reason(EXIT_NOT_OWNER) in house.ends(), "the stalled fold never woke up beside its successor"

    # every event is counted once in its user's profile
    counted = {
        key.decode(): Counter({kind: n for kind, n in unpack(packed).facts.events.items() if kind[:8] != "message_"})
        for state in states
        for key, packed in state.records.items()
        if not is_control(key)
    }
    expected: dict[str, Counter[str]] = {}
    for event in sent:
        expected.setdefault(event.user, Counter())[event.type] += 1
    assert len(sent) > 2_000
    assert counted == expected

    # each interaction once, by its event's own item
    found = [decode_interaction(record.value) for record in written["interactions"]]
    met = Counter((one.user, one.type, one.item) for one in found)
    assert met == Counter((e.user, e.type, e.item or e.lines[0].item) for e in sent if e.type in WEIGHTS)

    # the state is that of one fold that nothing ever happened to, to the byte, and so is all that it said
    for state, quiet in zip(states, reference.states, strict=True):
        assert (state.position, state.memo) == (quiet.position, quiet.memo)
        assert state.records == quiet.records
    for topic in OUTPUTS:
        said = Counter((record.key, record.value) for record in written[topic])
        assert said == reference.outputs.get(topic, Counter()), topic

    # each message was attempted, came to one end, and lies in the outbox once; an attempt is made again only by the
    # process that knows that it was never begun
    ids = [decode_message(record.value).id for record in written["messages.email"] if not is_notice(record.value)]
    deliveries = [
        (record.key.decode(), decode_delivery(record.value).status)
        for record in await committed(connection, "deliveries.email", PARTITIONS)
        if not is_control(record.key)
    ]
    ends = {message: status for message, status in deliveries if status not in ("queued", "attempted")}
    unknown = {message for message, status in ends.items() if status == "unknown"}
    outbox = [path.stem for path in settings.outbox.glob("*.eml")]
    assert len(ids) == len(set(ids)) > 100
    assert {message for message, status in deliveries if status == "attempted"} == set(ids)
    assert ends.keys() == set(ids)
    assert {end for end in ends.values() if end != "unknown"} == {"delivered"}
    assert len(unknown) <= FILES_SIDE_BY_SIDE, "more than were in somebody's hands when the broker died"
    assert len(outbox) == len(set(outbox))
    assert set(ids) - unknown <= set(outbox) <= set(ids)
