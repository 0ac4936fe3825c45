"""Naive runs that follow orders at once: they move to another version, end, or are held by a pause."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from models.configuration.journeys.definition import (
    BranchStep,
    Journey,
    JourneyStep,
    RepeatStep,
    SendStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from models.configuration.journeys.versions import blocks_of, places_of
from models.engage.journeys.local_times import next_local_time
from models.events import Event
from models.places import zones
from tests.support.naive_journeys import FAR, NaiveRun, of_count, of_wait


class OrderedNaiveRun(NaiveRun):
    """A naive run that follows orders."""

    # --- orders ------------------------------------------------------------------------------------------------------

    def exit(self, now: int) -> None:
        """End the run, because a person ends all runs of its version."""
        if self.ended is None:
            self.ended = (now, "version_ended")

    def pause(self) -> None:
        """Hold the run from now on when it could go on."""
        self.is_paused = True

    def resume(self, now: int, release: int) -> None:
        """End the pause; a held run goes on at a time."""
        self.is_paused = False
        if self.held_since and self.until == FAR and self.ended is None:
            self.until = release

    def move(self, now: int, journey: Journey, release: int) -> None:
        """Let the run go on in another version; a wait that is over now ends at ``release``."""
        if self.ended is not None:
            return
        self.now, old, self.journey = now, self.journey, journey
        self._forget(old, journey)
        standing = self.standing
        if standing is None:  # before the first step
            self.steps = self.walk(journey.steps, ())
            self.leave(None)
            return
        name: str = standing.id  # type: ignore[union-attr]
        goes_to = dict(journey.moved_to).get(name)
        step = _named(journey.steps, goes_to or name)
        if step is None or (goes_to is None and type(step) is not type(standing)):
            self.ended = (now, "step_removed")
            return
        # A step of another kind begins only when the run is released. Until then, it has no arrival.
        is_same = type(step) is type(standing) and self.arrived != 0
        if not is_same:
            self.arrived = 0
        around, self.around = self.around, {}
        if isinstance(step, RepeatStep) and is_same:
            around[step.id] = around[name]
        was, is_waiting = (self.until, True) if self.until != FAR else (self.held_until, False)
        until = self._moved_until(standing, step, was, around) if is_same else now
        self.steps = self._from(journey.steps, (), step.id, around, is_same=is_same)  # type: ignore[union-attr]
        self.awaited = None
        next(self.steps)
        self.standing = step
        if isinstance(step, WaitForStep) and self.met is None and self.has_come(step):
            until = now
        if self.met is not None and not (isinstance(step, WaitForStep) and self.fits(step.on, self.met)):
            self.met = None
        if until > now and until > max(was, now):
            self.held_since, is_waiting = 0, True
        elif until <= now:
            until = was if self.held_since else min(was, release)
        self.until, self.held_until = (until, 0) if is_waiting else (FAR, until)
        if until > now and not is_waiting:
            self.until = until
        if not self.leave(None) and self.until <= now:
            self.go(None)

    def _moved_until(self, standing: Any, step: Any, was: int, around: dict[str, tuple[int, int]]) -> int:
        if step == standing:
            return was
        match step:
            case WaitStep():
                return int(self.arrived + step.duration)
            case WaitUntilStep() if step.at != standing.at:
                return next_local_time(step.at, self.arrived, zones.zone(step.at.zone) if step.at.zone else self.zone)
            case WaitForStep():
                return int(self.arrived + step.at_most)
            case RepeatStep():
                return int(around[step.id][1] + step.every)
            case SendStep():
                return int(was - standing.retry_capped + step.retry_capped)
        return was

    def _forget(self, old: Journey, new: Journey) -> None:
        """Let what the old version did not watch begin to see events now."""
        known, self.known_from = self.known_from, {}
        before = set(_watched(old))
        for one in _watched(new):
            self.known_from[one] = known.get(one, 0) if one in before else len(self.past)

    def _from(
        self,
        steps: tuple[JourneyStep, ...],
        rounds: tuple[int, ...],
        name: str,
        around: dict[str, tuple[int, int]],
        *,
        is_same: bool,
    ) -> Generator[None, Event | None, None]:
        """Walk on from the step of a name, at which the run waits; the first ``yield`` is that wait."""
        for index, step in enumerate(steps):
            if getattr(step, "id", "") == name:
                yield from self._stand(step, rounds, around, is_same=is_same)
            else:
                inner = next((block for block in blocks_of(step) if _named(block, name) is not None), None)
                if inner is None:
                    continue
                if isinstance(step, RepeatStep):
                    number, began = around.get(step.id, (0, self.now))
                    rest = self._from(inner, (*rounds, number), name, around, is_same=is_same)
                    yield from self.round(step, number, began, rest)
                    yield from self.rounds_from(step, rounds, number + 1)
                else:
                    yield from self._from(inner, rounds, name, around, is_same=is_same)
            yield from self.walk(steps[index + 1 :], rounds)
            return

    def _stand(
        self,
        step: JourneyStep,
        rounds: tuple[int, ...],
        around: dict[str, tuple[int, int]],
        *,
        is_same: bool,
    ) -> Generator[None, Event | None, None]:
        if not is_same:
            yield
            yield from self.walk((step,), rounds)
            return
        match step:
            case WaitForStep():
                self.awaited = step.on
                has_come = (yield) is not None or self.has_come(step)
                yield from self.walk(step.then if has_come else step.otherwise, rounds)
            case SendStep():
                yield
                yield from self.send(step, rounds)
            case RepeatStep():
                number, began = around[step.id]
                self.around[step.id] = number, began
                yield
                yield from self.rounds_from(step, rounds, number + 1)
            case _:
                yield


def _named(steps: tuple[JourneyStep, ...], name: str) -> JourneyStep | None:
    return next((step for _, step in places_of(steps) if getattr(step, "id", "") == name), None)


def _watched(journey: Journey) -> list[object]:
    """Return what a version watches of the past: the ``wait_for`` steps, and the counts since the entry."""
    found: list[object] = []
    for _, step in places_of(journey.steps):
        match step:
            case WaitForStep():
                found.append(of_wait(step))
            case BranchStep(_, cases):
                found += [of_count(case.condition) for case in cases if case.condition is not None]
            case RepeatStep() if step.until is not None:
                found.append(of_count(step.until))
    return found
