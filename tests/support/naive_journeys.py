"""A naive walk through a journey: one generator per run, which is woken for each instant and each event.

It shares no code with ``models.engage.journeys`` but the form of a journey, the arms and the local times. It keeps the
whole past of a user, and looks at all of it for each question.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from models.configuration.journeys.definition import (
    BranchStep,
    EventMatch,
    ExperimentStep,
    Journey,
    JourneyStep,
    RepeatStep,
    SendStep,
    SetStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from models.engage.journeys.local_times import next_local_time
from models.engage.journeys.splitting import arm_of
from models.events import Event
from models.places import zones

FAR = 2**62


class _Stop(Exception):
    """The end of a run by one of its steps."""


@dataclass
class NaiveRun:
    """One run.

    Attributes
    ----------
    journey, entry_event, entered_at
        The journey and its entry.
    past
        The events after the entry in the log, each with the time of its arrival.
    sent
        Time, step and round of each message.
    until
        The next instant at which the run wants to be woken.
    ended
        Time and name of the outcome; ``None`` while it is under way.
    """

    journey: Journey
    entry_event: Event
    entered_at: int
    user: str
    zone: tzinfo
    allowed: Any
    past: list[tuple[int, Event]] = field(default_factory=list)
    sent: list[tuple[int, str, tuple[int, ...]]] = field(default_factory=list)
    until: int = FAR
    awaited: EventMatch | None = None
    ended: tuple[int, str] | None = None
    is_paused: bool = False
    held_since: int = 0
    met: Event | None = None
    basis: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin the walk."""
        self.now = self.entered_at
        self.standing: JourneyStep | None = None
        self.arrived = self.held_until = 0
        self.around: dict[str, tuple[int, int]] = {}
        self.known_from: dict[object, int] = {}
        self.steps = self.walk(self.journey.steps, ())

    def begin(self, now: int) -> None:
        """Begin with the first steps."""
        self.now = now
        if not self.leave(None):
            self.go(None)

    def go(self, event: Event | None) -> None:
        """Continue, or wait because of a pause."""
        if not self.is_paused:
            self._wake(event)
            return
        self.met = event or self.met
        if not self.held_since:
            self.held_since = self.now
        if self.until != FAR or not self.held_until:
            self.held_until = min(self.until, self.now)
        self.until = FAR

    def pass_time(self, now: int) -> None:
        """Fire everything that is due until an instant."""
        while self.ended is None:
            due = min(self.until, *(self.entered_at + one.after for one in self.journey.exits if one.after))
            if due > now:
                return
            self.now = due
            if not self.leave(None) and self.until <= due:
                self.go(None)

    def see(self, now: int, event: Event) -> None:
        """Show an event of the user to the run."""
        if self.ended is not None:
            return
        self.now = now
        self.past.append((now, event))
        if not self.leave(event) and self.awaited is not None and self.fits(self.awaited, event):
            self.go(event)

    def leave(self, event: Event | None) -> bool:
        for one in self.journey.exits:
            is_due = bool(one.after) and self.now >= self.entered_at + one.after
            is_met = one.on is not None and event is not None and self.fits(one.on, event)
            if is_due or is_met:
                self.ended = (self.now, one.name)
                return True
        return False

    def _wake(self, event: Event | None) -> None:
        event, self.met = event or self.met, None
        self.until, self.awaited, self.standing = FAR, None, None
        try:
            if event is None:
                next(self.steps)
            else:
                self.steps.send(event)
        except StopIteration:
            self.ended = (self.now, "completed")
        except _Stop as stop:
            self.ended = (self.now, str(stop))
        self.held_since = self.held_until = 0

    def fits(self, match: EventMatch, event: Event) -> bool:
        if event.name != match.event or min(event.at, self.now) < self.entered_at:
            return False
        found, kept = event.properties or {}, self.entry_event.properties or {}
        for name, comparison in match.where:
            if comparison.same_as is not None:
                wanted = kept.get(comparison.same_as.split(".")[1])
                if wanted is None or not _equal(found.get(name), wanted):
                    return False
            elif not any(_equal(found.get(name), allowed) for allowed in comparison.among):
                return False
        return True

    def walk(self, steps: tuple[JourneyStep, ...], rounds: tuple[int, ...]) -> Generator[None, Event | None, None]:
        for step in steps:
            match step:
                case SendStep():
                    yield from self.send(step, rounds)
                case WaitStep():
                    yield from self._sleep(self.now + step.duration, step)
                case WaitUntilStep():
                    zone = zones.zone(step.at.zone) if step.at.zone else self.zone
                    yield from self._sleep(next_local_time(step.at, self.now, zone), step)
                case WaitForStep():
                    yield from self._await(step, rounds)
                case BranchStep():
                    yield from self.walk(next((c.steps for c in step.cases if self._holds(c.condition)), ()), rounds)
                case ExperimentStep():
                    arm = step.arms[arm_of(step.experiment, step.arms, self.user)]
                    yield from self.walk(arm.steps, rounds)
                case RepeatStep():
                    yield from self._repeat(step, rounds)
                case SetStep():
                    pass

    def _sleep(self, until: int, step: JourneyStep) -> Generator[None, Event | None, None]:
        if until > self.now:
            if self.standing is not step:
                self.standing, self.arrived = step, self.now
            self.until = until
            yield

    def has_come(self, step: WaitForStep) -> bool:
        past = self.past[self.known_from.get(of_wait(step), 0) :]
        return step.is_since_entry and any(self.fits(step.on, event) for _, event in past)

    def _await(self, step: WaitForStep, rounds: tuple[int, ...]) -> Generator[None, Event | None, None]:
        has_come = self.has_come(step)
        if not has_come:
            self.standing, self.arrived = step, self.now
            self.until, self.awaited = self.now + step.at_most, step.on
            has_come = (yield) is not None
        yield from self.walk(step.then if has_come else step.otherwise, rounds)

    def _repeat(self, step: RepeatStep, rounds: tuple[int, ...]) -> Generator[None, Event | None, None]:
        yield from self.rounds_from(step, rounds, 0)

    def rounds_from(self, step: RepeatStep, rounds: tuple[int, ...], first: int) -> Generator[None, Event | None, None]:
        for number in range(first, step.times):
            if step.until is not None and self._holds(step.until):
                break
            yield from self.round(step, number, self.now, self.walk(step.steps, (*rounds, number)))
        self.around.pop(step.id, None)

    def round(
        self, step: RepeatStep, number: int, began: int, inner: Generator[None, Event | None, None]
    ) -> Generator[None, Event | None, None]:
        self.around[step.id] = number, began
        yield from inner
        if number + 1 < step.times:
            yield from self._sleep(began + step.every, step)

    def send(self, step: SendStep, rounds: tuple[int, ...]) -> Generator[None, Event | None, None]:
        while not self.allowed(self.now):
            if not step.retry_capped:
                if step.exits_capped:
                    raise _Stop("message_dropped")
                return
            yield from self._sleep(self.now + step.retry_capped, step)
        self.sent.append((self.now, step.id, rounds))
        self.basis.append(self.held_since or self.now)

    def _holds(self, condition: Any) -> bool:
        """Evaluate ``else``, and counts of events since the entry."""
        if condition is None:
            return True
        match = EventMatch(condition.event, condition.where)
        past = self.past[self.known_from.get(of_count(condition), 0) :]
        number = sum(self.fits(match, event) for _, event in past)
        return bool(number >= condition.measure.bounds.at_least)


def of_wait(step: WaitForStep) -> object:
    """Return what a wait watches of the past."""
    return ("wait", step.id, repr(step.on), step.is_since_entry)


def of_count(condition: Any) -> object:
    """Return what a count since the entry watches of the past."""
    return ("count", repr(condition))


def _equal(one: Any, other: Any) -> bool:
    """Compare two values; a flag is not a number."""
    return type(one) is type(other) and bool(one == other)
