"""Records as senders write them, and how they are read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from models.errors import EventWarning, InvalidEvent
from models.events import Event, Origin
from models.source import Received, Source
from models.wire import decode

NOW = 1_777_636_800_250
WHEN = "2026-05-01T12:00:00.250Z"
SOURCE = Source("events.in", 3, 41)
RECEIVED = Received(SOURCE, NOW)


def read(raw: Any, origin: Origin = "live") -> Event:
    return decode(orjson.dumps(raw), Received(SOURCE, NOW, origin))


def warned(raw: Any) -> tuple[Event, list[EventWarning]]:
    """Read a record that is accepted, and what was left out of it."""
    warnings: list[EventWarning] = []
    event = decode(orjson.dumps(raw), RECEIVED, warnings)
    return event, warnings


def refused(raw: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        read(raw)
    return caught.value


def track(event: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": event,
        "userId": "u1",
        "messageId": "m1",
        "timestamp": WHEN,
        "properties": properties,
    }


def native(kind: str, **said: Any) -> dict[str, Any]:
    return {"type": kind, "user": "u1", "id": "m1", "at": NOW} | said
