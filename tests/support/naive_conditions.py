"""A naive evaluation of conditions over the whole history of a user, written from the documentation alone.

It keeps every event, and evaluates every clause again at every instant at which anything could change. It shares no
code with the evaluator of the product, except for the tree of clauses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from fractions import Fraction
from typing import Any

from models.conditions import clauses as c
from models.events import Event
from models.places import zones
from tests.support.naive_events import (
    HistoricEvent,
    all_hold,
    day_of,
    first_instant,
    has_name,
    holds_for,
    is_near_anniversary,
    matches,
    time_of,
    values,
)

DAY_MS = 86_400_000
_NUMERIC = ("sum", "average", "largest", "smallest")


@dataclass
class NaiveUser:
    """All that is known of a user.

    Attributes
    ----------
    rules
        Conditions of the segments by name; each comes after those that it refers to.
    covered
        Time after which a clause has seen every event, by the clause itself.
    """

    name: str
    rules: dict[str, c.Condition]
    covered: Mapping[c.Condition, int]
    events: list[HistoricEvent] = field(default_factory=list)
    traits: dict[str, Any] = field(default_factory=dict)
    scores: list[tuple[str, float | None]] = field(default_factory=list)
    members: dict[str, int] = field(default_factory=dict)
    known_since: int | None = None
    cache: dict[Any, Any] = field(default_factory=dict)

    @property
    def zone(self) -> tzinfo:
        return zones.zone(self.traits.get("timezone", "UTC"))

    def add(self, event: Event, now: int) -> None:
        at = min(event.at, now)
        self.events.append(HistoricEvent(at, len(self.events), now, event))
        self.traits |= event.traits or {}
        if self.known_since is None:
            self.known_since = at

    # --- membership --------------------------------------------------------------------------------------------------

    def decide(self, now: int) -> list[tuple[int, str, bool]]:
        moves = []
        if self.known_since is None:
            return []
        for name, rule in self.rules.items():
            truth = self.truth(rule, now)
            if truth is True and name not in self.members:
                self.members[name] = now
                moves.append((now, name, True))
            elif truth is False and name in self.members:
                del self.members[name]
                moves.append((now, name, False))
        return moves

    def truth(self, rule: c.Condition, now: int) -> bool | None:
        match rule:
            case c.AllOf(of):
                found = [self.truth(one, now) for one in of]
                return False if False in found else None if None in found else True
            case c.AnyOf(of):
                found = [self.truth(one, now) for one in of]
                return True if True in found else None if None in found else False
            case c.NoneOf(of):
                found = [self.truth(one, now) for one in of]
                return False if True in found else None if None in found else True
            case c.SegmentClause(name, duration):
                if name in self.members:
                    return now >= self.members[name] + duration
                return None if self.truth(self.rules[name], now) is None else False
            case c.BucketClause(salt, below):
                content = salt.encode() + b"\0" + self.name.encode()
                share = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
                return share < below
            case c.ValueClause():
                return self._value(rule, now)
            case c.EventClause():
                return self._over_worlds(rule, now, self._measured)
            case c.AbsentClause():
                return self._over_worlds(rule, now, self._absent)
            case c.SequenceClause():
                return self._sequence(rule, now)

    # --- events ------------------------------------------------------------------------------------------------------

    def _matching(self, name: str, where: c.Where) -> list[HistoricEvent]:
        return [one for one in self.events if has_name(one.event, name) and all_hold(where, one.event)]

    def _over_worlds(
        self, rule: c.Condition, now: int, judge: Callable[[Any, int, list[tuple[int, Any]]], bool]
    ) -> bool | None:
        """Judge with what was seen, and with each set of events that may not have been seen."""
        seen = self._seen(rule)
        since = self.covered.get(rule)
        if since is None or (self.known_since is not None and self.known_since > since):
            return judge(rule, now, seen)
        answers = {judge(rule, now, seen + unseen) for unseen in self._unseen(rule, now, since)}
        return answers.pop() if len(answers) == 1 else None

    def _seen(self, rule: Any) -> list[tuple[int, Any]]:
        place = (id(rule), len(self.events))
        if place not in self.cache:
            self.cache[place] = self._all_seen(rule)
        found: list[tuple[int, Any]] = self.cache[place]
        return found

    def _all_seen(self, rule: Any) -> list[tuple[int, Any]]:
        if isinstance(rule, c.AbsentClause):
            return [(one.at, None) for one in self._matching(rule.event, rule.where)]
        measure = rule.measure
        found: list[tuple[int, Any]] = []
        for one in self._matching(rule.event, rule.where):
            found += [(one.at, value) for value in values(measure, rule.where, one.event)]
        if measure.is_net:
            for one in self._matching("refund", rule.where):
                found += [(one.at, -value) for value in values(measure, rule.where, one.event)]
        return found

    def _unseen(self, rule: Any, now: int, since: int) -> Iterator[list[tuple[int, Any]]]:
        """Yield sets of events, not after ``since``, that show every answer that is possible."""
        yield []
        times = {since}
        if isinstance(rule, c.EventClause) and rule.measure.kind in ("last", "first"):
            bounds = rule.measure.bounds
            ages = [bounds.at_least, bounds.more_than, bounds.at_most, bounds.less_than]
            times |= {now - age + more for age in ages if age is not None for more in (-1, 0, 1)}
            times |= {now - 10**12}
        for at in times:
            if at > since:
                continue
            if isinstance(rule, c.EventClause) and rule.measure.kind in _NUMERIC:
                yield from ([(at, value)] for value in self._reaching(rule, now))
            for number in range(1, 12):
                is_number = isinstance(rule, c.EventClause) and rule.measure.kind in _NUMERIC
                for value in (-(10**17), 0, 10**17) if is_number else (None,):
                    distinct = isinstance(rule, c.EventClause) and rule.measure.kind == "distinct"
                    each = rule.measure.each if distinct else 1
                    yield [
                        (at, f"unseen {i}" if distinct else Fraction(value or 0))
                        for i in range(number)
                        for _ in range(each)
                    ]

    def _reaching(self, rule: c.EventClause, now: int) -> list[Any]:
        """Return values with which one more event would reach a bound exactly."""
        kind, bounds, begin = rule.measure.kind, rule.measure.bounds, self._begin(rule.window, now)
        seen = [value for at, value in self._seen(rule) if begin <= at <= now]
        wanted = [bound for bound in (bounds.low, bounds.high) if bound is not None]
        if kind in ("largest", "smallest"):
            return wanted
        number = len(seen) + 1 if kind == "average" else 1
        return [bound * number - sum(seen) for bound in wanted]

    def _measured(self, rule: c.EventClause, now: int, events: list[tuple[int, Any]]) -> bool:
        begin = self._begin(rule.window, now)
        found = [(at, value) for at, value in events if begin <= at <= now]
        measure, bounds = rule.measure, rule.measure.bounds
        result: Any
        match measure.kind:
            case "times":
                result = len(found)
            case "sum":
                result = sum(value for _, value in found)
            case "average":
                result = Fraction(sum(value for _, value in found), len(found)) if found else None
            case "largest":
                result = max((value for _, value in found), default=None)
            case "smallest":
                result = min((value for _, value in found), default=None)
            case "distinct":
                names = [value for _, value in found]
                result = len({name for name in names if names.count(name) >= measure.each})
            case "last":
                result = now - max(at for at, _ in found) if found else None
            case "first":
                result = now - min(at for at, _ in found) if found else None
        return (
            result is not None
            and (bounds.at_least is None or result >= bounds.at_least)
            and (bounds.more_than is None or result > bounds.more_than)
            and (bounds.at_most is None or result <= bounds.at_most)
            and (bounds.less_than is None or result < bounds.less_than)
        )

    def _begin(self, window: c.EventWindow, now: int) -> int:
        """Return the first instant of a window."""
        match window.kind:
            case "rolling":
                return now - window.length + 1
            case "since":
                return window.since
            case "ever":
                return -(10**18)
        day = day_of(now, self.zone)
        if window.unit == "week":
            day -= timedelta(days=day.weekday())
        if window.unit == "month":
            day = day.replace(day=1)
        return first_instant(day, self.zone)

    def _absent(self, rule: c.AbsentClause, now: int, events: list[tuple[int, Any]]) -> bool:
        return now - max([self.known_since or 0, *(at for at, _ in events if at <= now)]) >= rule.duration

    # --- sequences ---------------------------------------------------------------------------------------------------

    def _sequence(self, rule: c.SequenceClause, now: int) -> bool | None:
        place = (id(rule), len(self.events))
        if place not in self.cache:
            self.cache[place] = list(matches(rule, self.events))
        since = self.covered.get(rule, -(10**18))
        is_covered = now - 2 * rule.within >= since or (self.known_since or 0) > since
        for begin, end in self.cache[place]:
            if end <= now < end + rule.within and (is_covered or begin > since):
                return True
        return False if is_covered else None

    # --- values ------------------------------------------------------------------------------------------------------

    def _value(self, rule: c.ValueClause, now: int) -> bool:
        if rule.subject in ("score", "feature"):
            prefix = "" if rule.subject == "score" else "feature:"
            history = [value for name, value in self.scores if name == prefix + rule.name]
            if rule.until_below is not None:
                holds = False
                for value in history:
                    holds = value is not None and (
                        value >= rule.until_below if holds else holds_for(rule.comparison, value)
                    )
                return holds
            return holds_for(rule.comparison, history[-1] if history else None)
        value = self.traits.get(rule.name)
        if not rule.is_timed:
            return holds_for(rule.comparison, value)
        if rule.anniversary is not None:
            return is_near_anniversary(rule.anniversary, value, now, self.zone)
        moment = time_of(value, self.zone if rule.is_local else None)
        if moment is None:
            return False
        if rule.comes_within is not None:
            return moment - rule.comes_within <= now < moment
        return now >= moment + (rule.passed_since or 0)

    # --- instants ----------------------------------------------------------------------------------------------------

    def instants(self, begin: int, end: int, durations: set[int]) -> list[int]:
        """Return every instant after ``begin``, up to ``end``, at which anything may change without an event."""
        bases = {one.at for one in self.events} | set(self.members.values()) | set(self.covered.values())
        bases |= {moment for value in self.traits.values() if (moment := time_of(value, self.zone)) is not None}
        bases |= {self.known_since} if self.known_since is not None else set()
        bases |= {
            first_instant(day_of(begin, self.zone) + timedelta(days=i), self.zone)
            for i in range(-1, (end - begin) // DAY_MS + 3)
        }
        found = {
            base + sign * step + 1 * more for base in bases for step in durations for sign in (1, -1) for more in (0, 1)
        }
        return sorted(one for one in found | bases if begin < one <= end)
