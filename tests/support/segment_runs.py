"""Segments over real data by the evaluator of the product, user by user."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml

from models.conditions.clauses import SegmentRule
from models.conditions.evaluator import Evaluator
from models.conditions.leaf import NoValues, Person
from models.conditions.parsing import parse_segments
from models.conditions.program import ConditionProgram
from models.conditions.steps import ClauseStep
from models.conditions.user_state import ClauseState, Memberships, UserConditions
from models.events import Event
from models.units import HOUR

ORDER_WITHIN_MS = HOUR
"""How late an event may be and still have its place in a sequence, as by default."""


class SegmentEntries(NamedTuple):
    """The members of segments at some instants, and all entries.

    Attributes
    ----------
    members
        Users by the name of the segment and the instant.
    entered
        User and time of each time that a user entered, by the name of the segment; sorted.
    """

    members: dict[str, dict[int, set[str]]]
    entered: dict[str, list[tuple[str, int]]]


def read_segments(path: Path) -> tuple[SegmentRule, ...]:
    """Read the segments of a file."""
    return parse_segments(yaml.safe_load(path.read_text(encoding="utf-8"))["segments"])


def evaluate_segments(rules: Sequence[SegmentRule], events: Iterable[Event], instants: Sequence[int]) -> SegmentEntries:
    """Return the members of all segments at some instants, and all entries up to the last of them.

    Parameters
    ----------
    rules
        The segments.
    events
        Events in the order of time.
    instants
        The instants, ascending; milliseconds.
    """
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.at <= instants[-1]:
            by_user[event.user].append(event)
    evaluator = Evaluator(ConditionProgram(rules))
    found = SegmentEntries(
        {rule.name: {instant: set() for instant in instants} for rule in rules}, {rule.name: [] for rule in rules}
    )
    for name, own in by_user.items():
        _Visitor(evaluator, name, found).run(own, instants)
    for entered in found.entered.values():
        entered.sort()
    return found


class _Visitor:
    """One user, evaluated event by event; the state is stored and read again at each instant."""

    def __init__(self, evaluator: Evaluator, name: str, found: SegmentEntries) -> None:
        self._evaluator = evaluator
        self._person = Person(name, NoValues())
        self._user = UserConditions()
        self._found = found
        self._due = 2**63 - 1

    def run(self, events: list[Event], instants: Sequence[int]) -> None:
        waiting = iter(events)
        event = next(waiting, None)
        for instant in instants:
            while event is not None and event.at <= instant:
                self._move(event.at)
                self._decide(self._evaluator.observe(self._user, event, event.at, self._person), event.at)
                self._due = self._evaluator.next_due(self._user, event.at, self._person)
                event = next(waiting, None)
            self._move(instant)
            self._store()
            for segment in self._evaluator.program.segments:
                if segment.key in self._user.memberships.since:
                    self._found.members[segment.name][instant].add(self._person.name)

    def _move(self, now: int) -> None:
        self._person.late_before = now - ORDER_WITHIN_MS
        while self._due <= now:
            at = self._due
            self._decide(self._evaluator.expire(self._user, at, self._person), at)
            self._due = self._evaluator.next_due(self._user, at, self._person)

    def _decide(self, step: ClauseStep | None, at: int) -> None:
        if step is None:
            return
        for move in self._evaluator.decide(self._user, step, at, self._person):
            if move.has_entered:
                self._found.entered[move.segment].append((self._person.name, at))

    def _store(self) -> None:
        self._user.settle()
        content = msgspec.msgpack.encode((self._user.state, self._user.memberships))
        self._user = UserConditions(*msgspec.msgpack.decode(content, type=tuple[ClauseState, Memberships]))
