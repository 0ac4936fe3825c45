"""Walk all runs of one user at one step of the log: goals and exits first, then waits, then new entries.

What ends a run acts before what continues it. A run that begins in a step sees the event of the step only as its entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

from models.conditions.clauses import AllOf, AnyOf, Condition, EventClause, NoneOf, SegmentClause
from models.conditions.leaf import Person
from models.conditions.periods import NEVER
from models.conditions.truth import Truth, all_of, any_of, negated
from models.configuration.journeys.checking import conditions_of, leaves_of
from models.configuration.journeys.definition import EventTrigger, Journey, WaitForStep
from models.configuration.journeys.versions import places_of, version_of
from models.engage.journeys import entering
from models.engage.journeys.clauses import RunClauses, reads_entry
from models.engage.journeys.entering import EntryCause
from models.engage.journeys.events import matches
from models.engage.journeys.leaving import conversion_of, exit_due, exit_of, is_since_entry
from models.engage.journeys.machine import RunWorld, advance, meet
from models.events import Event
from models.profile.runs import Run, UserRuns

MoveKind: TypeAlias = Literal["entered", "refused", "converted", "ended", "handed_over", "taken_over"]

AskLeaf: TypeAlias = Callable[[Condition], Truth]
"""Return the truth of a clause that does not read the entry of a run."""


RESTARTED = "restarted"
"""The outcome of a run that a newer one with the same key has replaced."""
VERSION_GONE = "version_gone"
"""The outcome of a run that no configuration in use describes any more."""


class RunMove(NamedTuple):
    """A change of a run, for reports.

    Attributes
    ----------
    kind
        ``entered``, ``refused`` (no run has begun), ``converted``, ``ended``, and for a run that moves with its user to
        another partition: ``handed_over`` and ``taken_over``.
    journey, version
        The journey.
    at
        Time, milliseconds.
    run
        Id of the run; empty if none has begun.
    outcome
        Name of the exit, or the reason of a refusal.
    is_held_out
        Whether the run belongs to the control group.
    value
        Value of a conversion.
    """

    kind: MoveKind
    journey: str
    version: str
    at: int
    run: str = ""
    outcome: str = ""
    is_held_out: bool = False
    value: object = None


class CompiledJourney:
    """A version of a journey, with what is needed to walk it.

    Parameters
    ----------
    journey
        The journey.

    Attributes
    ----------
    version
        Its version.
    clauses
        Its clauses that read the entry.
    waits
        Its ``wait_for`` steps.
    events
        Names of all events that its runs react to.
    """

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.version = version_of(journey)
        self.clauses = RunClauses(journey)
        self.waits = tuple(step for _, step in places_of(journey.steps) if isinstance(step, WaitForStep))
        names = {step.on.event for step in self.waits} | self.clauses.events
        names |= {one.on.event for one in journey.exits if one.on is not None}
        if journey.goal is not None:
            names.add(journey.goal.on.event)
        self.events = frozenset(names)

    def __repr__(self) -> str:
        """Name the journey."""
        return f"CompiledJourney({self.journey.name!r}, version={self.version!r})"


class Walk:
    """The runs of one user at one step.

    Parameters
    ----------
    journeys
        The versions by which runs are walked, by their numbers.
    runs
        The runs of the user before the step.
    at
        Time of the step: the partition's clock for an event, the due time for a timer; milliseconds.
    person
        What clauses read of the user.
    ask
        The truth, at the step, of a clause that does not read the entry of a run.
    world
        Makes the outside of a run.

    Attributes
    ----------
    runs
        The runs as they are now.
    moves
        The changes of runs.
    at
        Time of the step, milliseconds.
    """

    def __init__(
        self,
        journeys: Mapping[str, CompiledJourney],
        runs: UserRuns,
        at: int,
        person: Person,
        ask: AskLeaf,
        world: Callable[[CompiledJourney, Walk], RunWorld],
    ) -> None:
        self._journeys = journeys
        self.at = at
        self._person = person
        self._ask = ask
        self._world = world
        self.runs = runs
        self.moves: list[RunMove] = []

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"Walk({len(self.runs.active)} runs, {len(self.moves)} moves)"

    def go_on(self, event: Event | None = None) -> None:
        """Let every run see the step: its exits, its goal, and its step, in this order.

        Parameters
        ----------
        event
            The event of the step; ``None`` for a timer, or if only truths have changed.
        """
        for run in self.runs.active:
            compiled = self._journeys.get(run.version)
            if compiled is None:
                self._lose(run)
                continue
            seen = run if event is None else compiled.clauses.observe(run, event, self.at, self._person)
            if event is not None:
                seen = self._convert(compiled, seen, event)
            name = exit_of(compiled.journey, seen, self.at, event, partial(self.truth, run=seen))
            if name:
                self._end(compiled, seen, name)
                continue
            if event is not None:
                seen = self._meet(compiled, seen, event)
            self._advance(compiled, seen)

    def enter(self, compiled: CompiledJourney, by: EntryCause) -> None:
        """Let the user enter a journey, if its entry permits it.

        Parameters
        ----------
        compiled
            The journey.
        by
            The trigger.
        """
        journey = compiled.journey
        condition = journey.enter.condition
        if condition is not None and self.truth(condition, None) is not True:
            return
        found = entering.admit(journey, compiled.version, self.runs, self._person.name, by)
        if found.run is None:
            self._tell("refused", compiled, outcome=found.refusal or "")
            return
        if found.restarted is not None:
            self._tell("ended", compiled, found.restarted, outcome=RESTARTED)
        self.runs = found.runs
        self._tell("entered", compiled, found.run)
        name = exit_of(journey, found.run, self.at, None, partial(self.truth, run=found.run))
        if name:
            self._end(compiled, found.run, name)
        else:
            self._advance(compiled, found.run)

    @property
    def zone(self) -> tzinfo:
        """Time zone of the user."""
        return self._person.zone

    def truth(self, condition: Condition, run: Run | None) -> Truth:
        """Return the truth of a condition for a run at the step; for ``None``, it must not read an entry."""
        match condition:
            case AllOf(of):
                return all_of(self.truth(one, run) for one in of)
            case AnyOf(of):
                return any_of(self.truth(one, run) for one in of)
            case NoneOf(of):
                return negated(any_of(self.truth(one, run) for one in of))
            case EventClause() if run is not None and reads_entry(condition):
                return self._journeys[run.version].clauses.truth(condition, run, self.at, self._person)
        return self._ask(condition)

    def next_due(self) -> int:
        """Return the next instant after the step at which a run goes on by itself; ``NEVER`` if none does."""
        found = NEVER
        for run in self.runs.active:
            compiled = self._journeys.get(run.version)
            if compiled is None:
                return self.at + 1
            dues = [exit_due(compiled.journey, run), compiled.clauses.next_change(run, self.at, self._person)]
            found = min(found, run.until or NEVER, *dues)
        return found

    # --- parts of a step ---------------------------------------------------------------------------------------------

    def _convert(self, compiled: CompiledJourney, run: Run, event: Event) -> Run:
        conversion = conversion_of(compiled.journey, run, self.at, event)
        if conversion is None:
            return run
        self._tell("converted", compiled, run, value=conversion.value)
        return conversion.run

    def _meet(self, compiled: CompiledJourney, run: Run, event: Event) -> Run:
        for step in compiled.waits:
            if is_since_entry(event, run, self.at) and matches(step.on, event, run.entry):
                run = meet(compiled.journey, run, step)
        return run

    def _advance(self, compiled: CompiledJourney, run: Run) -> None:
        progress = advance(compiled.journey, run, self.at, self._world(compiled, self))
        if progress.ended:
            self._end(compiled, progress.run, progress.ended)
        else:
            self.runs = entering.put(self.runs, progress.run)

    def _lose(self, run: Run) -> None:
        """End a run whose version this partition does not have: its user came from another partition."""
        self.runs = entering.leave(self.runs, run)
        held_out = run.is_held_out
        self.moves.append(RunMove("ended", run.journey, run.version, self.at, run.id, VERSION_GONE, held_out))

    def _end(self, compiled: CompiledJourney, run: Run, outcome: str) -> None:
        self.runs = entering.leave(self.runs, run)
        self._tell("ended", compiled, run, outcome=outcome)

    def _tell(
        self,
        kind: MoveKind,
        compiled: CompiledJourney,
        run: Run | None = None,
        outcome: str = "",
        value: object = None,
    ) -> None:
        held_out = run is not None and run.is_held_out
        one = RunMove(
            kind,
            compiled.journey.name,
            compiled.version,
            self.at,
            "" if run is None else run.id,
            outcome,
            held_out,
            value,
        )
        self.moves.append(one)


def entered_by(journeys: Iterable[CompiledJourney], event: Event) -> Iterable[CompiledJourney]:
    """Yield the journeys that an event lets its user enter, in the order of the configuration."""
    for one in journeys:
        on = one.journey.enter.on
        if isinstance(on, EventTrigger) and matches(on.match, event, {}):
            yield one


def user_clauses(journeys: Iterable[Journey]) -> tuple[Condition, ...]:
    """Return the clauses of journeys that the evaluation of the user's conditions has to watch, without repetitions.

    These are all but the clauses that read the entry of a run, and memberships in segments.
    """
    found: dict[Condition, None] = {}
    for journey in journeys:
        for condition in conditions_of(journey):
            for leaf in leaves_of(condition):
                if not reads_entry(leaf) and not isinstance(leaf, SegmentClause):
                    found[leaf] = None
    return tuple(found)
