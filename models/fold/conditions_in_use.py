"""The conditions in use in a partition: the program of lifecycle and segments, and what its clauses have seen.

A new configuration may bring new clauses. They have seen no event before it, so each has a time from which on it has
seen all events. Users come to the new conditions at their next step. A user without a step comes to them a little later
by a timer of the partition. These times are spread over the users, so that no commit becomes too large.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

import msgspec

from models.conditions.clauses import Condition, SegmentRule, Subject
from models.conditions.evaluator import Evaluator
from models.conditions.gaps import DEFAULT_SCALE, GapScale
from models.conditions.periods import ALWAYS
from models.conditions.program import ConditionProgram, event_clauses, segment_key
from models.conditions.writing import canonical
from models.fold.asked_entries import AskedEntry, Taking
from models.fold.noting import time_to_note
from models.lifecycle.definition import Lifecycle
from models.lifecycle.machine import StageMachine
from models.profile.features import PLACES

CONDITIONS_KEY = b"\x00conditions"
"""Key in ``profiles`` under which the place of the conditions in use is stored."""
USERS_PER_SECOND = 1_000
"""Number of users of a partition that come to new conditions in a second.

With twice as many, a worker with four partitions and 2,000 events a second on two cores was late by up to 2.3 s
(:mod:`tests.proofs.new_absence`).
"""

_COUNTED: tuple[Subject, ...] = ("score", "feature", "lifecycle", "mark")
"""Values that only decisions change. All other values follow from the events of the user."""


class AskedConditions(NamedTuple):
    """The parts of a configuration that ask for conditions, and the scale of gaps.

    Attributes
    ----------
    segments
        The segments by rule.
    lifecycle
        The lifecycle; ``None`` without one.
    scale
        Lengths of the gaps between purchases; the default ones if no condition has gaps.
    clauses
        Further clauses, which journeys ask for.
    has_journeys
        Whether there are journeys.
    entries
        The entries of journeys that concern users who are there already.
    """

    segments: tuple[SegmentRule, ...] = ()
    lifecycle: Lifecycle | None = None
    scale: GapScale = DEFAULT_SCALE
    clauses: tuple[Condition, ...] = ()
    has_journeys: bool = False
    entries: tuple[AskedEntry, ...] = ()

    @property
    def moves(self) -> tuple[Condition, ...]:
        """The conditions of the moves of the lifecycle."""
        return () if self.lifecycle is None else StageMachine(self.lifecycle).conditions

    @property
    def watched(self) -> tuple[Condition, ...]:
        """The conditions that have no members: those of the moves, and the clauses of journeys."""
        return (*self.moves, *self.clauses)

    @property
    def event_clauses(self) -> frozenset[int]:
        """Numbers of the clauses that remember events."""
        return event_clauses(self.segments, self.watched)


class _Stored(msgspec.Struct, array_like=True):
    generation: int
    since: int
    users: int
    is_complete: bool
    covered_from: dict[int, int]
    pending: list[int]
    staged_from: int = 0
    waiting: int = 0
    entering: dict[int, int] = {}
    begun: dict[int, int] = {}
    taking: dict[str, Taking] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class ConditionsChange(NamedTuple):
    """The place at which the conditions of a partition have changed.

    Attributes
    ----------
    at
        The partition's clock, milliseconds.
    users
        Number of users of the partition.
    """

    at: int = 0
    users: int = 0


class ConditionsInUse:
    """The conditions of one configuration in one partition.

    Parameters
    ----------
    asked
        What asks for the conditions.
    generation
        Number of the conditions. It grows with each change of what asks for them, or of what their clauses have seen.
    change
        The place of that change.
    covered_from
        Time after which a clause has seen every event, by the number of the clause, milliseconds. A clause that is
        missing here has seen all events.
    pending
        Numbers of clauses whose history is being brought; until it is complete, they are unknown.

    Attributes
    ----------
    machine
        The lifecycle, compiled; ``None`` without one.
    is_complete
        Whether all users of that place have come to the conditions.
    waiting
        Number of those who have not come to them yet.
    staged_from
        The first of the successive generations that have a lifecycle; 0 without one. Users of earlier generations have
        no stage yet.
    entering
        The generation at which a segment was applied whose matching users enter with a signal, by the segment's number.
        Users of earlier generations enter so when they come to the conditions.
    taking
        The journeys that users enter because they are members already, by name.
    begun
        For each segment, the first of the successive generations that have it, by the segment's number. No user of an
        earlier generation is counted among its members.
    program, evaluator
        The compiled conditions, and their evaluation.
    consents
        Values of consent that clauses read, sorted.
    reads_learned
        Whether a clause reads a segment that a model has learned.
    features
        Names of the features that clauses read, sorted.
    """

    def __init__(
        self,
        asked: AskedConditions,
        generation: int,
        change: ConditionsChange,
        covered_from: dict[int, int] | None = None,
        pending: Iterable[int] = (),
    ) -> None:
        self.asked = asked
        self.machine = None if asked.lifecycle is None else StageMachine(asked.lifecycle)
        self.staged_from = 0 if self.machine is None else generation
        self.entering: dict[int, int] = {}
        self.taking: dict[str, Taking] = {}
        self.generation = generation
        self.change = change
        self.covered_from = covered_from or {}
        self.is_complete = not change.users
        self.waiting = change.users
        self.program = ConditionProgram(asked.segments, self.covered_from, asked.watched, asked.scale)
        self.program.pending = frozenset(pending) & self.program.leaves.keys()
        self.begun = dict.fromkeys((segment.key for segment in self.program.segments), generation)
        self.evaluator = Evaluator(self.program)
        names = [*self.program.by_value, *self.program.numbers]
        self.consents = tuple(sorted({name for name in names if name[0] == "consent"}))
        self.reads_learned = bool(self.program.by_learned)
        self.decided_names = tuple(sorted({name for name in names if name[0] in _COUNTED}))
        self.features = tuple(name for subject, name in self.decided_names if subject == "feature" and name in PLACES)
        self._traits: dict[str, list[str]] = {}
        for subject, name in sorted(set(names)):
            if subject == "trait":
                for root in {name, name.partition(".")[0]}:
                    self._traits.setdefault(root, []).append(name)

    def __repr__(self) -> str:
        """Show the program, and its generation."""
        return f"ConditionsInUse({self.program!r}, generation {self.generation})"

    def encode(self) -> bytes:
        """Return what is stored besides the segments, which the configuration has."""
        pending = sorted(self.program.pending)
        place = (self.generation, *self.change, self.is_complete, self.covered_from)
        others = (self.staged_from, self.waiting, self.entering, self.begun, self.taking)
        return _encode(_Stored(*place, pending, *others))

    # --- history of clauses ----------------------------------------------------------------------------------------

    def bring_history(self, clauses: Iterable[int]) -> None:
        """Let clauses be unknown until their history is complete."""
        self.program.pending |= frozenset(clauses) & self.program.leaves.keys()

    def with_history(self, clauses: Iterable[int], covered_from: int, change: ConditionsChange) -> ConditionsInUse:
        """Return the conditions after clauses have got their history. All users have to be decided again.

        Parameters
        ----------
        clauses
            Numbers of the clauses.
        covered_from
            Time after which the log has every event, milliseconds; 0 if it has all events since the first one.
        change
            The place of this change.
        """
        done = self.program.pending & frozenset(clauses)
        covered = {key: at for key, at in self.covered_from.items() if key not in done}
        if covered_from:
            covered |= dict.fromkeys(sorted(done), covered_from)
        rest = self.program.pending - done
        found = ConditionsInUse(self.asked, self.generation + 1, change, covered, rest)
        found.staged_from, found.begun = self.staged_from, self.begun
        known_only_now = {self.program.segments[index].key for index in dependents_of(self.program, done)}
        found.entering = {key: found.generation if key in known_only_now else at for key, at in self.entering.items()}
        taken = {one.journey: segment_key(one.taken) for one in self.asked.entries if one.taken}
        found.taking = {
            name: taking._replace(known=found.generation) if taken.get(name) in known_only_now else taking
            for name, taking in self.taking.items()
        }
        return found

    def enters(self, segment: int, generation: int) -> bool:
        """Return whether a user of an earlier generation enters a segment with a signal, by the segment's number."""
        return self.entering.get(segment, 0) > generation

    def takes(self, journey: str, generation: int, *, is_new: bool) -> bool:
        """Return whether a member of its segment enters a journey on coming to the conditions.

        Parameters
        ----------
        journey
            Name of the journey.
        generation
            The generation of the conditions that the user had before.
        is_new
            Whether the user becomes a member now.
        """
        taking = self.taking.get(journey)
        return taking is not None and (generation < taking.applied or (is_new and generation < taking.known))

    # --- users who come to the conditions ---------------------------------------------------------------------------

    def due_of(self, key: bytes) -> int:
        """Return the time at which a user comes to the conditions, unless a step of the user comes before."""
        return self.begins + (crc32(key) * self.change.users * 1000 // USERS_PER_SECOND >> 32)

    def take_in(self, generations: Iterable[int]) -> None:
        """Count users who waited for the conditions, and have come to one of these generations."""
        self.waiting -= sum(generation == self.generation for generation in generations)

    @property
    def begins(self) -> int:
        """Time at which the first user comes to the conditions without a step, milliseconds."""
        return self.change.at + time_to_note(self.change.users)

    @property
    def until(self) -> int:
        """Time by which all users have come to the conditions, milliseconds."""
        return self.begins + self.change.users * 1000 // USERS_PER_SECOND

    # --- values -----------------------------------------------------------------------------------------------------

    def traits_read(self, changed: Iterable[str]) -> list[str]:
        """Return the names of the traits that clauses read, and that a change of these traits may change."""
        found = [name for trait in changed for name in self._traits.get(trait, ())]
        return found if len(found) < 2 else sorted(set(found))


def succession(before: ConditionsInUse | None, asked: AskedConditions, change: ConditionsChange) -> ConditionsInUse:
    """Return the conditions of a configuration, after those of the one before.

    Parameters
    ----------
    before
        The conditions of the configuration before; ``None`` if it had none.
    asked, change
        See :class:`ConditionsInUse`.
    """
    covered = {}
    known = {} if before is None else before.program.leaves
    for key, leaf in ConditionProgram(asked.segments, watched=asked.watched).leaves.items():
        if key in known:
            seen = known[key].covered_from
        elif leaf.events and change.users:
            seen = change.at
        else:
            seen = ALWAYS
        if seen > ALWAYS:
            covered[key] = seen
    generation, pending = (1, frozenset[int]()) if before is None else (before.generation + 1, before.program.pending)
    found = ConditionsInUse(asked, generation, change, covered, pending)
    found.entering, found.taking = _entering(before, found), _taking(before, found)
    if before is not None:
        found.begun |= {key: begun for key, begun in before.begun.items() if key in found.begun}
        if before.staged_from and found.staged_from:
            found.staged_from = before.staged_from
    return found


def _entering(before: ConditionsInUse | None, found: ConditionsInUse) -> dict[int, int]:
    """Return the generations at which segments were applied whose matching users enter with a signal."""
    known = {} if before is None else {rule.name: canonical(rule.when) for rule in before.asked.segments}
    entering: dict[int, int] = {}
    for rule in found.asked.segments:
        key = segment_key(rule.name)
        if rule.enters and known.get(rule.name) != canonical(rule.when):
            entering[key] = found.generation
        elif rule.enters and before is not None and key in before.entering:
            entering[key] = before.entering[key]
    return entering


def _taking(before: ConditionsInUse | None, found: ConditionsInUse) -> dict[str, Taking]:
    """Return the generations at which members of segments enter journeys that were applied."""
    known = {} if before is None else {one.journey: one.taken for one in before.asked.entries}
    taking: dict[str, Taking] = {}
    for one in found.asked.entries:
        if one.taken and known.get(one.journey) != one.taken:
            taking[one.journey] = Taking(found.generation)
        elif one.taken and before is not None and one.journey in before.taking:
            taking[one.journey] = before.taking[one.journey]
    return taking


def dependents_of(program: ConditionProgram, clauses: Iterable[int]) -> set[int]:
    """Return the indexes of the segments that depend on clauses, also by other segments."""
    waiting = [index for key in clauses for index in program.by_leaf[key]]
    found = set(waiting)
    while waiting:
        for index in program.segments[waiting.pop()].dependents:
            if index not in found:
                found.add(index)
                waiting.append(index)
    return found


def restored(asked: AskedConditions, content: bytes) -> ConditionsInUse:
    """Return the conditions whose place :meth:`ConditionsInUse.encode` has encoded."""
    stored = _decode(content)
    found = ConditionsInUse(
        asked,
        stored.generation,
        ConditionsChange(stored.since, stored.users),
        stored.covered_from,
        stored.pending,
    )
    found.is_complete = stored.is_complete
    found.waiting = stored.waiting
    found.staged_from, found.entering, found.begun = stored.staged_from, stored.entering, stored.begun
    found.taking = stored.taking
    return found
