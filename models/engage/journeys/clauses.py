"""The clauses of a journey that read the entry of a run: ``since: entry``, and ``same_as: entry.x``.

Such a clause means something else in every run. So a run remembers its entries itself, from the event that follows its
entry in the log. All other clauses of a journey are those of the user, and are shared with the segments.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from models.conditions.clauses import (
    EventClause,
    EventWindow,
    Leaf,
    Scalar,
    ValueComparison,
    Where,
)
from models.conditions.leaf import LeafEvaluator, Occurrence, Person
from models.conditions.leaves import evaluator_of
from models.conditions.periods import NEVER
from models.conditions.properties import CUSTOM, event_key
from models.conditions.truth import Truth
from models.conditions.writing import canonical, digest
from models.configuration.journeys.checking import conditions_of, leaves_of
from models.configuration.journeys.definition import Journey
from models.engage.journeys.events import ENTRY
from models.events import Event
from models.profile.runs import Run


def reads_entry(leaf: Leaf) -> bool:
    """Return whether a clause reads the entry of a run."""
    return isinstance(leaf, EventClause) and (
        leaf.window.kind == "entry" or any(comparison.same_as is not None for _, comparison in leaf.where)
    )


class RunClauses:
    """The clauses of one version of a journey that read the entry.

    Parameters
    ----------
    journey
        The journey.

    Attributes
    ----------
    events
        Names of the events that the clauses read.
    """

    def __init__(self, journey: Journey) -> None:
        found: dict[int, EventClause] = {}
        for condition in conditions_of(journey):
            for leaf in leaves_of(condition):
                if isinstance(leaf, EventClause) and reads_entry(leaf):
                    found[number_of(leaf)] = leaf
        self._clauses = tuple(sorted(found.items()))
        self.events = frozenset(clause.event for clause in found.values())

    def __repr__(self) -> str:
        """Show the amount."""
        return f"RunClauses({len(self._clauses)} clauses)"

    def observe(self, run: Run, event: Event, now: int, person: Person) -> Run:
        """Add an event that follows the entry to what the clauses of a run remember.

        Parameters
        ----------
        run
            The run.
        event
            The event.
        now
            The partition's clock, milliseconds.
        person
            What clauses read of the user.
        """
        if not {event_key(event), CUSTOM if event.type == CUSTOM else ""} & self.events:
            return run
        entries, occurrence = dict(run.clauses), Occurrence(event, min(event.at, now))
        for number, clause in self._clauses:
            leaf = _bound(number, clause, run)
            if event_key(event) not in leaf.events and not (event.type == CUSTOM and CUSTOM in leaf.events):
                continue
            content = entries.get(number)
            entry = leaf.observe(None if content is None else leaf.decode(content), occurrence, now, person)
            if entry is not None:
                entries[number] = entry.encode()
        return run if entries == run.clauses else replace(run, clauses=dict(sorted(entries.items())))

    def kept(self, entries: dict[int, bytes]) -> dict[int, bytes]:
        """Return what the clauses of another version remember, without clauses that this version does not have."""
        own = dict(self._clauses)
        return {number: content for number, content in entries.items() if number in own}

    def truth(self, clause: EventClause, run: Run, at: int, person: Person) -> Truth:
        """Return the truth of a clause for a run."""
        number = number_of(clause)
        leaf, content = _bound(number, clause, run), run.clauses.get(number)
        return leaf.truth(None if content is None else leaf.decode(content), at, person)

    def next_change(self, run: Run, at: int, person: Person) -> int:
        """Return the next instant at which a clause of a run may change without an event; ``NEVER`` if none does."""
        found = NEVER
        for number, clause in self._clauses:
            leaf, content = _bound(number, clause, run), run.clauses.get(number)
            found = min(found, leaf.next_change(None if content is None else leaf.decode(content), at, person))
        return found


@lru_cache(maxsize=4096)
def number_of(clause: Leaf) -> int:
    """Return the number of a clause: the hash of its canonical form."""
    return digest(canonical(clause))


def _bound(number: int, clause: EventClause, run: Run) -> LeafEvaluator:
    """Return the evaluation of a clause with the values of a run."""
    values = tuple(
        (name, _scalar(run.entry.get(comparison.same_as.removeprefix(ENTRY))))
        for name, comparison in clause.where
        if comparison.same_as is not None
    )
    return _evaluator(number, clause, run.entered_at, values)


@lru_cache(maxsize=4096, typed=True)
def _evaluator(
    number: int, clause: EventClause, entered_at: int, values: tuple[tuple[str, tuple[str, Scalar] | None], ...]
) -> LeafEvaluator:
    window = clause.window
    if window.kind == "entry":
        window = EventWindow("since", since=entered_at)
    where: Where = tuple((name, _with_value(comparison, dict(values).get(name))) for name, comparison in clause.where)
    return evaluator_of(number, replace(clause, window=window, where=where), entered_at - 1)


def _with_value(comparison: ValueComparison, value: tuple[str, Scalar] | None) -> ValueComparison:
    if comparison.same_as is None:
        return comparison
    if value is None:  # what is missing in the entry equals nothing
        return ValueComparison(at_least=1, at_most=0)
    return replace(comparison, same_as=None, among=(value[1],))


def _scalar(value: Any) -> tuple[str, Scalar] | None:
    """Return a value with the name of its type, so that a flag and a number differ as keys; ``None`` if it is none."""
    return (type(value).__name__, value) if isinstance(value, str | int | float | bool) else None
