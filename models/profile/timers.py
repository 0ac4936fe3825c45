"""A user's timers: a short list sorted by (due, name), with at most one timer of each name."""

from __future__ import annotations

from bisect import insort

from models.profile.ledger import Timer
from models.profile.state import Customer


def set_timer(customer: Customer, name: str, due: int) -> None:
    """Set or move the timer ``name``."""
    cancel(customer, name)
    insort(customer.ledger.timers, Timer(due, name))


def cancel(customer: Customer, name: str) -> None:
    """Remove the timer ``name``, if it is set."""
    timers = customer.ledger.timers
    for index, timer in enumerate(timers):
        if timer.name == name:
            del timers[index]
            return


def cancel_all(customer: Customer, kind: str) -> bool:
    """Remove every timer of a kind: those named ``kind:...``; return whether there was one."""
    prefix, timers = kind + ":", customer.ledger.timers
    kept = [timer for timer in timers if not timer.name.startswith(prefix)]
    if len(kept) == len(timers):
        return False
    customer.ledger.timers = kept
    return True


def is_set(customer: Customer, name: str) -> bool:
    """Return whether the timer ``name`` is set."""
    for timer in customer.ledger.timers:  # a generator would take longer than the loop  # noqa: SIM110
        if timer.name == name:
            return True
    return False
