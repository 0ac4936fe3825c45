"""What a user's state remembers of imports: the totals from before the log, and what a run has replaced."""

from __future__ import annotations

from typing import Any

import msgspec


class ImportedPast(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The totals from before the log that count for a user (:class:`models.imported.PastTotals`).

    Attributes
    ----------
    run
        Id of the run that stated them.
    first_seen, last_seen, orders, spent, last_order
        The totals.
    """

    run: str
    first_seen: int = 0
    last_seen: int = 0
    orders: int = 0
    spent: dict[str, int] = {}
    last_order: int = 0


class ReplacedPast(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The values that the totals of a run have replaced.

    Attributes
    ----------
    past
        The totals that counted before; ``None`` for none.
    first_seen, last_seen
        The times of the first and the last activity before, milliseconds.
    decayed
        The decayed counts of purchases and money before, as packed floats.
    """

    past: ImportedPast | None
    first_seen: int
    last_seen: int
    decayed: bytes


class ReplacedConsent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The entry that a grant of a run has replaced.

    Attributes
    ----------
    event
        Id of the grant's event (:mod:`models.profile.short_ids`).
    former
        The entry before, packed; empty for none.
    """

    event: bytes
    former: bytes = b""


class ImportRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The values that one run has replaced in the state of a user, and nothing newer has changed since.

    Attributes
    ----------
    run
        Id of the run.
    traits
        Former value of each trait that the run has set, by name; ``None`` if the user did not have it.
    consent
        What its grants have replaced, by entry.
    past
        What its totals have replaced; ``None`` if it has stated none.
    """

    run: str
    traits: dict[str, Any] = {}
    consent: dict[str, ReplacedConsent] = {}
    past: ReplacedPast | None = None
