"""The context of a record while it is being read: how it was received, and the warnings about it."""

from __future__ import annotations

from typing import NamedTuple

from models.errors import EventWarning
from models.source import Received


class Reading(NamedTuple):
    """One record that is being read.

    Attributes
    ----------
    received
        How the record was received.
    small
        Whether the whole record is known to be at most ``fields.MAX_OBJECT_BYTES`` long.
    warnings
        List to which a warning is appended for each detail that is left out.
    """

    received: Received
    small: bool
    warnings: list[EventWarning]
