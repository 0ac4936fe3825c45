"""An open HTTP door in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from models.delivery.suppression_list import SuppressionList
from models.events import Event, decode_event
from models.rejected import Rejected, decode_rejected
from monitoring.testing import value
from stream.cluster.connection import Connection
from stream.collector.bodies import READ_WITHIN_S, BodyReader, Memory
from stream.collector.consent_choices import ConsentChoices
from stream.collector.cors import Cors
from stream.collector.door import Door
from stream.collector.endpoints import Endpoints, EventEndpoints, HealthEndpoints
from stream.collector.intake import Intake
from stream.collector.link_writer import LinkWriter
from stream.collector.links import LinkParts, UnsubscribeLinks
from stream.collector.preferences import PreferenceLinks
from stream.collector.sdk_settings import SdkSettings
from stream.collector.write_keys import WriteKey, WriteKeys
from stream.delivery.unsubscribe import Signer
from stream.log.event_log import EventLog
from tests.support.topic_reading import read_until

NOW = 1_777_636_800_250
SIGNER = Signer([b"0123456789abcdef"], "http://door.example")
CLICK = {"type": "click", "user": "u1", "item": "sku1", "id": "m1"}
PAGE = {"type": "page", "userId": "u1", "messageId": "m2"}

Client = TestClient[Any, Any]


@dataclass(frozen=True)
class DoorParts:
    """The parts of a door that a test may replace.

    Attributes
    ----------
    intake
        The code that turns bodies into events.
    cors
        Rules for cross-origin requests.
    public_url
        Address of the door from outside.
    listed
        Suppression list in which an unsubscribe link finds the entries of its address.
    choices
        Source of the choices on the page behind an unsubscribe link.
    memory
        Counter of the bodies in memory.
    read_within_s
        Time in which a body must arrive, seconds.
    more
        Function that returns further endpoints, given the door's log.
    now
        Clock of the door, milliseconds. By default, its time never changes.
    """

    intake: Intake = field(default_factory=lambda: Intake("d1"))
    cors: Cors = field(default_factory=Cors)
    public_url: str | None = None
    listed: SuppressionList | None = None
    choices: ConsentChoices | None = None
    memory: Memory = field(default_factory=Memory)
    read_within_s: float = READ_WITHIN_S
    more: Callable[[EventLog], Sequence[Endpoints]] = lambda _: ()
    now: Callable[[], int] = lambda: NOW

    def door(self, log: EventLog, keys: WriteKeys) -> Door:
        """Return a door with these parts."""
        links = LinkParts(LinkWriter(log, self.intake, self.now, self.listed), SIGNER, self.choices)
        endpoints: list[Endpoints] = [
            EventEndpoints(log, self.intake, keys, self.now, BodyReader(self.memory, self.read_within_s)),
            HealthEndpoints(log, self.memory),
            SdkSettings(keys, self.public_url),
            UnsubscribeLinks(links),
            PreferenceLinks(links),
            *self.more(log),
        ]
        return Door(endpoints, self.cors)


@asynccontextmanager
async def door(
    connection: Connection,
    *,
    partitions: int = 1,
    write_keys: Sequence[str] = (),
    browser_keys: Sequence[str] = (),
    timeout_s: float = 10.0,
    parts: DoorParts | None = None,
) -> AsyncIterator[Client]:
    """Open a door in this process, and yield a client of it."""
    keys = [WriteKey(key.encode()) for key in write_keys]
    keys += [WriteKey(key.encode(), "public") for key in browser_keys]
    async with EventLog(connection, partitions, timeout_s=timeout_s) as log:
        made = (parts or DoorParts()).door(log, WriteKeys(keys))
        async with TestClient(_DoorServer(made)) as client:
            yield client


class _DoorServer(TestServer):
    """The server that the process ``perennial collector`` runs."""

    def __init__(self, made: Door) -> None:
        super().__init__(made.application())
        self._door = made

    async def _make_runner(self, **options: Any) -> web.AppRunner:
        return self._door.runner(**options)


def counted(name: str, **labels: str) -> float:
    """Return the value of a counter."""
    return value(name, **labels) or 0.0


async def events(connection: Connection, count: int) -> list[Event]:
    """Wait until the log has this many events, and return them."""
    records = await read_until(connection, "events", lambda found: len(found) >= count)
    return [decode_event(record.value or b"") for record in records]


async def rejected(connection: Connection, count: int) -> list[Rejected]:
    """Wait until there are this many dead letters, and return them."""
    records = await read_until(connection, "events.rejected", lambda found: len(found) >= count)
    return [decode_rejected(record.value) for record in records]
