"""Rules of the suppression list: which reasons of an address are in force, and which messages they stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from models.configuration.categories import Category
from models.delivery.suppression import ENDED_BY, STOPPING, Scope


class SuppressionMark(NamedTuple):
    """An entry in memory: its scope, and its time in milliseconds."""

    scope: Scope
    at: int


class Suppression(NamedTuple):
    """The reason that stops a message, with the scope and the time of its entry."""

    reason: str
    scope: Scope
    at: int


def in_force(marks: Mapping[str, SuppressionMark]) -> dict[str, SuppressionMark]:
    """Return the reasons of one address that have not ended.

    A reason ends only if the entry that ends it has a later time. With equal times it stays in force.

    Examples
    --------
    >>> list(in_force({"unsubscribe": SuppressionMark("marketing", 5), "confirmed": SuppressionMark("watch", 5)}))
    ['unsubscribe']
    >>> in_force({"unsubscribe": SuppressionMark("marketing", 5), "confirmed": SuppressionMark("watch", 6)})
    {}
    """
    ends = set(ENDED_BY.values())
    found = {}
    for reason, mark in marks.items():
        end = marks.get(ENDED_BY.get(reason, ""))
        if reason not in ends and (end is None or end.at <= mark.at):
            found[reason] = mark
    return found


def stops(marks: Mapping[str, SuppressionMark], category: Category, *, asks: bool = False) -> Suppression | None:
    """Return the reason why a message to an address is stopped; ``None`` if it may be sent.

    Parameters
    ----------
    marks
        Known marks of the address, by reason.
    category
        Category of the message.
    asks
        Whether it asks to confirm a consent. Only a confirmed consent ends an unsubscription, so this does not stop it.
        A complaint does, because only a person ends it.

    Examples
    --------
    >>> marks = {"unsubscribe": SuppressionMark("marketing", 5)}
    >>> stops(marks, "marketing"), stops(marks, "transactional")
    (Suppression(reason='unsubscribe', scope='marketing', at=5), None)
    """
    wanted = ("all",) if category == "transactional" and not asks else ("marketing", "all")
    valid = {reason: mark for reason, mark in in_force(marks).items() if mark.scope in wanted}
    if asks:
        valid.pop("unsubscribe", None)
    if not valid:
        return None
    reason = next((reason for reason in STOPPING if reason in valid), min(valid))
    return Suppression(reason, *valid[reason])


def time_in_force(marks: Mapping[str, SuppressionMark], reason: str, at: int) -> int:
    """Return the time to write with a reason, so that the reason is in force after the entry is written.

    The clocks of processes differ. So the returned time is never before the known entry of the same reason, and never
    before the known entry that ends this reason.

    Parameters
    ----------
    marks
        Known marks of the address, by reason.
    reason
        The reason that is stated.
    at
        Time of the statement by the clock of this process, milliseconds.

    Examples
    --------
    >>> time_in_force({"confirmed": SuppressionMark("watch", 9)}, "unsubscribe", 5)
    9
    """
    known = (marks.get(reason), marks.get(ENDED_BY.get(reason, "")))
    return max([at, *(mark.at for mark in known if mark is not None)])
