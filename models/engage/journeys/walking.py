"""Walk all runs of one user at one step of the log: goals and exits first, then waits, then new entries.

What ends a run acts before what continues it. A run that begins in a step sees the event of the step only as its entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from msgspec.structs import replace

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
from models.engage.journeys.machine import RunWorld, advance, meet, meet_held
from models.engage.journeys.orders import VERSION_GONE
from models.events import Event
from models.profile.runs import Run, UserRuns

MoveKind: TypeAlias = Literal[
    "entered", "refused", "converted", "ended", "handed_over", "taken_over", "moved", "held", "released"
]

AskLeaf: TypeAlias = Callable[[Condition], Truth]
"""Return the truth of a clause that does not read the entry of a run."""


RESTARTED = "restarted"
"""The outcome of a run that a newer one with the same key has replaced."""
PAUSED = "paused"
"""The reason of a refusal while a journey is paused."""


class RunMove(NamedTuple):
    """A change of a run, for reports.

    Attributes
    ----------
    kind
        ``entered``, ``refused`` (no run has begun), ``converted``, ``ended``. A run that moves with its user to another
        partition is ``handed_over`` and ``taken_over``. One that goes on in another version is ``moved``. One that a
        pause holds is ``held``, and later ``released``.
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
    before
        For ``moved``: the version before.
    """

    kind: MoveKind
    journey: str
    version: str
    at: int
    run: str = ""
    outcome: str = ""
    is_held_out: bool = False
    value: object = None
    before: str = ""


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


class WalkRules(NamedTuple):
    """The rules by which the runs of a partition are walked.

    Attributes
    ----------
    by_version
        The versions of journeys.
    paused
        What happens to new entries of a paused journey, by its name: ``hold`` or ``drop``.
    newest_orders
        Place of the newest order about the runs of a journey, by its name. New runs need not follow it.
    """

    by_version: Mapping[str, CompiledJourney]
    paused: Mapping[str, str] = MappingProxyType({})
    newest_orders: Mapping[str, int] = MappingProxyType({})


class Walk:
    """The runs of one user at one step.

    Parameters
    ----------
    rules
        The versions by which runs are walked, and what holds for all runs of a journey.
    runs
        The runs of the user before the step.
    at
        Time of the step: the partition's clock for an event, the due time for a timer; milliseconds.
    person
        What clauses read of the user.
    ask
        The truth, at the step, of a clause that does not read the entry of a run.

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
        rules: WalkRules,
        runs: UserRuns,
        at: int,
        person: Person,
        ask: AskLeaf,
        world: Callable[[CompiledJourney, Walk], RunWorld],
    ) -> None:
        self._rules = rules
        self._journeys = rules.by_version
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
                self._end(seen, name)
                continue
            if event is not None:
                seen = self._meet(compiled, seen, event)
            self._go(compiled, seen)

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
        if self._rules.paused.get(journey.name) == "drop":
            self._tell("refused", compiled, outcome=PAUSED)
            return
        found = entering.admit(journey, compiled.version, self.runs, self._person.name, by)
        if found.run is None:
            self._tell("refused", compiled, outcome=found.refusal or "")
            return
        if found.restarted is not None:
            self.moves += ended_moves(found.restarted, self.at, RESTARTED)
        newest = self._rules.newest_orders.get(journey.name, 0)
        run = replace(found.run, settled=newest) if newest else found.run
        self.runs = entering.put(found.runs, run)
        self._tell("entered", compiled, run)
        name = exit_of(journey, run, self.at, None, partial(self.truth, run=run))
        if name:
            self._end(run, name)
        else:
            self._go(compiled, run)

    @property
    def user(self) -> str:
        """Id of the user."""
        return self._person.name

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
            waits = run.until if run.until > self.at else NEVER  # a run that a pause holds is not woken
            found = min(found, waits, *dues)
        return found

    # --- parts of a step ---------------------------------------------------------------------------------------------

    def _convert(self, compiled: CompiledJourney, run: Run, event: Event) -> Run:
        conversion = conversion_of(compiled.journey, run, self.at, event)
        if conversion is None:
            return run
        self._tell("converted", compiled, run, value=conversion.value)
        return conversion.run

    def _meet(self, compiled: CompiledJourney, run: Run, event: Event) -> Run:
        is_paused = compiled.journey.name in self._rules.paused
        for step in compiled.waits:
            if is_since_entry(event, run, self.at) and matches(step.on, event, run.entry):
                if is_paused:
                    run = meet_held(compiled.journey, run, step, self.at)
                else:
                    run = meet(compiled.journey, run, step)
        return run

    def _go(self, compiled: CompiledJourney, run: Run) -> None:
        """Let a run go on, or hold it if its journey is paused."""
        if compiled.journey.name in self._rules.paused:
            self._hold(compiled, run)
            return
        is_held = bool(run.held_since)
        if is_held and run.until <= self.at:
            self._tell("released", compiled, run)
            is_held = False
        progress = advance(compiled.journey, run, self.at, self._world(compiled, self))
        run = progress.run if is_held or not progress.run.held_since else replace(progress.run, held_since=0)
        if progress.ended:
            self._end(run, progress.ended)
        else:
            self.runs = entering.put(self.runs, run)

    def _hold(self, compiled: CompiledJourney, run: Run) -> None:
        """Let a run of a paused journey wait on; if it could go on now, it is held from now on."""
        if not run.held_since and run.until <= self.at:
            since = run.until or self.at
            run = replace(run, held_since=since, until=since)
            self._tell("held", compiled, run)
        self.runs = entering.put(self.runs, run)

    def _lose(self, run: Run) -> None:
        """End a run whose version this partition does not have: its user came from another partition."""
        self.runs = entering.leave(self.runs, run)
        self.moves += ended_moves(run, self.at, VERSION_GONE)

    def _end(self, run: Run, outcome: str) -> None:
        self.runs = entering.leave(self.runs, run)
        self.moves += ended_moves(run, self.at, outcome)

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


def ended_moves(run: Run, at: int, outcome: str) -> list[RunMove]:
    """Return the changes of a run that ends: one that a pause holds is released at the same time."""
    moves = [RunMove("ended", run.journey, run.version, at, run.id, outcome, run.is_held_out)]
    return [released_move(run, at), *moves] if run.held_since else moves


def released_move(run: Run, at: int) -> RunMove:
    """Return the change of a run that a pause no longer holds."""
    return RunMove("released", run.journey, run.version, at, run.id, "", run.is_held_out)


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
