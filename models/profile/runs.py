"""The stored state of a user's journeys: the runs under way, and when the user last entered each journey."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_RUNS = 32
"""Maximum number of runs of a user; a further entry is dropped as ``too_many_runs``."""
MAX_CHAIN = 16
"""Maximum number of runs that lead to another run one after the other by their marks; the next one is refused as
``too_deep``."""
NOT_BEGUN = -1
"""Time of arrival at a step to which a run was moved, and which begins when the run is released."""
MAX_OUTCOMES = 40
"""Maximum number of outcomes of steps that a run remembers; the oldest is forgotten first."""
MAX_ENTERED = 256
"""Maximum number of remembered entries of a user. The oldest is forgotten first; its journey can then be entered again.
"""


class RepeatRound(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The round of a ``repeat`` step that a run is in.

    Attributes
    ----------
    step
        Id of the step.
    number
        Number of the round; the first one is 0.
    began_at
        Beginning of the round, milliseconds.
    """

    step: str
    number: int
    began_at: int


class Run(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """A run: one way of a user through a journey.

    Attributes
    ----------
    id
        Hash of user, journey, key and the cause of the entry, 16 hexadecimal digits.
    journey, version
        Name of the journey, and the version that the run walks.
    entered_at
        Time of the entry, milliseconds.
    key
        Value of the entry's key, as JSON; empty without a key.
    entry
        The properties of the entry that are kept.
    place
        Path to the present step (``configuration.journeys.versions``).
    arrived_at
        Time of arrival at the step, milliseconds. 0 if the run has not begun it; ``NOT_BEGUN`` if it was moved there.
    until
        End of the step's wait, milliseconds; 0 while the step does not wait.
    rounds
        The rounds of the ``repeat`` steps around the present step, the outermost first.
    seen
        Ids of the ``wait_for`` steps whose event has come since the entry.
    clauses
        What the run's own clauses remember, by the number of the clause.
    is_public
        Whether the entry came with a browser key. Then the run sends no transactional message.
    is_held_out
        Whether the run belongs to the control group, and so sends nothing.
    first_sent_at
        Time of the first message that the planner did not drop, milliseconds; 0 before any.
    conversions
        Number of conversions.
    marks
        The marks that a run of the control group has set. They count for this run alone.
    outcomes
        Outcome of each step that has sent or called something, by the step's id and round, the oldest first.
    depth
        Number of runs that have led to this one, each by a mark that let the next one enter.
    settled
        Time of the newest order about runs that the run has followed, milliseconds; 0 for none.
    held_since
        Time at which the run would have gone on, if its journey was paused then, milliseconds; 0 if it is not held.
    """

    id: str
    journey: str
    version: str
    entered_at: int
    key: str = ""
    entry: dict[str, Any] = {}
    place: tuple[int, ...] = (0,)
    arrived_at: int = 0
    until: int = 0
    rounds: tuple[RepeatRound, ...] = ()
    seen: tuple[str, ...] = ()
    clauses: dict[int, bytes] = {}
    is_public: bool = False
    is_held_out: bool = False
    first_sent_at: int = 0
    conversions: int = 0
    marks: dict[str, Any] = {}
    outcomes: dict[str, str] = {}
    depth: int = 0
    settled: int = 0
    held_since: int = 0


class UserRuns(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """The journeys of a user.

    Attributes
    ----------
    active
        Runs under way, in the order of their entries.
    entered
        Time of the last entry, milliseconds, by the number of the journey and its key, the oldest first.
    """

    active: tuple[Run, ...] = ()
    entered: dict[int, int] = {}
