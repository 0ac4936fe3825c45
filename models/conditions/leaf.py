"""The base of what is evaluated for a user: a clause without other conditions in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import Any, NamedTuple, Protocol

from models.conditions.clauses import EventWindow, Leaf, Subject, ValueClause
from models.conditions.entries import Entry, Series, mark_of
from models.conditions.periods import ALWAYS, NEVER, after, period
from models.conditions.truth import Truth
from models.events import Event
from models.units import DAY

SERIES_BYTES = 19
"""Greatest size of an event in a series without its value, bytes."""
MAX_PERIOD_MS = {"day": DAY, "week": 7 * DAY, "month": 31 * DAY}
"""Maximum length of each period of the calendar by its name, milliseconds, apart from changes of clocks."""
MAX_INSTANTS = 64
"""Maximum number of instants that are tried to find the next change; after that, the last one is used."""


class Values(Protocol):
    """The values of a user that conditions read."""

    def value(self, subject: Subject, name: str) -> Any:
        """Return a value; ``None`` if it is missing."""

    def learned_since(self, segment: str) -> int | None:
        """Return the time since which the user is in a segment that a model has learned; ``None`` if not in it."""


class NoValues:
    """The values of a user who has none."""

    def value(self, subject: Subject, name: str) -> Any:
        """Return ``None``."""
        return None

    def learned_since(self, segment: str) -> int | None:
        """Return ``None``."""
        return None


class Person:
    """A user, as leaves see one besides their own entries.

    Parameters
    ----------
    name
        The user's id.
    values
        The values of the user.
    zone
        The user's time zone.
    known_since
        Time of the first accepted event of the user, milliseconds.
    late_before
        Older events are late, milliseconds.
    """

    __slots__ = ("known_since", "late_before", "name", "values", "zone")

    def __init__(
        self, name: str, values: Values, zone: tzinfo = UTC, known_since: int = 0, late_before: int = 0
    ) -> None:
        self.name = name
        self.values = values
        self.zone = zone
        self.known_since = known_since
        self.late_before = late_before

    def __repr__(self) -> str:
        """Name the user."""
        return f"Person({self.name!r})"


class Occurrence:
    """An event at the time at which it counts.

    Parameters
    ----------
    event
        The event.
    at
        Its time, but not after the clock; milliseconds.
    """

    __slots__ = ("_mark", "at", "event")

    def __init__(self, event: Event, at: int) -> None:
        self.event = event
        self.at = at
        self._mark: int | None = None

    @property
    def mark(self) -> int:
        """A digest of the event's id."""
        if self._mark is None:
            self._mark = mark_of(self.event.id)
        return self._mark


class LeafReading(NamedTuple):
    """The state of a leaf, for people.

    Attributes
    ----------
    value
        What was measured, such as ``2 of at least 3``.
    decided_at, decided_by
        Time of the deciding event, and the mark of its id; ``None`` without one.
    is_approximate
        Whether entries were merged or forgotten to bound the state.
    """

    value: str
    decided_at: int | None = None
    decided_by: int | None = None
    is_approximate: bool = False


