"""What an event of ``perennial import`` carries beyond other events: its run, and what its file states."""

from __future__ import annotations

import msgspec


class PastTotals(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The sums and times that a shop knows of a user from before the log.

    Attributes
    ----------
    first_seen, last_seen
        Times of the first and the last activity, milliseconds; 0 if the file does not state them.
    orders
        Number of orders.
    spent
        Money spent in these orders, micros by currency.
    last_order
        Time of the last one of these orders, milliseconds; 0 without orders.
    """

    first_seen: int = 0
    last_seen: int = 0
    orders: int = 0
    spent: dict[str, int] = {}
    last_order: int = 0


class ImportNote(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The note that an event is imported.

    Attributes
    ----------
    run
        Id of the run of `perennial import`.
    stated_at
        Time at which the content of the line was stated, milliseconds; 0 for the time of the event. It decides between
        this statement and others. The horizon of events does not apply to it.
    enters
        Whether rules and journeys react to the event, because a person has asked for it.
    totals
        What the file states from before the log; ``None`` for nothing.
    undoes
        Whether the event takes back what the run has changed of its user.
    """

    run: str
    stated_at: int = 0
    enters: bool = False
    totals: PastTotals | None = None
    undoes: bool = False
