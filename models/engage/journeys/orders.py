"""Orders about runs under way: move them to another version, end them, or release those that a pause has held.

An order has a place in the log. A run follows it when its user is next reached: at the user's next step, or a little
later. Nothing happens to a run in between. So the run is the same as if it had followed the order at its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from models.conditions.periods import NEVER
from models.configuration.journeys.definition import Journey
from models.engage.journeys.clauses import RunClauses
from models.engage.journeys.machine import Progress
from models.engage.journeys.moving import STEP_REMOVED, MoveTarget, moved, share
from models.profile.runs import Run

VERSION_ENDED = "version_ended"
"""The outcome of a run that a person has ended, together with all others of its version."""
VERSION_GONE = "version_gone"
"""The outcome of a run that no configuration in use describes any more."""

OrderKind: TypeAlias = Literal["move", "exit", "resume"]


class RunOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order about the runs of a journey.

    Attributes
    ----------
    journey
        Name of the journey.
    kind
        What to do.
    at
        Place of the order: the partition's clock, milliseconds. Each later order has a later one.
    version
        For ``move`` and ``exit``: the version that new runs walk. Its runs stay as they are. Empty if there is none.
    spread
        Milliseconds over which runs are released that could go on now.
    """

    journey: str
    kind: OrderKind
    at: int
    version: str = ""
    spread: int = 0


class WalkedVersion(NamedTuple):
    """A version of a journey that runs walk, and its clauses that read the entry."""

    journey: Journey
    clauses: RunClauses


class Settled(NamedTuple):
    """A run that has followed orders.

    Attributes
    ----------
    progress
        The run, and its outcome if it has ended.
    at
        Place of the newest order that has changed it, milliseconds; 0 if none has.
    """

    progress: Progress
    at: int


FindVersion: TypeAlias = Callable[[str], WalkedVersion | None]


def is_settled(run: Run, newest: Mapping[str, int]) -> bool:
    """Return whether a run has followed all orders; ``newest`` has the place of the newest one, by journey."""
    return newest.get(run.journey, 0) <= run.settled


def next_order(run: Run, orders: Iterable[RunOrder]) -> int:
    """Return the place of the first order that a run has to follow, milliseconds; ``NEVER`` if there is none."""
    return next((one.at for one in orders if one.journey == run.journey and one.at > run.settled), NEVER)


def settled(run: Run, orders: Iterable[RunOrder], find: FindVersion, zone: tzinfo) -> Settled:
    """Let a run follow the orders that it has not followed yet, in their order.

    Parameters
    ----------
    run
        The run.
    orders
        The orders, the oldest first.
    find
        Return a version of a journey; ``None`` for one that the partition does not have.
    zone
        Time zone of the user.
    """
    changed_at = 0
    for order in orders:
        if order.journey != run.journey or order.at <= run.settled:
            continue
        progress = _follow(run, order, find, zone)
        if progress.run is not run or progress.ended:
            changed_at = order.at
        run = replace(progress.run, settled=order.at)
        if progress.ended:
            return Settled(Progress(run, progress.ended), order.at)
    return Settled(Progress(run), changed_at)


def _follow(run: Run, order: RunOrder, find: FindVersion, zone: tzinfo) -> Progress:
    if order.kind == "resume":
        if run.held_since and run.until <= order.at:
            run = replace(run, until=released_at(run.id, order))
        return Progress(run)
    if run.version == order.version:
        return Progress(run)
    if order.kind == "exit":
        return Progress(run, VERSION_ENDED)
    old, new = find(run.version), find(order.version) if order.version else None
    if old is None:
        return Progress(run, VERSION_GONE)
    if new is None:
        return Progress(run, STEP_REMOVED)
    target = MoveTarget(new.journey, order.version, new.clauses)
    return moved(run, old.journey, target, order.at, order.spread, zone)


def released_at(what: str, order: RunOrder) -> int:
    """Return when something is released that a pause has held, milliseconds: a run or a message, by its id."""
    return order.at + 1 + share(what, str(order.at), order.spread)