class LeafEvaluator(ABC):
    """The evaluation of one clause.

    Parameters
    ----------
    key
        Number of the clause: the hash of its canonical form.
    clause
        The clause.
    covered_from
        The clause has seen every event after this time, milliseconds.

    Attributes
    ----------
    events
        Names of the events that the clause reads.
    ages
        Times after the user's first event at which the clause may change if it has no entry, milliseconds.
    known_at
        Time from which the clause no longer depends on events that it did not see. It is ``NEVER`` if the clause
        always does, and ``ALWAYS`` if it never does.
    reads_zone
        Whether the clause depends on the user's time zone.
    """

    events: tuple[str, ...] = ()
    ages: tuple[int, ...] = ()
    known_at: int = ALWAYS
    reads_zone: bool = False

    def __init__(self, key: int, clause: Leaf, covered_from: int = ALWAYS) -> None:
        self.key = key
        self.clause = clause
        self.covered_from = covered_from

    def __repr__(self) -> str:
        """Show the clause."""
        return f"{type(self).__name__}({self.clause!r})"

    @property
    def reads_stage(self) -> bool:
        """Whether the clause reads the lifecycle."""
        return isinstance(self.clause, ValueClause) and self.clause.subject == "lifecycle"

    @abstractmethod
    def truth(self, entry: Any, at: int, person: Person) -> Truth:
        """Return the truth at an instant that is not before the user's newest step."""

    @abstractmethod
    def instants(self, entry: Any, at: int, person: Person) -> Iterator[int]:
        """Yield, ascending, the instants after ``at`` at which the truth may change without an event."""

    @abstractmethod
    def read(self, entry: Any, at: int, person: Person) -> LeafReading:
        """Return what was measured, for people."""

    def decode(self, content: bytes) -> Entry:
        """Decode the entry of the clause."""
        return Series.decode(content)

    def observe(self, entry: Any, occurrence: Occurrence, now: int, person: Person) -> Entry | None:
        """Add an event to the entry, which is changed in place; return ``None`` if the event changes nothing."""
        return None

    def forget(self, entry: Any, now: int, person: Person) -> Entry | None:
        """Remove what can no longer change the truth; return ``None`` if nothing is left."""
        kept: Entry = entry
        return kept

    def weigh(self, entry: Any) -> int:
        """Return the greatest size that the stored entry can have, bytes."""
        series: Series = entry
        return SERIES_BYTES * len(series.times) if not series.values else (SERIES_BYTES + 9) * len(series.times)

    def shrink(self, entry: Any) -> None:
        """Merge or forget parts of an entry, in place, because the user's clauses need too much room."""
        raise AssertionError(entry)

    def next_change(self, entry: Any, at: int, person: Person) -> int:
        """Return the next instant at which the truth changes without an event; ``NEVER`` if it does not.

        After ``MAX_INSTANTS`` instants without a change, the last of these instants is returned.
        """
        present = self.truth(entry, at, person)
        for tried, instant in enumerate(self.instants(entry, at, person), 1):
            if tried >= MAX_INSTANTS or self.truth(entry, instant, person) is not present:
                return instant
        return NEVER

    def is_covered(self, begin: int, person: Person) -> bool:
        """Return whether the clause has seen every event of the user after ``begin``."""
        return begin >= self.covered_from or person.known_since > self.covered_from


class WindowEvaluator(LeafEvaluator):
    """The evaluation of a clause over the events of a window."""

    def __init__(self, key: int, clause: Leaf, window: EventWindow, covered_from: int) -> None:
        super().__init__(key, clause, covered_from)
        self.window = window
        self.length = window.length
        self.reads_zone = window.kind == "calendar"
        self._margin = 2 * DAY + MAX_PERIOD_MS.get(window.unit or "", 0)
        if covered_from > ALWAYS:
            match window.kind:
                case "rolling":
                    self.known_at = covered_from + window.length
                case "since":
                    self.known_at = ALWAYS if window.since > covered_from else NEVER
                case "ever" | "entry":
                    self.known_at = NEVER
                case "calendar":
                    self.known_at = covered_from + 1  # the first period that begins then; see ``ConditionProgram``

    def after(self, at: int, person: Person) -> int:
        """Return the instant after which events count at ``at``."""
        return at - self.length if self.length else after(self.window, at, person.zone)

    def leaving(self, times: list[int], begin: int, at: int, person: Person) -> Iterator[int]:
        """Yield, ascending, the instants at which events leave the window, and at which the clause becomes covered.

        Parameters
        ----------
        times
            Times of the events, oldest first.
        begin
            Index of the first event in the window.
        at, person
            The instants are after ``at``.
        """
        kind = self.window.kind
        if kind == "calendar":
            assert self.window.unit is not None
            yield period(self.window.unit, at, person.zone)[1]
        elif kind == "rolling":
            length, known_at, before = self.length, self.known_at, at
            if known_at <= at or person.known_since > self.covered_from:
                known_at = NEVER
            for place in range(begin, len(times)):
                leaves = times[place] + length
                if leaves > known_at:
                    yield known_at
                    before, known_at = known_at, NEVER
                if leaves > before:
                    yield leaves
                    before = leaves
            if known_at != NEVER and known_at > before:
                yield known_at

    def too_old(self, now: int, person: Person) -> int:
        """Return a time such that events that are not after it never count again.

        A change of the user's zone moves the periods of the calendar by less than two days. So it can bring back the
        period before.
        """
        begin = self.after(now, person)
        return begin - self._margin if self.reads_zone else begin


def is_timed(clause: Leaf) -> bool:
    """Return whether a clause on a value can change without an event."""
    return isinstance(clause, ValueClause) and clause.is_timed
