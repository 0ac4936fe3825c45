"""Mistakes in segments by rule that their form does not show, for ``perennial check``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import expm1, log1p
from typing import Literal, NamedTuple, TypeAlias, get_args

from models.conditions.clauses import (
    AbsentClause,
    AllOf,
    AnyOf,
    Condition,
    EventClause,
    Leaf,
    NoneOf,
    SegmentClause,
    SegmentRule,
    SequenceClause,
    ValueClause,
    ValueComparison,
    Where,
)
from models.conditions.contradictions import contradictions, places
from models.conditions.knowledge import FIELDS, NUMBERS, TEXTS, Kinds, Knowledge, kind_of
from models.conditions.properties import CUSTOM, LINE, MONEY
from models.conditions.writing import written_duration
from models.events import CHANNELS, EventType
from models.learned_names import LEARNED_NAMES, may_be_learned
from models.spelling import did_you_mean

Problem: TypeAlias = Literal[
    "unknown_event",
    "unknown_property",
    "unknown_trait",
    "unknown_segment",
    "unknown_value",
    "wrong_type",
    "no_currency",
    "longer_than_log",
    "contradiction",
    "new_users",
    "logarithm",
    "never_holds",
]

_BOUNDS = ("at_least", "more_than", "at_most", "less_than")
_ADDED = ("sum", "average", "largest", "smallest")
_CURRENCY = "currency"
_CONSENTS = ("granted", "withdrawn", "existing_customer")


MAX_CONTRADICTIONS = 20
"""Maximum number of contradictions that are reported for one condition."""
MAX_HINTS = 20
"""Maximum number of hints at names that may have been meant."""
MAX_LOGARITHM = 100
"""Maximum logarithm whose number is stated."""


class ConditionFinding(NamedTuple):
    """A possible mistake.

    Attributes
    ----------
    path
        Place in the file, such as ``segments[0].when.all[1]``.
    problem
        Kind of mistake.
    says
        What was found there, why it may be a mistake, and what is allowed.
    is_certain
        Whether it is a mistake whatever the log may still bring.
    """

    path: str
    problem: Problem
    says: str
    is_certain: bool = False


class ConditionChecker:
    """The search for mistakes in the conditions of one file.

    Parameters
    ----------
    names
        Names of the segments by rule.
    knowledge
        What is known of the log.

    Examples
    --------
    >>> from models.conditions.parsing import parse_segments
    >>> segments = parse_segments([{"name": "a", "when": {"segment": "dormnt"}}])
    >>> [(finding.path, finding.says) for finding in ConditionChecker(["a"], Knowledge()).segments(segments)]
    [('segments[0].when', "there is no segment 'dormnt' (did you mean dormant?)")]
    """

    def __init__(self, names: Iterable[str], knowledge: Knowledge) -> None:
        self._names = dict.fromkeys(names)
        self._known = knowledge
        self._hints = 0

    def __repr__(self) -> str:
        """Show the amount."""
        return f"ConditionChecker({len(self._names)} segments)"

    def segments(self, segments: Sequence[SegmentRule], path: str = "segments") -> Iterator[ConditionFinding]:
        """Yield the possible mistakes in segments, in the sequence of the file; ``path`` is their place there."""
        for i, segment in enumerate(segments):
            yield from self.condition(segment.when, f"{path}[{i}].when")

    def condition(self, condition: Condition, path: str) -> Iterator[ConditionFinding]:
        """Yield the possible mistakes in one condition; ``path`` is its place in the file."""
        yield from self._clauses(condition, path)
        for one in islice(contradictions(condition, path), MAX_CONTRADICTIONS):
            says = f"it contradicts {one.other}, so no user can ever meet both: {one.reason}"
            yield ConditionFinding(one.path, "contradiction", says, is_certain=True)

    def _hint(self, name: str, names: Iterable[str]) -> str:
        """Return a hint at a name. The comparison with many names takes time, so only the first findings have one."""
        self._hints += 1
        return did_you_mean(name, names) if self._hints <= MAX_HINTS else ""

    def _clauses(self, condition: Condition, path: str) -> Iterator[ConditionFinding]:
        match condition:
            case AllOf(of) | AnyOf(of) | NoneOf(of):
                for inner, place in zip(of, places(condition, path), strict=True):
                    yield from self._clauses(inner, place)
            case _:
                yield from self._leaf(condition, path)

    def _leaf(self, clause: Leaf, path: str) -> Iterator[ConditionFinding]:
        match clause:
            case EventClause(event):
                yield from self.event(event, clause.where, path, path)
                yield from self._measure(clause, path)
                if clause.window.kind == "rolling":
                    yield from self._length(clause.window.length, f"{path}.within")
            case AbsentClause(event, duration, where):
                yield from self.event(event, where, path, f"{path}.absent")
                yield from self._length(duration, f"{path}.for")
            case SequenceClause(steps, within, without):
                for i, step in enumerate(steps):
                    place = f"{path}.sequence[{i}]"
                    yield from self.event(step.event, step.where, place, f"{place}.event")
                for name in without:
                    yield from self.event(name, (), path, f"{path}.without")
                yield from self._length(within, f"{path}.within")
            case ValueClause():
                yield from self._value(clause, path)
            case SegmentClause(name):
                if name not in self._names and not may_be_learned(name):
                    hint = self._hint(name, [*self._names, *LEARNED_NAMES])
                    says = f"there is no segment {name!r}{hint}"
                    yield ConditionFinding(path, "unknown_segment", says, is_certain=True)
                elif name not in self._names and self._known.learned is not None and name not in self._known.learned:
                    says = f"no user is in the learned segment {name!r} now; in use: {_list(self._known.learned)}"
                    yield ConditionFinding(path, "unknown_segment", says)

    # --- events ----------------------------------------------------------------------------------------------------

    def event(self, name: str, where: Where, path: str, place: str) -> Iterator[ConditionFinding]:
        """Yield the possible mistakes in the name of an event and in what its properties must be.

        Parameters
        ----------
        name, where
            The event.
        path, place
            Places in the file of what has ``where``, and of the event's name.
        """
        if name not in get_args(EventType):
            read_as, known = self._known.read_as.get(name.lower()), self._known.events
            if read_as is not None:
                says = f"events of the name {name!r} are read as {read_as}, so no event has this name; write {read_as}"
                yield ConditionFinding(place, "unknown_event", says, is_certain=True)
            elif known is not None and name not in known:
                hint = self._hint(name, [*known, *get_args(EventType)])
                says = f"{self._known.source} have no event {name!r}{hint}"
                yield ConditionFinding(place, "unknown_event", says)
            elif known is None and (hint := self._hint(name, get_args(EventType))):
                yield ConditionFinding(place, "unknown_event", f"{name!r} is not a type of events{hint}")
        for of, comparison in where:
            yield from self._property(name, of, _needed(comparison), f"{path}.where.{of}", _operators(comparison))

    def properties(self, event: str, names: Iterable[tuple[str, str]]) -> Iterator[ConditionFinding]:
        """Yield the names of properties that an event does not have; each name comes with its place in the file."""
        for name, place in names:
            yield from self._property(event, name, (), place, "")

    def _property(
        self, event: str, name: str, needed: Iterable[Kinds], path: str, operators: str
    ) -> Iterator[ConditionFinding]:
        kinds = self._kinds(event, name)
        if kinds is not None and not kinds:
            seen = (self._known.events or {})[event]
            hint = self._hint(name, [*seen, *FIELDS])
            says = f"{self._known.source} have no property {name!r} of the event {event!r}{hint}"
            yield ConditionFinding(path, "unknown_property", says)
        elif kinds is not None and any(kinds.isdisjoint(some) for some in needed):
            says = f"{operators} never holds: the property {name!r} of {event!r} is {_either(kinds)}"
            yield ConditionFinding(path, "wrong_type", says)

    def _kinds(self, event: str, name: str) -> Kinds | None:
        """Return the kinds of a property; ``None`` if nothing is known, and empty if the log has not shown it."""
        own = FIELDS.get(name, frozenset())
        if name in MONEY or name.startswith(LINE):
            return own
        seen = self._known.events
        if seen is None or event not in seen or event == CUSTOM:
            return None
        return own | seen[event].get(name, frozenset())

    def _measure(self, clause: EventClause, path: str) -> Iterator[ConditionFinding]:
        measure, kind = clause.measure, clause.measure.kind
        if measure.of:
            needed = [NUMBERS] if kind in _ADDED else []
            yield from self._property(clause.event, measure.of, needed, f"{path}.{kind}", kind)
        if kind in _ADDED and measure.of not in MONEY and all(name != _CURRENCY for name, _ in clause.where):
            seen = (self._known.events or {}).get(clause.event, {})
            if "text" in seen.get(_CURRENCY, ()) and "number" in seen.get(measure.of, ()):
                says = (
                    f"the events {clause.event!r} have a currency, and {kind} takes the numbers of {measure.of!r} "
                    "in all currencies together; add it to where, such as {currency: EUR}"
                )
                yield ConditionFinding(f"{path}.{kind}", "no_currency", says)
        if kind == "times" and measure.bounds.high == 0:
            says = (
                f"it also holds for a user who is known since a moment ago; `absent: {clause.event}` with `for` waits "
                "until the user is known for that long"
            )
            yield ConditionFinding(f"{path}.times", "new_users", says)

    def _length(self, length: int, path: str) -> Iterator[ConditionFinding]:
        kept = self._known.retention
        if kept is not None and length > kept:
            says = (
                f"the log keeps events for {written_duration(kept)}, which is shorter than {written_duration(length)}: "
                "a new condition stays unknown until it has seen as much"
            )
            yield ConditionFinding(path, "longer_than_log", says)

    # --- values ----------------------------------------------------------------------------------------------------

    def _value(self, clause: ValueClause, path: str) -> Iterator[ConditionFinding]:
        known = self._known
        match clause.subject:
            case "trait":
                yield from self._trait(clause, path)
            case "feature" if known.features is not None and clause.name not in known.features:
                says = f"there is no feature {clause.name!r}{self._hint(clause.name, known.features)}"
                yield ConditionFinding(path, "unknown_value", f"{says}; features: {_list(known.features)}", True)
            case "feature" if clause.name in known.logarithms:
                yield from _logarithm(clause, path)
            case "score" if known.scores is not None and clause.name not in known.scores:
                says = f"there is no score {clause.name!r}{self._hint(clause.name, known.scores)}"
                yield ConditionFinding(path, "unknown_value", f"{says}; scores: {_list(known.scores)}", True)
            case "score" if clause.name in known.ranges and clause.comparison is not None:
                least, greatest = known.ranges[clause.name]
                if _is_outside(clause.comparison, least, greatest):
                    says = f"it never holds, because {clause.name} is from {least} to {greatest}"
                    yield ConditionFinding(path, "never_holds", says, is_certain=True)
            case "mark" if known.marks is not None and clause.name not in known.marks:
                says = f"no journey sets the mark {clause.name!r}{self._hint(clause.name, known.marks)}"
                yield ConditionFinding(path, "unknown_value", f"{says}; marks: {_list(known.marks)}", True)
            case "lifecycle" if known.stages is not None and clause.comparison is not None:
                for state in clause.comparison.among:
                    if state not in known.stages:
                        says = f"there is no state {state!r}{self._hint(str(state), known.stages)}"
                        yield ConditionFinding(path, "unknown_value", f"{says}; states: {_list(known.stages)}", True)
            case "consent":
                yield from self._consent(clause, path)
        needed = [] if clause.comparison is None else list(_needed(clause.comparison))
        if clause.subject in ("feature", "score") and any(map(NUMBERS.isdisjoint, needed)):
            assert clause.comparison is not None
            says = f"{_operators(clause.comparison)} never holds: a {clause.subject} is a number"
            yield ConditionFinding(path, "wrong_type", says, is_certain=True)

    def _consent(self, clause: ValueClause, path: str) -> Iterator[ConditionFinding]:
        purpose, _, channel = clause.name.partition("@")
        if self._known.purposes is not None and purpose not in self._known.purposes:
            says = f"there is no purpose {purpose!r}{self._hint(purpose, self._known.purposes)}"
            says += f"; marketing, and those of `consent.purposes`: {_list(self._known.purposes)}"
            yield ConditionFinding(path, "unknown_value", says, is_certain=True)
        if channel not in CHANNELS:
            says = f"there is no channel {channel!r}; channels: {_list(CHANNELS)}"
            yield ConditionFinding(path, "unknown_value", says, is_certain=True)
        for state in () if clause.comparison is None else clause.comparison.among:
            if state not in _CONSENTS:
                says = f"consent is never {state!r}; it is {', '.join(_CONSENTS)} or missing"
                yield ConditionFinding(path, "unknown_value", says, is_certain=True)

    def _trait(self, clause: ValueClause, path: str) -> Iterator[ConditionFinding]:
        traits, source = self._known.traits, self._known.source
        if traits is None:
            return
        kinds = traits.get(clause.name)
        if kinds is None:
            says = f"{source} have no trait {clause.name!r}{self._hint(clause.name, traits)}"
            yield ConditionFinding(path, "unknown_trait", says)
        elif clause.comparison is not None:
            if any(kinds.isdisjoint(some) for some in _needed(clause.comparison)):
                says = f"{_operators(clause.comparison)} never holds: the trait {clause.name!r} is {_either(kinds)}"
                yield ConditionFinding(path, "wrong_type", says)
        elif "time" not in kinds and clause.anniversary is None and not clause.is_local and "local time" in kinds:
            says = f"the trait {clause.name!r} has times without a zone: add `zone: user` to read them in that zone"
            yield ConditionFinding(path, "wrong_type", says)
        elif kinds.isdisjoint(("time", "local time")):
            says = f"the trait {clause.name!r} is {_either(kinds)}, and not a time of ISO 8601"
            yield ConditionFinding(path, "wrong_type", says)


def _is_outside(comparison: ValueComparison, least: int, greatest: int) -> bool:
    """Return whether no number from the least to the greatest one is within the bounds of a comparison."""
    low, high = comparison.at_least, comparison.at_most
    above, below = comparison.more_than, comparison.less_than
    if (low is not None and low > greatest) or (above is not None and above >= greatest):
        return True
    if (high is not None and high < least) or (below is not None and below <= least):
        return True
    numbers = [one for one in comparison.among if isinstance(one, int | float) and not isinstance(one, bool)]
    return bool(numbers) and not any(least <= one <= greatest for one in numbers)


def _logarithm(clause: ValueClause, path: str) -> Iterator[ConditionFinding]:
    """Yield a finding if the number that a feature is the logarithm of may have been meant."""
    comparison = clause.comparison
    bounds = () if comparison is None else (getattr(comparison, bound) for bound in _BOUNDS)
    for bound in bounds:
        if bound and bound == int(bound):
            says = (
                f"the feature {clause.name!r} is log1p of a number, so {bound:g} stands for the number "
                f"{expm1(min(bound, MAX_LOGARITHM)):,.2f}"
            )
            if bound > 0:
                says += f"; for the number {bound:g}, write {log1p(bound):.4f}"
            yield ConditionFinding(path, "logarithm", says)


def _needed(comparison: ValueComparison) -> Iterator[Kinds]:
    """Yield the kinds that each operator can hold for."""
    if comparison.among:
        kinds = {kind_of(value) for value in comparison.among}
        texts = TEXTS if not kinds.isdisjoint(TEXTS) else frozenset()
        yield frozenset({kind for kind in kinds if kind is not None}) | texts
    if any(getattr(comparison, bound) is not None for bound in _BOUNDS):
        yield NUMBERS
    if comparison.starts_with is not None:
        yield TEXTS
    if comparison.contains is not None:
        yield TEXTS | {"list"} if isinstance(comparison.contains, str) else frozenset({"list"})


def _operators(comparison: ValueComparison) -> str:
    names = ["in" if len(comparison.among) > 1 else "is"] if comparison.among else []
    names += [name for name in (*_BOUNDS, "starts_with", "contains") if getattr(comparison, name) is not None]
    return ", ".join(names)


def _either(kinds: Kinds) -> str:
    return " or ".join(f"an {kind}" if kind == "object" else f"a {kind}" for kind in sorted(kinds))


def _list(names: Iterable[str] | Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
