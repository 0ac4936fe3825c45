"""Look up the properties of an event by the names that conditions use."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from models.events import Event, OrderLine

LINE = "line."
"""Beginning of the name of a property of an order's lines."""
MONEY = frozenset({"amount", "price", "line.amount", "line.price"})
"""Names of amounts of money. Conditions on them name a currency, and see integers of 10^-6."""
MAX_KEY = 32
"""Maximum length of a value that is stored as it is, characters; of a longer one, a digest is stored."""

CUSTOM = "custom"
"""Type of the events that have names of their own; as the name in a condition, it means all of them."""

_FIELDS = frozenset(
    {"item", "category", "quantity", "order", "rating", "text", "name", "channel", "message", "reason", "origin"}
)
_ORDERS = frozenset({"purchase", "refund"})


def event_key(event: Event) -> str:
    """Return the name by which conditions name an event: the name of a custom event, the type of any other one."""
    return event.name or "" if event.type == CUSTOM else event.type


def is_named(event: Event, name: str) -> bool:
    """Return whether a condition's name means an event; the type ``custom`` means every custom event."""
    return event_key(event) == name or (name == CUSTOM and event.type == CUSTOM)


def value_of(event: Event, name: str) -> Any:
    """Return a property of an event; ``None`` if it is missing.

    A property that the sender stated has priority over a field of the event. ``a.b`` is the property ``b`` of the
    object ``a``, unless there is a property of that whole name. ``amount`` is the total of an order or of a refund, and
    the price of the item of any other event; both are in micros.
    """
    if name in MONEY:
        return event.amount if name == "amount" or event.type not in _ORDERS else None
    stated = event.properties
    if stated is not None:
        found = stated.get(name)
        if found is None and "." in name:
            found = _nested(stated, name)
        if found is not None:
            return found
    if name in _FIELDS:
        found = getattr(event, name)
        return None if name == "quantity" and event.item is None else found
    return None


def is_stated(name: str) -> bool:
    """Return whether only the sender's properties can have a value of that name, and not a field of the event."""
    return name not in _FIELDS and name not in MONEY and "." not in name


def line_value(line: OrderLine, name: str) -> Any:
    """Return a property of an order's line, by its name after ``line.``."""
    match name:
        case "item":
            return line.item
        case "category":
            return line.category
        case "quantity":
            return line.quantity
        case "price":
            return line.price
        case "amount":
            return line.price * line.quantity
    return None


LINE_NAMES = ("item", "category", "quantity", "price", "amount")
"""Names of the properties of an order's line."""


def key_of(value: Any) -> str | None:
    """Return a text that is equal for equal values; ``None`` if the value is missing or not a scalar.

    A flag is not a number, and a text is not a number. 3 and 3.0 are equal.

    Examples
    --------
    >>> key_of("a"), key_of(3), key_of(3.0), key_of("3"), key_of(True), key_of([1])
    ('"a"', '3', '3', '"3"', 'true', None)
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or not isinstance(value, str | int | float):
        return None
    text = msgspec.json.encode(value).decode() if not isinstance(value, int) or value.bit_length() < 64 else repr(value)
    return text if len(text) <= MAX_KEY else "#" + blake2b(text.encode(), digest_size=8).hexdigest()


def _nested(stated: Mapping[str, Any], name: str) -> Any:
    found: Any = stated
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found
