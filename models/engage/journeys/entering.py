"""Decide whether a user enters a journey."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from models.conditions.properties import value_of
from models.conditions.writing import digest
from models.configuration.journeys.definition import Entry, Journey
from models.engage.journeys.splitting import is_held_out
from models.events import Event
from models.profile.runs import MAX_CHAIN, MAX_ENTERED, MAX_RUNS, Run, UserRuns

Refusal: TypeAlias = Literal["no_key", "active", "entered_before", "too_many_runs", "too_deep"]
"""The reason why a user does not enter.

- ``no_key``: the event lacks the key.
- ``active``: a run with this key is active.
- ``entered_before``: the user may not enter again, or not yet.
- ``too_many_runs``: the user has ``MAX_RUNS`` other runs.
- ``too_deep``: journeys have let each other enter ``MAX_CHAIN`` times, or several times in one step.
"""

MAX_KEY = 500
"""Maximum length of a run's key, characters of JSON."""

MAX_KEPT_TEXT = 500
"""Maximum length of a text that a run keeps of its entry, characters; a longer one is not kept."""

_encode = msgspec.json.Encoder(order="sorted").encode


class EntryDecision(NamedTuple):
    """The answer to a trigger.

    Attributes
    ----------
    runs
        The journeys of the user.
    run
        The new run; ``None`` if the user does not enter.
    refusal
        Why not.
    restarted
        The active run that the new one replaces.
    """

    runs: UserRuns
    run: Run | None = None
    refusal: Refusal | None = None
    restarted: Run | None = None


class EntryCause(NamedTuple):
    """The trigger of an entry.

    Attributes
    ----------
    cause
        Id of the event, or name and due time of the timer.
    at
        Its time, milliseconds.
    event
        The event; ``None`` without one.
    is_public
        Whether it came with a browser key.
    depth
        Number of runs that have led to the trigger, one after the other by their marks.
    """

    cause: str
    at: int
    event: Event | None = None
    is_public: bool = False
    depth: int = 0


def admit(journey: Journey, version: str, runs: UserRuns, user: str, by: EntryCause) -> EntryDecision:
    """Let a user enter a journey, or say why not. The condition of the entry is the caller's to check.

    Parameters
    ----------
    journey, version
        The journey and its version.
    runs
        The journeys of the user.
    user
        Id of the user.
    by
        The trigger.
    """
    enter, event, at = journey.enter, by.event, by.at
    key = _key(enter, event)
    if key is None:
        return EntryDecision(runs, refusal="no_key")
    active = next((run for run in runs.active if run.journey == journey.name and run.key == key), None)
    if active is not None and not enter.restarts:
        return EntryDecision(runs, refusal="active")
    number = entered_number(journey.name, key)
    if not may_enter(enter, runs.entered.get(number), at, is_restart=active is not None):
        return EntryDecision(runs, refusal="entered_before")
    others = tuple(run for run in runs.active if run is not active)
    if len(others) >= MAX_RUNS:
        return EntryDecision(runs, refusal="too_many_runs")
    if by.depth > MAX_CHAIN:
        return EntryDecision(runs, refusal="too_deep")
    run = Run(
        id=run_id(user, journey.name, key, by.cause),
        journey=journey.name,
        version=version,
        entered_at=at,
        key=key,
        entry={} if event is None else _kept(enter, event),
        is_public=by.is_public,
        is_held_out=is_held_out(journey, user),
        depth=by.depth,
    )
    return EntryDecision(UserRuns((*others, run), _remember(runs.entered, number, at)), run, restarted=active)


def may_enter(enter: Entry, last: int | None, at: int, *, is_restart: bool) -> bool:
    """Return whether a user who last entered at a time may enter again."""
    if last is None or is_restart or enter.again in ("always", "once_left"):
        return True
    return enter.again == "after" and at >= last + enter.again_after


def run_id(user: str, journey: str, key: str, cause: str) -> str:
    """Return the id of a run, which is the same in every replay.

    Examples
    --------
    >>> run_id("u1", "welcome", "", "m1")
    'e90819149d5f6fbb'
    """
    return blake2b(_encode((user, journey, key, cause)), digest_size=8).hexdigest()


def entered_number(journey: str, key: str) -> int:
    """Return the number under which the last entry into a journey with a key is remembered."""
    return digest(_encode((journey, key)))


def leave(runs: UserRuns, run: Run) -> UserRuns:
    """Return the journeys of a user without a run that has ended."""
    return replace(runs, active=tuple(one for one in runs.active if one.id != run.id))


def put(runs: UserRuns, run: Run) -> UserRuns:
    """Return the journeys of a user with the newest state of a run."""
    return replace(runs, active=tuple(run if one.id == run.id else one for one in runs.active))


def _key(enter: Entry, event: Event | None) -> str | None:
    """Return the value of the key as JSON; empty without a key, and ``None`` if the event lacks it."""
    if not enter.key:
        return ""
    value = None if event is None else value_of(event, enter.key)
    if not isinstance(value, str | int | float | bool):
        return None
    written = _encode(value).decode()
    return written if len(written) <= MAX_KEY else None


def _kept(enter: Entry, event: Event) -> dict[str, Any]:
    found = {name: value_of(event, name) for name in enter.kept}
    return {name: value for name, value in found.items() if _fits(value)}


def _fits(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and len(value) <= MAX_KEPT_TEXT)


def _remember(entered: dict[int, int], number: int, at: int) -> dict[int, int]:
    kept = {one: when for one, when in entered.items() if one != number}
    kept[number] = at
    while len(kept) > MAX_ENTERED:
        del kept[next(iter(kept))]
    return kept
