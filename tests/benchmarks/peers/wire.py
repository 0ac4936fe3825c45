"""Decoder of records for every program: msgspec, into the struct of ``models/events.py``."""

from __future__ import annotations

from models.events import Event, decode_event


def read_event(key: bytes | None, value: bytes | None) -> Event | None:
    """Decode a record; return ``None`` for a control record of the log (its clock, ticks, versions)."""
    if key is None or value is None or key[:1] == b"\0":
        return None
    return decode_event(value)
