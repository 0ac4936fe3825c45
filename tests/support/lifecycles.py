"""Random histories of a user, and the stages that the product and a naive evaluation give them."""

from __future__ import annotations

import random
from typing import Any, NamedTuple, TypeAlias

import msgspec

from models.conditions import clauses as c
from models.conditions.evaluator import Evaluator, View
from models.conditions.gaps import GapScale
from models.conditions.leaf import Person
from models.conditions.periods import NEVER
from models.conditions.program import ConditionProgram
from models.conditions.steps import ClauseStep
from models.conditions.user_state import ClauseState, UserConditions
from models.events import Event, OrderLine
from models.lifecycle.definition import Lifecycle
from models.lifecycle.machine import StageMachine
from tests.support.condition_runs import TestValues
from tests.support.condition_steps import at
from tests.support.naive_conditions import NaiveUser

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SCALE = GapScale(5 * DAY_MS, 10 * DAY_MS, 20 * DAY_MS)
BEGIN = at("2026-03-01T12:00")
AFTER_MS = 100 * DAY_MS
"""How long the clock goes on after the last event, milliseconds."""
StageTime: TypeAlias = tuple[int, str, str]
"""Time of a move, origin and target."""

_STEPS = (0, 1, HOUR_MS, HOUR_MS, DAY_MS, DAY_MS, 3 * DAY_MS, 10 * DAY_MS, 20 * DAY_MS - 1, 20 * DAY_MS, 45 * DAY_MS)
_TYPES = ("purchase", "purchase", "purchase", "custom", "custom", "custom", "identify", "cart_add", "product_view")


class LifecycleArrival(NamedTuple):
    """An event, and the clock at its place in the log."""

    now: int
    event: Event


def purchase(number: int, at: int, user: str = "u") -> Event:
    """Return a purchase at a time."""
    lines = (OrderLine("lamp", 1, 20_000_000),)
    return Event(
        id=f"m{number}",
        user=user,
        type="purchase",
        at=at,
        order=f"o{number}",
        amount=20_000_000,
        currency="EUR",
        lines=lines,
    )


def random_history(seed: int, length: int) -> list[LifecycleArrival]:
    """Return events in the order of the log; some come late, and some repeat the same millisecond."""
    rng, now, found = random.Random(seed), BEGIN, list[LifecycleArrival]()
    if rng.random() < 0.2:  # a busy user of a product
        steps: tuple[int, ...] = (1, HOUR_MS, DAY_MS, DAY_MS, 3 * DAY_MS, 12 * DAY_MS)
    else:
        steps = _STEPS
    for number in range(length):
        now += rng.choice(steps)
        late = rng.choice((0, 0, 0, 0, 1, HOUR_MS, 2 * DAY_MS))
        kind: Any = rng.choice(_TYPES)
        if kind == "purchase":
            event = purchase(number, now - late)
        else:
            name = "Report Created" if kind == "custom" else None
            event = Event(id=f"m{number}", user="u", type=kind, at=now - late, name=name)
        found.append(LifecycleArrival(now, event))
    return found


