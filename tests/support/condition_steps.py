"""A user whose conditions are evaluated step by step, as tests write it."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from models.conditions.evaluator import Evaluator
from models.conditions.explaining import Explainer, MembershipExplanation
from models.conditions.leaf import Person
from models.conditions.parsing import parse_segments
from models.conditions.periods import NEVER
from models.conditions.program import ConditionProgram
from models.conditions.steps import ClauseStep, ValueChange
from models.conditions.user_state import UserConditions
from models.conditions.writing import hash_of
from models.events import Event
from models.units import HOUR

NAMED = ("item", "category", "amount", "currency", "lines", "quantity", "traits", "trust")


def at(text: str) -> int:
    """Return the milliseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class StepValues:
    """Values that a test sets."""

    def __init__(self) -> None:
        self.given: dict[tuple[str, str], Any] = {}
        self.learned: dict[str, int] = {}

    def value(self, subject: str, name: str) -> Any:
        return self.given.get((subject, name))

    def learned_since(self, segment: str) -> int | None:
        return self.learned.get(segment)


class Scenario:
    """One user and some segments.

    Parameters
    ----------
    segments
        Conditions, as written, by the names of the segments.
    zone
        The user's time zone.
    covered_from
        Time after which all clauses have seen every event.
    """

    def __init__(self, segments: dict[str, Any], zone: tzinfo = UTC, covered_from: int | None = None) -> None:
        self.rules = parse_segments([{"name": name, "when": when} for name, when in segments.items()])
        covered = {} if covered_from is None else dict.fromkeys(ConditionProgram(self.rules).leaves, covered_from)
        self.evaluator = Evaluator(ConditionProgram(self.rules, covered))
        self.user, self.values = UserConditions(), StepValues()
        self.person = Person("user", self.values, zone)
        self.moves: list[tuple[int, str, bool]] = []
        self.due, self.now, self.number = NEVER, 0, 0

    def pass_to(self, now: int) -> Scenario:
        """Move the clock, and fire the timers that are due."""
        self.person.late_before = now - HOUR
        while self.due <= now:
            self._decide(self.evaluator.expire(self.user, self.due, self.person), self.due)
        self.now = now
        return self

    def event(
        self, name: str, now: int, *, at: int | None = None, event_type: Any = "custom", **properties: Any
    ) -> Scenario:
        """Let an event arrive; the fields of the event are taken from the properties."""
        self.pass_to(now)
        self.number += 1
        own = {field: properties.pop(field) for field in NAMED if field in properties}
        event = Event(
            id=f"m{self.number}",
            user="user",
            type=event_type,
            name=name if event_type == "custom" else None,
            at=now if at is None else at,
            properties=properties or None,
            **own,
        )
        self._decide(self.evaluator.observe(self.user, event, now, self.person), now)
        return self

    def set(self, subject: Any, name: str, value: Any, now: int) -> Scenario:
        """Set a value."""
        self.pass_to(now)
        previous = self.values.given.get((subject, name))
        self.values.given[(subject, name)] = value
        self._decide(self.evaluator.revalue(self.user, [ValueChange(subject, name, previous)], now, self.person), now)
        return self

    def move_to_zone(self, zone: tzinfo, now: int) -> Scenario:
        """Change the user's time zone."""
        self.pass_to(now)
        self._decide(self.evaluator.relocate(self.user, zone, now, self.person), now)
        return self

    def why(self, name: str) -> MembershipExplanation:
        """Explain a segment at the present time."""
        return Explainer(self.evaluator.program, self.user, self.person, self.now).why(name)

    def is_in(self, name: str) -> bool:
        """Return whether the user is in a segment."""
        key = next(segment.key for segment in self.evaluator.program.segments if segment.name == name)
        return key in self.user.memberships.since

    def key(self, name: str) -> int:
        """Return the number of the only clause of a segment."""
        return hash_of(next(rule.when for rule in self.rules if rule.name == name))

    def _decide(self, step: ClauseStep | None, now: int) -> None:
        if step is not None:
            for move in self.evaluator.decide(self.user, step, now, self.person):
                self.moves.append((now, move.segment, move.has_entered))
        self.due = self.evaluator.next_due(self.user, now, self.person)
