"""The conditions in use in a partition: the program of the segments by rule, and what its clauses have seen.

A new configuration may bring new clauses. They have seen no event before it, so each has a time from which on it has
seen all events. Users come to the new conditions at their next step. A user without a step comes to them a little later
by a timer of the partition. These times are spread over the users, so that no commit becomes too large.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

import msgspec

from models.conditions.clauses import SegmentRule, Subject
from models.conditions.evaluator import Evaluator
from models.conditions.periods import ALWAYS
from models.conditions.program import ConditionProgram

CONDITIONS_KEY = b"\x00conditions"
"""Key in ``profiles`` under which the place of the conditions in use is stored."""
USERS_PER_SECOND = 2_000
"""Number of users of a partition that come to new conditions in a second."""

_COUNTED: tuple[Subject, ...] = ("score", "feature", "lifecycle", "mark")
"""Values that only decisions change. All other values follow from the events of the user."""


class _Stored(msgspec.Struct, array_like=True):
    generation: int
    since: int
    users: int
    is_complete: bool
    covered_from: dict[int, int]
    pending: list[int]


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
    segments
        The segments by rule.
    generation
        Number of the conditions. It grows with each change of the segments, or of what their clauses have seen.
    change
        The place of that change.
    covered_from
        Time after which a clause has seen every event, by the number of the clause, milliseconds. A clause that is
        missing here has seen all events.
    pending
        Numbers of clauses whose history is being brought; until it is complete, they are unknown.
    is_complete
        Whether all users of that place have come to the conditions.

    Attributes
    ----------
    program, evaluator
        The compiled conditions, and their evaluation.
    reads_consent, reads_learned
        Whether a clause reads consent, or a segment that a model has learned.
    """

    def __init__(
        self,
        segments: tuple[SegmentRule, ...],
        generation: int,
        change: ConditionsChange,
        covered_from: dict[int, int] | None = None,
        pending: Iterable[int] = (),
        *,
        is_complete: bool = False,
    ) -> None:
        self.segments = segments
        self.generation = generation
        self.change = change
        self.covered_from = covered_from or {}
        self.is_complete = is_complete or not change.users
        self.program = ConditionProgram(segments, self.covered_from)
        self.program.pending = frozenset(pending) & self.program.leaves.keys()
        self.evaluator = Evaluator(self.program)
        names = [*self.program.by_value, *self.program.numbers]
        self.reads_consent = any(subject == "consent" for subject, _ in names)
        self.reads_learned = bool(self.program.by_learned)
        self.decided_names = tuple(sorted({name for name in names if name[0] in _COUNTED}))
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
        return _encode(_Stored(self.generation, *self.change, self.is_complete, self.covered_from, pending))

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
        return ConditionsInUse(self.segments, self.generation + 1, change, covered, rest)

    # --- users who come to the conditions ---------------------------------------------------------------------------

    def due_of(self, key: bytes) -> int:
        """Return the time at which a user comes to the conditions, unless a step of the user comes before."""
        return self.change.at + 1 + (crc32(key) * self.change.users * 1000 // USERS_PER_SECOND >> 32)

    @property
    def until(self) -> int:
        """Time by which all users have come to the conditions, milliseconds."""
        return self.change.at + 1 + self.change.users * 1000 // USERS_PER_SECOND

    # --- values -----------------------------------------------------------------------------------------------------

    def traits_read(self, changed: Iterable[str]) -> list[str]:
        """Return the names of the traits that clauses read, and that a change of these traits may change."""
        found = [name for trait in changed for name in self._traits.get(trait, ())]
        return found if len(found) < 2 else sorted(set(found))


def succession(
    before: ConditionsInUse | None, segments: tuple[SegmentRule, ...], change: ConditionsChange
) -> ConditionsInUse:
    """Return the conditions of a configuration, after those of the one before.

    Parameters
    ----------
    before
        The conditions of the configuration before; ``None`` if it had none.
    segments, change
        See :class:`ConditionsInUse`.
    """
    covered = {}
    known = {} if before is None else before.program.leaves
    for key, leaf in ConditionProgram(segments).leaves.items():
        if key in known:
            seen = known[key].covered_from
        elif leaf.events and change.users:
            seen = change.at
        else:
            seen = ALWAYS
        if seen > ALWAYS:
            covered[key] = seen
    generation, pending = (1, frozenset[int]()) if before is None else (before.generation + 1, before.program.pending)
    return ConditionsInUse(segments, generation, change, covered, pending)


def restored(segments: tuple[SegmentRule, ...], content: bytes) -> ConditionsInUse:
    """Return the conditions whose place :meth:`ConditionsInUse.encode` has encoded."""
    stored = _decode(content)
    return ConditionsInUse(
        segments,
        stored.generation,
        ConditionsChange(stored.since, stored.users),
        stored.covered_from,
        stored.pending,
        is_complete=stored.is_complete,
    )