class LifecycleRun:
    """The lifecycle of one user by the product's evaluator, outside of the fold.

    Parameters
    ----------
    lifecycle, scale
        The stages and moves, and the population's gaps.
    """

    def __init__(self, lifecycle: Lifecycle, scale: GapScale = SCALE) -> None:
        self.machine = StageMachine(lifecycle)
        self.evaluator = self._evaluator(scale)
        self.user, self.person = UserConditions(), Person("u", TestValues())
        self.stage, self.due, self.now = self.machine.initial, NEVER, 0
        self.moves: list[StageTime] = []

    def _evaluator(self, scale: GapScale) -> Evaluator:
        return Evaluator(ConditionProgram(watched=self.machine.conditions, scale=scale))

    def rescale(self, scale: GapScale) -> None:
        """Use another length of the gaps; the user adopts it at once, in silence."""
        self.evaluator = self._evaluator(scale)
        step = self.evaluator.adopt(self.user, self.now, self.person)
        self._decide(step, self.now, is_silent=True)

    def pass_to(self, now: int) -> None:
        """Move the clock, and fire the timers that are due."""
        self.person.late_before = now - HOUR_MS
        while self.due <= now:
            self._decide(self.evaluator.expire(self.user, self.due, self.person), self.due)
        self.now = now

    def event(self, arrival: LifecycleArrival) -> None:
        """Let an event arrive."""
        self.pass_to(arrival.now)
        self._decide(self.evaluator.observe(self.user, arrival.event, arrival.now, self.person), arrival.now)

    def store(self) -> bytes:
        """Encode and decode the state, as at the end of a piece of the log; return the bytes."""
        self.user.settle()
        content = msgspec.msgpack.encode(self.user.state)
        self.user = UserConditions(msgspec.msgpack.decode(content, type=ClauseState))
        return content

    def _decide(self, step: ClauseStep | None, at: int, *, is_silent: bool = False) -> None:
        if step is not None and self.machine.is_affected(self.stage, step.watched):
            program = self.evaluator.program
            view = View(program, self.user, self.person, at)
            for move in self.machine.moves(self.stage, lambda index: program.watched[index].test(view)):
                self.stage = move.target
                if not is_silent:
                    self.moves.append((at, move.origin, move.target))
        self.due = self.evaluator.next_due(self.user, at, self.person)


def run(lifecycle: Lifecycle, history: list[LifecycleArrival], batch: int = 5_000) -> tuple[list[StageTime], bytes]:
    """Return all moves of a user, and the final state, if the state is stored after each batch."""
    found, content = LifecycleRun(lifecycle), b""
    for place, arrival in enumerate(history):
        if place % batch == 0:
            content = found.store()
        found.event(arrival)
    found.pass_to(history[-1].now + AFTER_MS)
    content = found.store()
    return found.moves, content


def run_naively(lifecycle: Lifecycle, history: list[LifecycleArrival]) -> list[StageTime]:
    """Return all moves by evaluating every condition over the whole history, at each instant that may matter."""
    conditions = {id(move): _in_milliseconds(move.when) for move in lifecycle.moves}
    durations = {one for condition in conditions.values() for one in _durations(condition)}
    user, stage, moves, before = NaiveUser("u", {}, {}), lifecycle.stages[0], list[StageTime](), 0
    for place in range(len(history) + 1):
        is_last = place == len(history)
        now = history[-1].now + AFTER_MS if is_last else history[place].now
        instants = user.instants(before, now, durations) if user.known_since is not None else []
        for index, instant in enumerate([*instants, now]):
            if index == len(instants) and not is_last:  # timers that are due at the time of an event come before it
                user.add(history[place].event, now)
            left = set[str]()
            while True:
                move = next(
                    (
                        one
                        for one in lifecycle.moves
                        if one.origin == stage
                        and one.target not in left
                        and user.truth(conditions[id(one)], instant) is True
                    ),
                    None,
                )
                if move is None:
                    break
                left.add(stage)
                stage = move.target
                moves.append((instant, move.origin, move.target))
        before = now
    return moves


def _in_milliseconds(condition: c.Condition) -> c.Condition:
    """Replace the gaps in a condition by their lengths."""
    if isinstance(condition, c.AllOf | c.AnyOf | c.NoneOf):
        return type(condition)(tuple(_in_milliseconds(one) for one in condition.of))
    if isinstance(condition, c.AbsentClause) and condition.gaps is not None:
        return c.AbsentClause(condition.event, _length(condition.gaps), condition.where)
    if isinstance(condition, c.EventClause) and condition.window.gaps is not None:
        window = c.EventWindow("rolling", _length(condition.window.gaps))
        return msgspec.structs.replace(condition, window=window)
    return condition


def _length(gaps: c.GapLength) -> int:
    return gaps.tenths * int(SCALE._asdict()[gaps.of]) // 10


def _durations(condition: c.Condition) -> set[int]:
    if isinstance(condition, c.AllOf | c.AnyOf | c.NoneOf):
        return {one for inner in condition.of for one in _durations(inner)}
    if isinstance(condition, c.AbsentClause):
        return {condition.duration}
    if isinstance(condition, c.EventClause) and condition.window.length:
        return {condition.window.length}
    return set()
