"""All conditions of a configuration, compiled: clauses are shared, and an index says what can change what."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from models.conditions.ages import AbsentEvaluator
from models.conditions.clauses import (
    AllOf,
    AnyOf,
    Condition,
    NoneOf,
    SegmentClause,
    SegmentRule,
    Subject,
    ValueClause,
)
from models.conditions.gaps import DEFAULT_SCALE, GapScale, resolved
from models.conditions.leaf import LeafEvaluator, NoValues, Person, WindowEvaluator
from models.conditions.leaves import evaluator_of
from models.conditions.number_index import NumberIndex, bounds_of
from models.conditions.ordering import in_order, references
from models.conditions.periods import ALWAYS, NEVER, period
from models.conditions.properties import CUSTOM, event_key
from models.conditions.truth import Truth, all_of, any_of, negated
from models.conditions.truth_view import Test
from models.conditions.values import BucketEvaluator
from models.conditions.writing import canonical, digest
from models.errors import InvalidConfiguration
from models.events import Event

ValueName = tuple[Subject, str]


@dataclass(eq=False, repr=False, slots=True)
class SegmentProgram:
    """A segment by rule, compiled.

    Attributes
    ----------
    index
        Place in the program; a segment comes after those that it refers to.
    key
        Number of the segment: a hash of its name.
    name, condition
        As in the configuration.
    test
        The condition as a function.
    leaves
        Numbers of the clauses in it.
    inner
        Indexes of the segments by rule to which it refers.
    dependents
        Indexes of the segments that refer to it.
    """

    index: int
    key: int
    name: str
    condition: Condition
    test: Test
    leaves: frozenset[int]
    inner: tuple[int, ...]
    dependents: tuple[int, ...] = ()

    def __repr__(self) -> str:
        """Name the segment."""
        return f"SegmentProgram({self.name!r})"


@dataclass(frozen=True, slots=True)
class WatchedCondition:
    """A condition whose truth something else asks for, such as a move of the lifecycle. It has no members.

    Attributes
    ----------
    index
        Place in the program.
    condition
        The condition; it has no segment in it.
    test
        The condition as a function.
    leaves
        Numbers of the clauses in it.
    """

    index: int
    condition: Condition
    test: Test
    leaves: frozenset[int]


class Wait(NamedTuple):
    """A condition ``segment: ... for: ...``.

    Attributes
    ----------
    segment
        Index of the segment; -1 for a learned one.
    name
        Name of the segment.
    duration
        Milliseconds.
    dependents
        Indexes of the segments with the condition.
    """

    segment: int
    name: str
    duration: int
    dependents: tuple[int, ...]


class ConditionProgram:
    """The compiled conditions.

    Parameters
    ----------
    segments
        The segments by rule.
    covered_from
        Time after which a clause has seen every event, by the number of the clause, milliseconds. A clause that is
        missing here has seen all events.
    watched
        Conditions without segments in them, whose truth something else asks for.
    scale
        Lengths of the gaps between purchases.

    Attributes
    ----------
    pending
        Clauses that are unknown until their history is brought.
    leaves
        Clauses by their numbers.
    segments
        Segments by rule; each comes after those that it refers to.
    watched
        The watched conditions.
    by_event
        Clauses by the name of the event that they read.
    by_leaf
        Indexes of segments by the number of a clause.
    watched_by_leaf
        Indexes of watched conditions by the number of a clause.
    by_value, numbers
        Clauses by the value that they read; those that only compare a number are in ``numbers``.
    by_learned
        Indexes of segments by the name of a learned segment.
    zoned
        Clauses that depend on the user's time zone.
    waits
        Conditions ``segment: ... for: ...``.
    fresh
        Indexes of the segments that may be true for a user at the first event.
    watched_fresh
        Indexes of the watched conditions that may be true then.
    ages
        Ages of a user at which clauses without an entry may change, ascending, milliseconds.
    """

    def __init__(
        self,
        segments: Sequence[SegmentRule] = (),
        covered_from: Mapping[int, int] | None = None,
        watched: Sequence[Condition] = (),
        scale: GapScale = DEFAULT_SCALE,
    ) -> None:
        self.leaves: dict[int, LeafEvaluator] = {}
        self.segments: list[SegmentProgram] = []
        self._covered_from = covered_from or {}
        self._scale = scale
        self._index: dict[str, int] = {}
        self._index_by_key: dict[int, int] = {}
        self.pending: frozenset[int] = frozenset()
        self._learned: dict[str, set[int]] = {}
        self._waits: dict[tuple[int, str, int], set[int]] = {}
        for rule in in_order(segments):
            self._add(rule)
        self.watched = tuple(self._watch(index, condition) for index, condition in enumerate(watched))
        self.by_event = self._by_event()
        self._custom = self.by_event.get(CUSTOM)
        self.by_leaf = self._by_leaf(self.segments)
        self.watched_by_leaf = self._by_leaf(self.watched)
        self.by_learned = {name: tuple(sorted(of)) for name, of in self._learned.items()}
        self.by_value: dict[ValueName, tuple[LeafEvaluator, ...]] = {}
        self.numbers: dict[ValueName, NumberIndex] = {}
        self._index_values()
        self.zoned = tuple(leaf for leaf in self.leaves.values() if leaf.reads_zone)
        self.waits = tuple(Wait(*key, tuple(sorted(of))) for key, of in sorted(self._waits.items()))
        self.ages = sorted({age for leaf in self.leaves.values() for age in leaf.ages})
        self._ages_of: dict[int, list[LeafEvaluator]] = {}
        for leaf in self.leaves.values():
            for age in leaf.ages:
                self._ages_of.setdefault(age, []).append(leaf)
        uncovered = [leaf for leaf in self.leaves.values() if ALWAYS < leaf.known_at < NEVER]
        self._calendars = [leaf for leaf in uncovered if leaf.reads_zone]
        self._known = sorted((leaf for leaf in uncovered if not leaf.reads_zone), key=attrgetter("known_at"))
        self._known_at = [leaf.known_at for leaf in self._known]
        self._last_known = max((leaf.covered_from for leaf in uncovered), default=ALWAYS)
        unknown = _Unknown()
        for one in self.segments:
            unknown.add(one)
        self.fresh = tuple(unknown.possible)
        self.watched_fresh = tuple(one.index for one in self.watched if one.test(unknown) is not False)

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"ConditionProgram({len(self.segments)} segments, {len(self.leaves)} clauses)"

    def index_of(self, segment: str) -> int:
        """Return the index of a segment by rule; -1 for another name."""
        return self._index.get(segment, -1)

    def member_of(self, memberships: Iterable[int]) -> list[int]:
        """Return the indexes of the segments with these numbers, ascending."""
        return sorted(self._index_by_key[key] for key in memberships if key in self._index_by_key)

    def reading(self, event: Event) -> tuple[LeafEvaluator, ...] | None:
        """Return the clauses that read an event; ``None`` if there are none."""
        found, custom = self.by_event.get(event_key(event)), self._custom
        if event.type != CUSTOM or custom is None:
            return found
        return custom if found is None else tuple(dict.fromkeys((*found, *custom)))

    # --- what changes by itself ------------------------------------------------------------------------------------

    def next_default(self, known_since: int, at: int, person: Person) -> int:
        """Return the next instant at which a clause without an entry may change; ``NEVER`` without one."""
        found, place = NEVER, bisect_right(self.ages, at - known_since)
        if place < len(self.ages):
            found = known_since + self.ages[place]
        if known_since > self._last_known:
            return found
        for place in range(bisect_right(self._known_at, at), len(self._known)):
            if self._known[place].covered_from >= known_since:
                found = min(found, self._known_at[place])
                break
        for leaf in self._calendars:
            known_at = self._calendar_known_at(leaf, person)
            if leaf.covered_from >= known_since and known_at > at:
                found = min(found, known_at)
        return found

    def changing_at(self, known_since: int, at: int, person: Person) -> Iterable[LeafEvaluator]:
        """Yield the clauses that may change at an instant even if they have no entry."""
        yield from self._ages_of.get(at - known_since, ())
        if known_since <= self._last_known:
            begin, end = bisect_left(self._known_at, at), bisect_right(self._known_at, at)
            yield from self._known[begin:end]
            yield from (leaf for leaf in self._calendars if self._calendar_known_at(leaf, person) == at)

    def _calendar_known_at(self, leaf: LeafEvaluator, person: Person) -> int:
        assert isinstance(leaf, WindowEvaluator)
        assert leaf.window.unit is not None
        return period(leaf.window.unit, leaf.covered_from, person.zone)[1]

    # --- compiling -------------------------------------------------------------------------------------------------

    def _add(self, rule: SegmentRule) -> None:
        index, leaves = len(self.segments), set[int]()
        test = self._compile(rule.when, index, leaves)
        inner = tuple(sorted(self._index[name] for name in references(rule.when) & self._index.keys()))
        key, reads = segment_key(rule.name), frozenset(leaves)
        self.segments.append(SegmentProgram(index, key, rule.name, rule.when, test, reads, inner))
        self._index[rule.name] = self._index_by_key[key] = index

    def _watch(self, index: int, condition: Condition) -> WatchedCondition:
        if references(condition):
            raise InvalidConfiguration("", sorted(references(condition)), "a condition without segments in it")
        leaves = set[int]()
        return WatchedCondition(index, condition, self._compile(condition, -1, leaves), frozenset(leaves))

    def _compile(self, condition: Condition, index: int, leaves: set[int]) -> Test:
        match condition:
            case AllOf(of) | AnyOf(of) | NoneOf(of):
                return _group(condition, [self._compile(inner, index, leaves) for inner in of])
            case SegmentClause(name, duration):
                return self._segment(name, duration, index)
        leaf = self._leaf(condition)
        leaves.add(leaf.key)
        return lambda view: view.leaf(leaf)

    def _segment(self, name: str, duration: int, index: int) -> Test:
        place = self._index.get(name, -1)
        if duration:
            self._waits.setdefault((place, name, duration), set()).add(index)
        if place < 0:
            self._learned.setdefault(name, set()).add(index)
            return lambda view: view.learned(name, duration)
        other = self.segments[place]
        other.dependents = tuple(sorted({*other.dependents, index}))
        return lambda view: view.segment(place, duration)

    def _leaf(self, clause: Condition) -> LeafEvaluator:
        key = digest(canonical(clause))
        if key not in self.leaves:
            self.leaves[key] = evaluator_of(key, resolved(clause, self._scale), self._covered_from.get(key, ALWAYS))
        return self.leaves[key]

    def _by_event(self) -> dict[str, tuple[LeafEvaluator, ...]]:
        found: dict[str, list[LeafEvaluator]] = {}
        for name, leaf in ((name, one) for one in self.leaves.values() for name in one.events):
            found.setdefault(name, []).append(leaf)
        return {name: tuple(leaves) for name, leaves in found.items()}

    def _by_leaf(self, conditions: Iterable[SegmentProgram | WatchedCondition]) -> dict[int, tuple[int, ...]]:
        found: dict[int, list[int]] = {key: [] for key in self.leaves}
        for condition in conditions:
            for key in condition.leaves:
                found[key].append(condition.index)
        return {key: tuple(indexes) for key, indexes in found.items()}

    def _index_values(self) -> None:
        others: dict[ValueName, list[LeafEvaluator]] = {}
        numbers: dict[ValueName, list[LeafEvaluator]] = {}
        for leaf in self.leaves.values():
            clause = leaf.clause
            if not isinstance(clause, ValueClause):
                continue
            name: ValueName = (clause.subject, clause.name)
            (numbers if bounds_of(clause) else others).setdefault(name, []).append(leaf)
        self.by_value = {name: tuple(leaves) for name, leaves in others.items()}
        self.numbers = {name: NumberIndex(leaves) for name, leaves in numbers.items()}


class _Unknown:
    """Truths at the first event of any user: other clauses on values are false; what depends on the user is unknown."""

    def __init__(self) -> None:
        self.possible: dict[int, None] = {}
        self._person = Person("", NoValues())

    def add(self, segment: SegmentProgram) -> None:
        """Add a segment after all those that it refers to."""
        if segment.test(self) is not False:
            self.possible[segment.index] = None

    def leaf(self, leaf: LeafEvaluator) -> Truth:
        # The first event of a user may be late, so that an absence is already long enough. And every user has a stage.
        if isinstance(leaf, BucketEvaluator | AbsentEvaluator) or leaf.covered_from > ALWAYS or leaf.reads_stage:
            return None
        return leaf.truth(None, 0, self._person)

    def segment(self, index: int, duration: int) -> Truth:
        return None if index in self.possible else False

    def learned(self, name: str, duration: int) -> Truth:
        return None


def event_clauses(segments: Sequence[SegmentRule], watched: Sequence[Condition] = ()) -> frozenset[int]:
    """Return the numbers of the clauses of segments and watched conditions that remember events."""
    program = ConditionProgram(segments, watched=watched)
    return frozenset(leaf.key for leaf in program.leaves.values() if leaf.events)


def segment_key(name: str) -> int:
    """Return the number of a segment: 8 bytes of a hash of its name."""
    return digest(b"segment:" + name.encode())


def _group(condition: AllOf | AnyOf | NoneOf, tests: list[Test]) -> Test:
    if isinstance(condition, AllOf):
        return lambda view: all_of(test(view) for test in tests)
    if isinstance(condition, AnyOf):
        return lambda view: any_of(test(view) for test in tests)
    return lambda view: negated(any_of(test(view) for test in tests))
