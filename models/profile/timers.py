"""A user's timers: a short list sorted by (due, name), with at most one timer of each name."""

from __future__ import annotations

from bisect import insort

from models.profile.ledger import Ledger, Timer


def set_timer(ledger: Ledger, name: str, due: int) -> None:
    """Set or move the timer ``name``."""
    cancel(ledger, name)
    insort(ledger.timers, Timer(due, name))


def cancel(ledger: Ledger, name: str) -> None:
    """Remove the timer ``name``, if it is set."""
    timers = ledger.timers
    for index, timer in enumerate(timers):
        if timer.name == name:
            del timers[index]
            return


def cancel_all(ledger: Ledger, kind: str) -> bool:
    """Remove every timer of a kind: those named ``kind:...``; return whether there was one."""
    prefix, timers = kind + ":", ledger.timers
    kept = [timer for timer in timers if not timer.name.startswith(prefix)]
    if len(kept) == len(timers):
        return False
    ledger.timers = kept
    return True


def is_set(ledger: Ledger, name: str) -> bool:
    """Return whether the timer ``name`` is set."""
    for timer in ledger.timers:  # a generator would take longer than the loop  # noqa: SIM110
        if timer.name == name:
            return True
    return False
