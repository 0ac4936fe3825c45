"""The recipient of a message: a user at one moment."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from models.profile.ledger import Ledger
from models.profile.snapshot import Seen


class Standing(Protocol):
    """The facts that a decision about a user sees, and the ledger that it changes; a ``Customer`` has both."""

    @property
    def facts(self) -> Seen:
        """The facts that decisions see."""

    @property
    def ledger(self) -> Ledger:
        """The ledger; a decision changes it."""


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
    customer: Standing
    now: int
