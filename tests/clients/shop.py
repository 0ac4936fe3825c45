"""Installation that accepts events over HTTP, as ``perennial up`` runs it: processes, broker, keys, one rule."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from aiokafka import TopicPartition

from models.events import Event, EventType, Forwarding, decode_event
from models.log import is_control
from models.rejected import TOPIC, Rejected, decode_rejected
from stream.installation.running import Installation, await_folding, own_ports, running
from stream.lookup.client import UnknownUser, ask_json
from stream.settings.loading import load
from tests.chaos.reference import reader, to_end
from tests.support.brokers import HOST, ApacheKafka
from tests.support.processes import await_true

SERVER_KEY, BROWSER_KEY = "a-server-key", "a-browser-key"
RULE = "first_purchase"
_SETTINGS = f"""
version: 1
folder: data
http:
  write_keys: [{{file: server.key}}, {{value: {BROWSER_KEY}, kind: browser}}]
rules:
  - name: {RULE}
    category: transactional
    when: {{first_purchase: true}}
    channels: [email]
"""
OUTCOMES = frozenset(name for name in get_args(EventType) if name.startswith("message_"))
"""Types of events about our messages, which no SDK sends."""
PARTITIONS = 4
START_WITHIN_S = 180.0
"""How long the processes may take to start, seconds; six of them start at the same time on two cores."""
SETTLE_WITHIN_S = 60.0
"""How long the fold may take to read the accepted events, and the profiles to exchange their records, seconds."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Events of one run in the log and among the dead letters.

    Attributes
    ----------
    events
        Every record in the log that an SDK has sent, including duplicates, by user.
    forwarded
        Copies of such records that the profile of an anonymous id has forwarded, by the user who got them.
    refused
        Dead letters.
    """

    events: dict[str, list[Event]]
    forwarded: dict[str, list[Event]]
    refused: list[Rejected]

    @property
    def records(self) -> int:
        """Number of records that an SDK has sent, including duplicates."""
        return sum(map(len, self.events.values()))

    def ids(self) -> Counter[str]:
        """Return how often the id of each event was sent."""
        return Counter(event.id for events in self.events.values() for event in events)


@dataclass(frozen=True, slots=True)
class ClientShop:
    """A running installation; see :func:`open_shop`."""

    installation: Installation

    @property
    def door(self) -> str:
        """Address of the HTTP door."""
        return f"http://{HOST}:{self.installation.settings.sections.http.port}"

    @property
    def collector(self) -> int:
        """Process id of the door; 0 while it is down."""
        statuses = self.installation.supervisor.statuses()
        return next(status.pid or 0 for status in statuses if status.name == "collector")

    def kill_door(self) -> None:
        """Kill the door; its supervisor starts it again."""
        os.kill(self.collector, signal.SIGKILL)

    def await_door(self, within_s: float = 60.0) -> None:
        """Wait until the door accepts events."""
        await_true(lambda: _answers(f"{self.door}/ready"), within_s)

    async def taken(self, users: set[str], marks: set[str]) -> Taken:
        """Read the events of a run from the log.

        Parameters
        ----------
        users
            Users of the run.
        marks
            Texts. Every record of the run contains at least one of them, even if it was refused.
        """
        events: dict[str, list[Event]] = {user: [] for user in users}
        forwarded: dict[str, list[Event]] = {user: [] for user in users}
        for record in await self._read("events"):
            event = None if is_control(record.key) else decode_event(record.value)
            if event is None or event.user not in users or event.type in OUTCOMES:
                continue
            if event.identity is None:
                events[event.user].append(event)
            elif isinstance(event.identity, Forwarding):
                forwarded[event.user].append(event)
        found = [decode_rejected(record.value) for record in await self._read(TOPIC)]
        refused = [letter for letter in found if any(mark.encode() in letter.value for mark in marks)]
        return Taken(events, forwarded, refused)

    async def settle(self) -> None:
        """Wait until everything is folded, and no record is on its way from one profile to another.

        The fold writes such records into ``outcomes`` in the transaction that moves its position, and the router moves
        them into ``events``. So nothing is on its way if both have read everything, and ``events`` has not grown since.
        """
        async with asyncio.timeout(SETTLE_WITHIN_S):
            before, ends = None, await self._ends("events")
            while ends != before:
                await self._await_lanes("events", ends)
                await self._await_lanes("outcomes", await self._ends("outcomes"))
                before, ends = ends, await self._ends("events")

    async def _await_lanes(self, topic: str, ends: dict[int, int]) -> None:
        while True:
            lanes = (await ask_json([self._lookup], "/ready"))["lanes"]
            read = {lane["partition"]: lane["position"] or 0 for lane in lanes if lane["topic"] == topic}
            if all(read.get(partition, 0) >= end for partition, end in ends.items()):
                return
            await asyncio.sleep(0.05)  # poll, because a worker sends no notification

    async def _ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record of each partition."""
        return {record.partition: record.offset + 1 for record in await self._read(topic)}

    async def profile(self, user: str) -> dict[str, Any] | None:
        """Return the profile of a user; ``None`` if the user is unknown."""
        try:
            return await ask_json([self._lookup], f"/v1/users/{user}")
        except UnknownUser:
            return None

    @property
    def _lookup(self) -> str:
        worker = self.installation.settings.sections.worker
        return f"http://{worker.host}:{worker.port}"

    async def _read(self, topic: str) -> list[Any]:
        connection = self.installation.settings.connection()
        consumer = reader(connection)
        await consumer.start()
        try:
            places = [TopicPartition(connection.topic(topic), number) for number in range(PARTITIONS)]
            consumer.assign(places)
            batches = to_end(consumer, places, exact=connection.transactions)
            return [record async for batch in batches for records in batch.values() for record in records]
        finally:
            await consumer.stop()


@contextmanager
def open_shop(home: Path, kafka: ApacheKafka | None) -> Iterator[ClientShop]:
    """Run an installation until the end of the block.

    Parameters
    ----------
    home
        Folder of its settings, templates and data.
    kafka
        The broker; ``None`` means the embedded one.
    """
    (home / "perennial.yaml").write_text(_SETTINGS)
    (home / "server.key").write_text(SERVER_KEY)
    template = home / "templates" / RULE
    template.mkdir(parents=True)
    (template / "subject.liquid").write_text("Thank you, {{ first_name }}")
    (template / "text.liquid").write_text("Your first order is on its way.")
    (template / "fallback.liquid").write_text("Subject: Your order\n\nThank you, we have your order.")
    flags: dict[str, Any] = {**own_ports(), "kafka.partitions": PARTITIONS}
    if kafka is not None:
        flags |= {"kafka.servers": kafka.address, "kafka.prefix": "clients."}
    with running(load(home / "perennial.yaml", flags), ("worker", "collector")) as installation:
        shop = ClientShop(installation)
        await_folding(installation, START_WITHIN_S)
        shop.await_door(START_WITHIN_S)
        yield shop


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2.0) as answer:
            return bool(json.load(answer)["ready"])
    except (OSError, urllib.error.URLError, ValueError, KeyError):
        return False
