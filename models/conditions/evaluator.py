"""Evaluate the conditions of a user, step by step: an event, a timer, or a change of values.

A step touches only the clauses that it can change, and then only the segments in which such a clause has changed.

Before an event, all timers that are due at its time or before have fired. So the truth of a clause before the event is
its truth at the time of the event, without the event. The truth before a timer is that one millisecond earlier.
Therefore no truth is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from heapq import heapify, heappop, heappush

from models.conditions.budget import MAX_STATE_BYTES, bound
from models.conditions.clauses import ValueClause
from models.conditions.entries import Held
from models.conditions.leaf import LeafEvaluator, Occurrence, Person, is_timed
from models.conditions.periods import NEVER
from models.conditions.program import ConditionProgram
from models.conditions.steps import ClauseStep, Move, ValueChange
from models.conditions.truth import Truth
from models.conditions.user_state import UserConditions
from models.conditions.values import HeldEvaluator
from models.events import Event


class View:
    """The truths of one user at one instant, computed when they are needed.

    Parameters
    ----------
    program, user, person
        The conditions, what the user's clauses remember, and what else they read.
    at
        The instant, milliseconds.
    """

    __slots__ = ("_segments", "at", "person", "program", "user")

    def __init__(self, program: ConditionProgram, user: UserConditions, person: Person, at: int) -> None:
        self.program = program
        self.user = user
        self.person = person
        self.at = at
        self._segments: dict[int, Truth] = {}

    def leaf(self, leaf: LeafEvaluator) -> Truth:
        """Return the truth of a clause."""
        if leaf.key in self.program.pending:
            return None
        return leaf.truth(self.user.entry(leaf), self.at, self.person)

    def decide(self, index: int) -> Truth:
        """Return the truth of a segment's condition."""
        truth = self._segments[index] = self.program.segments[index].test(self)
        return truth

    def segment(self, index: int, duration: int) -> Truth:
        """Return whether the user is in a segment for a duration; unknown if the user may have to be a member."""
        since = self.user.memberships.since.get(self.program.segments[index].key)
        if since is not None:
            return self.at - since >= duration
        if index not in self._segments:
            self._decide_all(index)
        return None if self._segments[index] is None else False

    def _decide_all(self, index: int) -> None:
        """Decide a segment after all those that it needs; a long chain must not recurse."""
        segments, since = self.program.segments, self.user.memberships.since
        waiting, needed = [index], {index}
        while waiting:
            for inner in segments[waiting.pop()].inner:
                if inner not in needed and inner not in self._segments and segments[inner].key not in since:
                    needed.add(inner)
                    waiting.append(inner)
        for one in sorted(needed):
            self.decide(one)

    def learned(self, name: str, duration: int) -> Truth:
        """Return whether the user is in a learned segment for a duration."""
        since = self.person.values.learned_since(name)
        return since is not None and self.at - since >= duration


