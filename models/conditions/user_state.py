"""The conditions of one user: what is stored, and the same while it is worked on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from models.conditions.entries import Entry
from models.conditions.leaf import LeafEvaluator
from models.conditions.periods import NEVER


class ClauseState(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """The memory of all clauses of a user. It follows from the events alone.

    Attributes
    ----------
    known_since
        Time of the first accepted event, milliseconds; 0 before any.
    entries
        Bytes by the number of the clause. A clause that has seen nothing of the user has none.
    dues
        The next instant at which a clause with an entry may change without an event, milliseconds, by its number.
    weight
        Sum of the greatest sizes that the entries can have, bytes.
    """

    known_since: int = 0
    entries: dict[int, bytes] = {}
    dues: dict[int, int] = {}
    weight: int = 0


class Memberships(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """The segments by rule in which a user is.

    Attributes
    ----------
    since
        Time at which the user entered, milliseconds, by the number of the segment.
    """

    since: dict[int, int] = {}


_MISSING: Any = object()


class UserConditions:
    """The conditions of one user while they are worked on. Entries are decoded when they are first needed.

    Parameters
    ----------
    state, memberships
        What is stored; it is changed in place.
    """

    __slots__ = ("_changed", "_live", "_weights", "memberships", "state")

    def __init__(self, state: ClauseState | None = None, memberships: Memberships | None = None) -> None:
        self.state = ClauseState() if state is None else state
        self.memberships = Memberships() if memberships is None else memberships
        self._live: dict[int, Entry | None] = {}
        self._changed: set[int] = set()
        self._weights: dict[int, int] = {}

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"UserConditions({len(self.state.entries)} entries, {len(self.memberships.since)} memberships)"

    def entry(self, leaf: LeafEvaluator) -> Entry | None:
        """Return the entry of a clause."""
        found: Entry | None = self._live.get(leaf.key, _MISSING)
        if found is _MISSING:
            content = self.state.entries.get(leaf.key)
            found = self._live[leaf.key] = None if content is None else leaf.decode(content)
            self._weights[leaf.key] = 0 if found is None else leaf.weigh(found)
        return found

    def has_entry(self, key: int) -> bool:
        """Return whether a clause has an entry."""
        found = self._live.get(key, _MISSING)
        return key in self.state.entries if found is _MISSING else found is not None

    def put(self, leaf: LeafEvaluator, entry: Entry | None, due: int) -> None:
        """Set or remove the entry of a clause, which :meth:`entry` has returned, and when it may change next."""
        key, weight = leaf.key, 0 if entry is None else leaf.weigh(entry)
        self.state.weight += weight - self._weights.get(key, 0)
        self._weights[key] = weight
        self._live[key] = entry
        self._changed.add(key)
        if due != NEVER:
            self.state.dues[key] = due
        else:
            self.state.dues.pop(key, None)

    def drop(self, keys: set[int]) -> None:
        """Forget clauses that are no longer in use; :meth:`weigh` has to follow."""
        for key in keys:
            self._live.pop(key, None)
            self._weights.pop(key, None)
            self._changed.discard(key)
            self.state.entries.pop(key, None)
            self.state.dues.pop(key, None)

    def numbers(self) -> set[int]:
        """Return the numbers of all clauses that have an entry or a due time."""
        return {*self.state.entries, *self.state.dues, *self._live}

    def weigh(self, leaves: Iterable[LeafEvaluator]) -> None:
        """Compute the weight of all entries, after clauses were dropped."""
        for leaf in leaves:
            if leaf.key in self.state.entries:
                self.entry(leaf)
        self.state.weight = sum(self._weights.values())

    def settle(self) -> None:
        """Encode the entries that have changed. The same entries give the same bytes."""
        if not self._changed and not self._live:
            return
        entries = self.state.entries
        for key in self._changed:
            entry = self._live[key]
            if entry is None:
                entries.pop(key, None)
            else:
                entries[key] = entry.encode()
        if self._changed:
            self.state.entries = dict(sorted(entries.items()))
            self.state.dues = dict(sorted(self.state.dues.items()))
        self._changed.clear()
