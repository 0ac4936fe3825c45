"""Records as senders write them, and functions that read them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from models.errors import EventWarning, InvalidEvent
from models.events import Event, Origin, Trust
from models.source import Received, Source
from models.wire import decode

NOW = 1_777_636_800_250
WHEN = "2026-05-01T12:00:00.250Z"
SOURCE = Source("events.in", 3, 41)
RECEIVED = Received(SOURCE, NOW)


def read(raw: Any, origin: Origin = "live") -> Event:
    """Read a record that is accepted."""
    return decode(orjson.dumps(raw), Received(SOURCE, NOW, origin))


def warned(raw: Any, *, trust: Trust = "server", origin: Origin = "live") -> tuple[Event, list[EventWarning]]:
    """Read a record that is accepted, and return the event and the warnings about it."""
    warnings: list[EventWarning] = []
    event = decode(orjson.dumps(raw), Received(SOURCE, NOW, origin, trust), warnings)
    return event, warnings


def refused(raw: Any, *, trust: Trust = "server", origin: Origin = "live") -> InvalidEvent:
    """Read a record that is refused, and return the error."""
    with pytest.raises(InvalidEvent) as caught:
        warned(raw, trust=trust, origin=origin)
    return caught.value


def said(event: Event | None) -> tuple[str, bool | None, str | None] | None:
    """Return the statement of an event about consent: its type, whether it grants, and the channel."""
    return None if event is None else (event.type, event.granted, event.channel)


def track(event: str, **properties: Any) -> dict[str, Any]:
    """Return a track call."""
    return {
        "type": "track",
        "event": event,
        "userId": "u1",
        "messageId": "m1",
        "timestamp": WHEN,
        "properties": properties,
    }


def order(**properties: Any) -> dict[str, Any]:
    """Return a track call of an order with two lines and a total of 25 units of the currency."""
    lines = [{"product_id": "a", "quantity": 2, "price": 10}, {"product_id": "b", "price": 5}]
    return track("Order Completed", **{"order_id": "o1", "products": lines} | properties)


def identify(traits: Any = None, **more: Any) -> dict[str, Any]:
    """Return an identify call."""
    return {"type": "identify", "userId": "u1", "messageId": "m1", "timestamp": WHEN, "traits": traits} | more


def page(**more: Any) -> dict[str, Any]:
    """Return a page call without a user."""
    return {"type": "page", "messageId": "m1", "timestamp": WHEN} | more


def native(kind: str, **more: Any) -> dict[str, Any]:
    """Return a record in the short form."""
    return {"type": kind, "user": "u1", "id": "m1", "at": NOW} | more


def spellings(value: Any) -> dict[str, Any]:
    """Return two thousand spellings of one trait, each with this value."""
    name = "unsubscribed"
    return {"".join(letter + "_" * (n >> i & 1) for i, letter in enumerate(name)): value for n in range(2_000)}
