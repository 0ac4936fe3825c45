"""The conditions in use in a partition: the program of the segments by rule, and what its clauses have seen.

A new configuration may bring new clauses. They have seen no event before it, so each has a time from which on it has
seen all events. Users come to the new conditions at their next step. A user without a step comes to them a little later
by a timer of the partition. These times are spread over the users, so that no commit becomes too large.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    number: int
    since: int
    users: int
    is_complete: bool
    covered_from: dict[int, int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class ConditionsInUse:
    """The conditions of one configuration in one partition.

    Parameters
    ----------
    segments
        The segments by rule.
    number
        Version of the configuration that brought them.
    since
        The partition's clock at that place, milliseconds.
    users
        Number of users of the partition at that place.
    covered_from
        Time after which a clause has seen every event, by the number of the clause, milliseconds. A clause that is
        missing here has seen all events.
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
        number: int,
        since: int = 0,
        users: int = 0,
        covered_from: dict[int, int] | None = None,
        *,
        is_complete: bool = False,
    ) -> None:
        self.segments = segments
        self.number = number
        self.since = since
        self.users = users
        self.covered_from = covered_from or {}
        self.is_complete = is_complete or not users
        self.program = ConditionProgram(segments, self.covered_from)
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
        """Show the program, and the version that brought it."""
        return f"ConditionsInUse({self.program!r}, configuration@{self.number})"

    def encode(self) -> bytes:
        """Return what is stored besides the segments, which the configuration has."""
        return _encode(_Stored(self.number, self.since, self.users, self.is_complete, self.covered_from))

    # --- users who come to the conditions ---------------------------------------------------------------------------

    def due_of(self, key: bytes) -> int:
        """Return the time at which a user comes to the conditions, unless a step of the user comes before."""
        return self.since + 1 + (crc32(key) * self.users * 1000 // USERS_PER_SECOND >> 32)

    @property
    def until(self) -> int:
        """Time by which all users have come to the conditions, milliseconds."""
        return self.since + 1 + self.users * 1000 // USERS_PER_SECOND

    # --- values -----------------------------------------------------------------------------------------------------

    def traits_read(self, changed: Iterable[str]) -> list[str]:
        """Return the names of the traits that clauses read, and that a change of these traits may change."""
        found = [name for trait in changed for name in self._traits.get(trait, ())]
        return found if len(found) < 2 else sorted(set(found))


def succession(
    before: ConditionsInUse | None, segments: tuple[SegmentRule, ...], number: int, since: int, users: int
) -> ConditionsInUse:
    """Return the conditions of a configuration, after those of the one before.

    Parameters
    ----------
    before
        The conditions of the configuration before; ``None`` if it had none.
    segments, number, since, users
        See :class:`ConditionsInUse`.
    """
    covered = {}
    known = {} if before is None else before.program.leaves
    for key, leaf in ConditionProgram(segments).leaves.items():
        if key in known:
            seen = known[key].covered_from
        elif leaf.events and users:
            seen = since
        else:
            seen = ALWAYS
        if seen > ALWAYS:
            covered[key] = seen
    return ConditionsInUse(segments, number, since, users, covered)


def restored(segments: tuple[SegmentRule, ...], content: bytes) -> ConditionsInUse:
    """Return the conditions whose place :meth:`ConditionsInUse.encode` has encoded."""
    stored = _decode(content)
    return ConditionsInUse(
        segments,
        stored.number,
        stored.since,
        stored.users,
        stored.covered_from,
        is_complete=stored.is_complete,
    )
