"""The context of a record while it is read: its place, its door, and the warnings about it."""

from __future__ import annotations

from typing import NamedTuple

from models.errors import EventWarning
from models.events import Origin, Trust
from models.source import Source


class Reading(NamedTuple):
    """One record being read.

    Attributes
    ----------
    source
        Its place; gives the id of a record without a ``messageId``.
    received_at
        When it arrived, milliseconds since the epoch.
    origin
        The most live origin that it can have.
    trust
        Whose key it came with.
    small
        Whether the whole record is known to be within ``fields.OBJECT_BYTES``.
    warnings
        Details that were left out are appended here.
    """

    source: Source
    received_at: int
    origin: Origin
    trust: Trust
    small: bool
    warnings: list[EventWarning]
