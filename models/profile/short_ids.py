"""Ids of events in a short form: a UUID, as most senders use it, takes 17 bytes instead of 36."""

from __future__ import annotations

from uuid import UUID

_LENGTH = len(str(UUID(int=0)))
_BINARY = b"\0"
"""First byte of a UUID in its short form. The text of an id has no control characters."""


def shortened(event_id: str) -> bytes:
    """Return the short form of an id, from which :func:`restored` makes the same id again.

    Examples
    --------
    >>> len(shortened("0f8fad5b-d9cb-469f-a165-70867728950e")), shortened("order-17")
    (17, b'order-17')
    """
    if len(event_id) == _LENGTH:
        try:
            found = UUID(event_id)
        except ValueError:
            return event_id.encode()
        if str(found) == event_id:
            return _BINARY + found.bytes
    return event_id.encode()


def restored(short: bytes) -> str:
    """Return the id of a short form."""
    return str(UUID(bytes=short[1:])) if short[:1] == _BINARY else short.decode()
