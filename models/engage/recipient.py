"""The recipient of a message: a user at one moment."""

from __future__ import annotations

from typing import NamedTuple

from models.profile.state import Customer


class Recipient(NamedTuple):
    """A user at the moment at which something is decided about them.

    Attributes
    ----------
    user
        The user's id.
    customer
        The user's state. A planner changes its ledger.
    now
        The partition's clock, milliseconds.
    """

    user: str
    customer: Customer
    now: int
