"""What a configuration would do to users if it were applied now: the numbers that ``perennial apply`` shows before.

The users come from a fold of the log beside the running one, which has the new conditions from its beginning. Here each
of these users comes to the conditions as in the running fold later. New segments have no members yet, a new lifecycle
begins with its first stage, and clauses have seen what they will have seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC
from types import MappingProxyType
from typing import NamedTuple

from models.conditions.clauses import AllOf, Leaf, SegmentClause
from models.conditions.evaluator import View
from models.conditions.leaf import Person
from models.conditions.program import segment_key
from models.conditions.truth import Truth
from models.conditions.user_state import ClauseState, Memberships, UserConditions
from models.conditions.writing import canonical, digest
from models.configuration.compiled import Configuration
from models.configuration.marks import readers_of_marks
from models.engage.campaigns.audience import truth_of, watched_clauses
from models.engage.journeys.walking import user_clauses
from models.fold.asked_entries import asked_entries
from models.fold.conditions_in_use import (
    AskedConditions,
    ConditionsChange,
    ConditionsInUse,
    dependents_of,
    succession,
)
from models.fold.user_values import DecisionValues, time_zone
from models.fold.versions import Versions
from models.profile import features
from models.profile.ledger import Ledger, Stage
from models.profile.state import Customer, Facts

MAX_DIFFERENCE = 0.1
"""Maximum difference between a number of users that was shown and the number when it takes effect, as a share."""
MIN_DIFFERENT_USERS = 10
"""Minimum number of users that is exceeded by a difference that matters."""


class ConditionsPlan:
    """The change of conditions from the configuration in use to another one.

    Parameters
    ----------
    wanted
        The configuration to apply.
    known
        The configuration in use; ``None`` without one.
    pending
        Numbers of the clauses in use whose history was announced and is not complete.

    Attributes
    ----------
    wanted, known
        The two configurations.
    asked
        The conditions to apply.
    pending
        Those of the pending clauses that the configuration to apply has, too.
    clauses
        Numbers of the clauses that remember events and have not seen the past.
    changed
        Names of the segments that are new, or whose members may be others from the change on.
    entering
        Names of the segments whose matching users enter with a signal.
    taking
        The journeys that members of a segment enter because they are members already: the segment, by the journey.
    uncounted
        Names of the segments whose members are not known before, because they read marks. The fold beside the running
        one has no journeys.
    has_new_stages
        Whether users come to stages of the lifecycle by this change.
    """

    def __init__(
        self, wanted: Configuration, known: Configuration | None, pending: Collection[int] = frozenset()
    ) -> None:
        self.wanted, self.known = wanted, known
        self.asked = _asked_by(wanted)
        in_use = None if known is None else _asked_by(known)
        self.pending = frozenset(pending) & self.asked.event_clauses
        self.clauses = self.asked.event_clauses - (frozenset() if in_use is None else in_use.event_clauses)
        self.clauses |= self.pending
        self._settled = None if in_use is None else _settled(in_use, frozenset(pending))
        before, after = self.successive(self.asked, 0)
        same = {} if before is None else {rule.name: canonical(rule.when) for rule in before.asked.segments}
        new = {rule.name for rule in wanted.segments if same.get(rule.name) != canonical(rule.when)}
        self.changed = _with_dependents(after, new)
        before_at = 0 if before is None else before.generation
        self.entering = tuple(rule.name for rule in wanted.segments if after.enters(segment_key(rule.name), before_at))
        self.taking = {
            one.journey: one.taken for one in after.asked.entries if after.takes(one.journey, before_at, is_new=False)
        }
        self.uncounted = readers_of_marks(wanted.segments)
        self.has_new_stages = wanted.lifecycle is not None and wanted.lifecycle != (
            None if before is None else before.asked.lifecycle
        )

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"ConditionsPlan({len(self.changed)} changed segments, {len(self.clauses)} clauses without a past)"

    @property
    def untold(self) -> frozenset[str]:
        """Names of the journeys of ``taking`` whose number of users is not known before: their segments read marks."""
        return frozenset(name for name, segment in self.taking.items() if segment in self.uncounted)

    def successive(
        self, asked: AskedConditions, now: int, covered_from: int | None = None
    ) -> tuple[ConditionsInUse | None, ConditionsInUse]:
        """Return the conditions before the change, ``None`` without any, and those after it.

        Parameters
        ----------
        asked
            The conditions to apply, with the scale of gaps in use.
        now
            Time of the change, milliseconds.
        covered_from
            Time after which clauses will have seen every event if they get their history, milliseconds; 0 if they will
            have seen all. ``None`` if they get none.
        """
        change, before = ConditionsChange(now, 1), None
        if self._settled is not None:
            before = succession(None, self._settled._replace(scale=asked.scale), ConditionsChange())
        after = succession(before, asked, change)
        if covered_from is not None:
            after.bring_history(self.clauses)
            after = after.with_history(self.clauses, covered_from, change)
        return before, after


class ProspectiveCounts(NamedTuple):
    """The numbers of users after a change of conditions.

    Attributes
    ----------
    users
        All users.
    members
        Members by the name of the segment.
    entering
        Users who would enter with a signal, by the name of the segment.
    stages
        Users by stage.
    taken
        Users who would enter a journey because they are members of its segment already, by the name of the journey.
    """

    users: int
    members: Mapping[str, int]
    entering: Mapping[str, int]
    stages: Mapping[str, int]
    taken: Mapping[str, int] = MappingProxyType({})


class Prospects:
    """The users of one partition, each as if a change of conditions happened now.

    Parameters
    ----------
    plan
        The change.
    versions
        The versions in use in the fold beside the running one.
    now
        Its clock, milliseconds.
    covered_from
        See :meth:`ConditionsPlan.successive`.
    """

    def __init__(self, plan: ConditionsPlan, versions: Versions, now: int, covered_from: int | None) -> None:
        self._now = now
        self._wanted = plan.wanted
        asked = versions.asked(plan.wanted)._replace(clauses=plan.asked.clauses)  # the fold has no journeys
        self._before, self._after = plan.successive(asked, now, covered_from)
        self._generation = 0 if self._before is None else self._before.generation
        known = frozenset[int]() if self._before is None else self._before.program.leaves.keys()
        self._remembered = known | (plan.clauses if covered_from is not None else frozenset())
        names = {segment.name for segment in plan.wanted.segments} - plan.changed
        self._kept = frozenset(map(segment_key, names))
        self._keeps_stages = not plan.has_new_stages
        self.users = 0
        self._uncounted = plan.uncounted
        names = {segment.name for segment in plan.wanted.segments} - plan.uncounted
        self.members: Counter[str] = Counter(dict.fromkeys(names, 0))
        self.entering: Counter[str] = Counter(dict.fromkeys(plan.entering, 0))
        self.stages: Counter[str] = Counter()
        conditions = {one.name: one.enter.condition for one in plan.wanted.journeys}
        self._taking = {name: (segment, conditions[name]) for name, segment in plan.taking.items()}
        self.taken: Counter[str] = Counter(dict.fromkeys(plan.taking, 0))

    def __repr__(self) -> str:
        """Show the number of users so far."""
        return f"Prospects({self.users} users)"

    def add(self, name: str, customer: Customer) -> None:
        """Count a user.

        Parameters
        ----------
        name
            The user's id.
        customer
            The user's state in the fold beside the running one; the ledger is changed.
        """
        facts, ledger = customer.facts, customer.ledger
        if not facts.events:  # a visitor whose profile has moved to a known user
            return
        self.users += 1
        self._begin(facts, ledger)
        program, now = self._after.program, self._now
        known_since = facts.known_since or facts.first_seen or now
        user = UserConditions(ClauseState(known_since, self._entries(facts)), Memberships(self._since(ledger)))
        zone = time_zone(facts.traits, self._wanted) if program.zoned else UTC
        person = Person(name, DecisionValues(facts, ledger, self._wanted), zone, known_since)
        found = self._after.evaluator.adopt(user, now, person)
        view = View(program, user, person, now)
        self._count_stage(ledger, view)
        for move in self._after.evaluator.decide_by(user, found, now, view):
            if move.has_entered and self._after.enters(segment_key(move.segment), self._generation):
                self.entering[move.segment] += 1
        for segment in program.segments:
            if segment.name not in self._uncounted:
                self.members[segment.name] += segment.key in user.memberships.since
        for journey, (name, condition) in self._taking.items():
            needed = [SegmentClause(name), *([] if condition is None else [condition])]
            self.taken[journey] += truth_of(AllOf(tuple(needed)), lambda clause: _truth(view, clause)) is True

    def _begin(self, facts: Facts, ledger: Ledger) -> None:
        """Bring the ledger to the place before the change."""
        if not self._keeps_stages:
            ledger.stage = None
        if self._before is None or not self._before.reads_learned:
            ledger.segment_since = self._now
        read, held = self._after.features, {} if self._before is None else ledger.features or {}
        kept = {name: held[name] for name in read if self._before and name in self._before.features and name in held}
        if ledger.assessed_at and len(kept) < len(read):
            row = features.row(facts, ledger.assessed_at)
            kept = {name: row[features.PLACES[name]] for name in read} | kept
        ledger.features = kept or None

    def _entries(self, facts: Facts) -> dict[int, bytes]:
        entries = {} if facts.clauses is None else facts.clauses.entries
        return {key: content for key, content in entries.items() if key in self._remembered}

    def _since(self, ledger: Ledger) -> dict[int, int]:
        since = {} if ledger.memberships is None else ledger.memberships.since
        return {key: at for key, at in since.items() if key in self._kept}

    def _count_stage(self, ledger: Ledger, view: View) -> None:
        machine = self._after.machine
        if machine is None:
            return
        stage = machine.initial if ledger.stage is None else machine.stage(ledger.stage.name)
        for move in machine.moves(stage, lambda index: view.program.watched[index].test(view)):
            stage, ledger.stage = move.target, Stage(move.target, view.at)
        self.stages[stage] += 1


def counts_of(parts: Collection[Prospects]) -> ProspectiveCounts:
    """Return the numbers of all partitions together."""
    members, entering, stages, taken = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for part in parts:
        members.update(part.members)
        entering.update(part.entering)
        stages.update(part.stages)
        taken.update(part.taken)
    return ProspectiveCounts(sum(part.users for part in parts), members, entering, stages, taken)


def differences(plan: ConditionsPlan, shown: ProspectiveCounts, present: ProspectiveCounts) -> list[str]:
    """Return which numbers of a change have become too different, for people; none if none has.

    Parameters
    ----------
    plan
        The change.
    shown, present
        The numbers that a person has seen, and those of now.

    Examples
    --------
    >>> from models.configuration.parsing import parse
    >>> plan = ConditionsPlan(parse({"segments": [{"name": "a", "when": {"trait": "x", "is": 1}}]}, {}), None)
    >>> few, some, more = (ProspectiveCounts(500, {"a": number}, {}, {}) for number in (100, 110, 111))
    >>> differences(plan, few, some), differences(plan, few, more)
    ([], ["segment 'a' had 100 users, and has 111 now"])
    """
    found: list[str] = []
    pairs = [
        (f"segment {name!r}", shown.members, present.members, name) for name in sorted(plan.changed - plan.uncounted)
    ]
    if plan.has_new_stages:
        names = sorted({*shown.stages, *present.stages})
        pairs += [(f"stage {name!r}", shown.stages, present.stages, name) for name in names]
    for what, then, now, name in pairs:
        one, other = then.get(name, 0), now.get(name, 0)
        if abs(one - other) > max(MAX_DIFFERENCE * one, MIN_DIFFERENT_USERS):
            found.append(f"{what} had {one:,} users, and has {other:,} now")
    return found


def _truth(view: View, clause: Leaf) -> Truth:
    """Return the truth of a single clause of the entry of a journey."""
    program = view.program
    if not isinstance(clause, SegmentClause):
        leaf = program.leaves.get(digest(canonical(clause)))
        return None if leaf is None else view.leaf(leaf)
    index = program.index_of(clause.name)
    return view.learned(clause.name, clause.duration) if index < 0 else view.segment(index, clause.duration)


def _settled(in_use: AskedConditions, pending: frozenset[int]) -> AskedConditions:
    """Return the conditions in use, without those that wait for the history of a clause."""
    program = succession(None, in_use, ConditionsChange()).program
    here = pending & program.leaves.keys()
    waiting = {program.segments[index].name for index in dependents_of(program, here)}
    moves = len(in_use.moves)
    has_waiting_moves = any(index < moves for key in here for index in program.watched_by_leaf[key])
    segments = tuple(rule for rule in in_use.segments if rule.name not in waiting)
    clauses = tuple(clause for clause in in_use.clauses if digest(canonical(clause)) not in here)
    lifecycle = None if has_waiting_moves else in_use.lifecycle
    return in_use._replace(segments=segments, lifecycle=lifecycle, clauses=clauses)


def _asked_by(configuration: Configuration) -> AskedConditions:
    """Return the conditions that a configuration asks for."""
    clauses = tuple(dict.fromkeys((*user_clauses(configuration.journeys), *watched_clauses(configuration.campaigns))))
    entries = asked_entries(configuration.journeys)
    return AskedConditions(configuration.segments, configuration.lifecycle, clauses=clauses, entries=entries)


def _with_dependents(conditions: ConditionsInUse, names: Collection[str]) -> frozenset[str]:
    """Return segments by name with those that refer to them."""
    segments, found = conditions.program.segments, set(names)
    for segment in segments:  # each comes after those that it refers to
        if any(segments[index].name in found for index in segment.inner):
            found.add(segment.name)
    return frozenset(found)