class Evaluator:
    """The evaluation of a program.

    Parameters
    ----------
    program
        The compiled conditions.
    """

    def __init__(self, program: ConditionProgram) -> None:
        self.program = program

    def __repr__(self) -> str:
        """Show the program."""
        return f"Evaluator({self.program!r})"

    # --- clauses ---------------------------------------------------------------------------------------------------

    def observe(self, user: UserConditions, event: Event, now: int, person: Person) -> ClauseStep | None:
        """Add an event to the clauses that it can change; return ``None`` if there is nothing to decide.

        Parameters
        ----------
        user
            The user; entries are changed in place.
        event
            An accepted event that was not seen before.
        now
            The partition's clock, milliseconds; all timers due by then have fired.
        person
            What clauses read of the user.
        """
        state, step, at = user.state, None, min(event.at, now)
        if not state.known_since:
            state.known_since = max(at, 1)
            step = ClauseStep()
            step.dirty.update(self.program.fresh)
            step.watched.update(self.program.watched_fresh)
        leaves = self.program.reading(event)
        person.known_since = state.known_since
        if leaves is None:
            return step or None
        occurrence = Occurrence(event, at)
        if step is None:
            step = ClauseStep()
        for leaf in leaves:
            entry = user.entry(leaf)
            before = leaf.truth(entry, now, person)
            entry = leaf.observe(entry, occurrence, now, person)
            if entry is not None:
                user.put(leaf, entry, leaf.next_change(entry, now, person))
                step.change(self.program, leaf.key, before, leaf.truth(entry, now, person))
        if state.weight > MAX_STATE_BYTES:
            bound(self.program, user, step, now, person)
        return step or None

    def expire(self, user: UserConditions, due: int, person: Person) -> ClauseStep | None:
        """Fire both timers of the user at their due time; return ``None`` if there is nothing to decide."""
        step, waited = self.expire_clauses(user, due, person), self.expire_waits(user, due, person)
        if step is not None and waited is not None:
            step.merge(waited)
        return step or waited

    def expire_clauses(self, user: UserConditions, due: int, person: Person) -> ClauseStep | None:
        """Fire the user's timer of the clauses at its due time; return ``None`` if there is nothing to decide."""
        state, step = user.state, ClauseStep()
        person.known_since = state.known_since
        keys = {key for key, at in state.dues.items() if at <= due}
        keys.update(leaf.key for leaf in self.program.changing_at(state.known_since, due, person))
        for key in sorted(keys):
            leaf = self.program.leaves[key]
            entry = user.entry(leaf)
            before = leaf.truth(entry, due - 1, person)
            after = leaf.truth(entry, due, person)
            has_entry = entry is not None
            if entry is not None:
                entry = leaf.forget(entry, due, person)
            if has_entry or key in state.dues:
                is_waiting = entry is not None or is_timed(leaf.clause)
                user.put(leaf, entry, leaf.next_change(entry, due, person) if is_waiting else NEVER)
            step.change(self.program, key, before, after)
        return step or None

    def expire_waits(self, user: UserConditions, due: int, person: Person) -> ClauseStep | None:
        """Fire the user's timer of memberships for a duration; return ``None`` if there is nothing to decide."""
        step = ClauseStep()
        for wait in self.program.waits:
            since = self._since(user, person, wait.segment, wait.name)
            if since is not None and since + wait.duration == due:
                step.dirty.update(wait.dependents)
        return step or None

    def revalue(
        self, user: UserConditions, changed: Iterable[ValueChange], now: int, person: Person
    ) -> ClauseStep | None:
        """Apply the fact that values of the user have changed; return ``None`` if there is nothing to decide."""
        step, program = ClauseStep(), self.program
        person.known_since = user.state.known_since
        for change in changed:
            name = (change.subject, change.name)
            for leaf in program.by_value.get(name, ()):
                self._revalue(user, leaf, now, person)
                step.touch(program, leaf.key)
            numbers = program.numbers.get(name)
            if numbers is None:
                continue
            for leaf in numbers.changing(change.previous, person.values.value(*name)):
                self._revalue(user, leaf, now, person)
                step.touch(program, leaf.key)
        return step or None

    def relocate(self, user: UserConditions, zone: tzinfo, now: int, person: Person) -> ClauseStep | None:
        """Move the user from the previous time zone to this one; return ``None`` if there is nothing to decide."""
        step, previous = ClauseStep(), person.zone
        person.known_since, person.zone = user.state.known_since, zone
        for leaf in self.program.zoned:
            if is_timed(leaf.clause):
                self._revalue(user, leaf, now, person)
                step.touch(self.program, leaf.key)
                continue
            entry = user.entry(leaf)
            person.zone = previous
            before = leaf.truth(entry, now, person)
            person.zone = zone
            step.change(self.program, leaf.key, before, leaf.truth(entry, now, person))
            if entry is not None:
                user.put(leaf, entry, leaf.next_change(entry, now, person))
        return step or None

    def adopt(self, user: UserConditions, now: int, person: Person, *, has_scores: bool = True) -> ClauseStep:
        """Bring a user to the program, which is new; all segments and watched conditions have to be decided.

        Without scores and features, marks of hysteresis stay as they are, and :meth:`revalue` has to follow.
        """
        step, program = ClauseStep(), self.program
        person.known_since = user.state.known_since
        user.drop({key for key in user.numbers() if key not in program.leaves})
        for leaf in program.leaves.values():
            if isinstance(leaf.clause, ValueClause):
                if has_scores or not isinstance(leaf, HeldEvaluator):
                    self._revalue(user, leaf, now, person)
            elif user.has_entry(leaf.key):
                entry = user.entry(leaf)
                user.put(leaf, entry, leaf.next_change(entry, now, person))
        known = {segment.key for segment in program.segments}
        since = user.memberships.since
        for key in [key for key in since if key not in known]:
            del since[key]
        user.weigh(program.leaves.values())
        step.dirty.update(range(len(program.segments)))
        step.watched.update(range(len(program.watched)))
        return step

    def _revalue(self, user: UserConditions, leaf: LeafEvaluator, now: int, person: Person) -> None:
        if isinstance(leaf, HeldEvaluator):
            entry = user.entry(leaf)
            assert entry is None or isinstance(entry, Held)
            held = leaf.held(entry, person)
            if held is not entry:
                user.put(leaf, held, NEVER)
        elif is_timed(leaf.clause):
            due = leaf.next_change(None, now, person)
            if due != user.state.dues.get(leaf.key, NEVER):
                user.put(leaf, None, due)

    # --- segments --------------------------------------------------------------------------------------------------

    def decide(self, user: UserConditions, step: ClauseStep, at: int, person: Person) -> list[Move]:
        """Decide the segments of a step, each after those that it refers to, and return the user's moves."""
        return self.decide_by(user, step, at, View(self.program, user, person, at))

    def decide_by(self, user: UserConditions, step: ClauseStep, at: int, view: View) -> list[Move]:
        """Decide the segments of a step by the truths of a view."""
        segments, since, moves = self.program.segments, user.memberships.since, []
        waiting = list(step.dirty)
        heapify(waiting)
        queued = set(waiting)
        while waiting:
            segment = segments[heappop(waiting)]
            truth = view.decide(segment.index)
            is_member = segment.key in since
            if truth is not None and truth is not is_member:
                if truth:
                    since[segment.key] = at
                else:
                    del since[segment.key]
                because = {change.key for change in step.changes} & segment.leaves if step.changes else ()
                moves.append(Move(segment.name, truth, at, tuple(sorted(because))))
            for dependent in segment.dependents:
                if dependent not in queued:
                    queued.add(dependent)
                    heappush(waiting, dependent)
        return moves

    # --- timers ----------------------------------------------------------------------------------------------------

    def next_due(self, user: UserConditions, at: int, person: Person) -> int:
        """Return the next instant at which anything can change without an event; ``NEVER`` without one.

        Parameters
        ----------
        user, person
            The user, after a step.
        at
            Time of that step, milliseconds.
        """
        return min(self.next_clause_due(user, at, person), self.next_wait_due(user, at, person))

    def next_clause_due(self, user: UserConditions, at: int, person: Person) -> int:
        """Return the next instant at which a clause can change without an event; ``NEVER`` without one."""
        state = user.state
        if not state.known_since:
            return NEVER
        person.known_since = state.known_since
        found = min(state.dues.values(), default=NEVER)
        return min(found, self.program.next_default(state.known_since, at, person))

    def next_wait_due(self, user: UserConditions, at: int, person: Person) -> int:
        """Return the next instant at which a membership has lasted for a duration; ``NEVER`` without one."""
        found = NEVER
        for wait in self.program.waits:
            since = self._since(user, person, wait.segment, wait.name)
            if since is not None and since + wait.duration > at:
                found = min(found, since + wait.duration)
        return found

    def _since(self, user: UserConditions, person: Person, segment: int, name: str) -> int | None:
        if segment < 0:
            return person.values.learned_since(name)
        return user.memberships.since.get(self.program.segments[segment].key)
