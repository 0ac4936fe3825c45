"""An open HTTP door in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from models.events import Event, decode_event
from models.rejected import Rejected, decode_rejected
from monitoring.metrics import REGISTRY
from stream.cluster.connection import Connection
from stream.collector.door import Door
from stream.collector.intake import Intake
from stream.collector.write_keys import WriteKey, WriteKeys
from stream.delivery.unsubscribe import Signer
from stream.log.event_log import EventLog
from tests.support.topic_reading import read_until

NOW = 1_777_636_800_250
SIGNER = Signer([b"0123456789abcdef"], "http://door.example")
CLICK = {"type": "click", "user": "u1", "item": "sku1", "id": "m1"}
PAGE = {"type": "page", "userId": "u1", "messageId": "m2"}

Client = TestClient[Any, Any]


@asynccontextmanager
async def door(
    connection: Connection,
    *,
    partitions: int = 1,
    write_keys: Sequence[str] = (),
    browser_keys: Sequence[str] = (),
    timeout_s: float = 10.0,
    intake: Intake | None = None,
    **more: Any,
) -> AsyncIterator[Client]:
    keys = [WriteKey(key.encode()) for key in write_keys]
    keys += [WriteKey(key.encode(), "public") for key in browser_keys]
    async with EventLog(connection, partitions, timeout_s=timeout_s) as log:
        made = Door(log, intake or Intake("d1"), SIGNER, write_keys=WriteKeys(keys), now=lambda: NOW, **more)
        async with TestClient(_Served(made)) as client:
            yield client


class _Served(TestServer):
    """The server that the process ``perennial collector`` runs."""

    def __init__(self, made: Door) -> None:
        super().__init__(made.application())
        self._door = made

    async def _make_runner(self, **options: Any) -> web.AppRunner:
        return self._door.runner(**options)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"perennial_{name}_total", labels) or 0.0


async def events(connection: Connection, count: int) -> list[Event]:
    records = await read_until(connection, "events", lambda found: len(found) >= count)
    return [decode_event(record.value or b"") for record in records]


async def rejected(connection: Connection, count: int) -> list[Rejected]:
    records = await read_until(connection, "events.rejected", lambda found: len(found) >= count)
    return [decode_rejected(record.value) for record in records]
