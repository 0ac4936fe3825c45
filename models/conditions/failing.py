"""Find the smallest set of clauses that would have to change so that a condition holds.

Groups share clauses, so the best choice in one group depends on the others. The search is exact: it tries to do with 1
clause, then with 2, and so on. A choice that needs more is not followed. For a condition so large that the search takes
too many steps, each group makes the best choice for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from models.conditions.clauses import AllOf, AnyOf, Condition, Leaf, NoneOf
from models.conditions.costs import leaves_of
from models.conditions.truth import Truth, all_of, any_of, negated
from models.conditions.writing import canonical

MAX_TRIES = 20_000
"""Maximum number of choices that are tried."""

TruthOf: TypeAlias = Callable[[Leaf], Truth]
"""Function that returns the truth of a clause."""


class ClauseChange(NamedTuple):
    """A clause that would have to become true or false."""

    clause: Leaf
    wanted: bool


class _Part(NamedTuple):
    """A part of a condition, and what it has to become."""

    condition: Condition
    wanted: bool


class _TooManyTries(Exception):
    """The signal that the search has ended without an answer."""


def smallest_change(condition: Condition, truth_of: TruthOf) -> list[ClauseChange]:
    """Return the smallest set of clauses that have to change so that a condition becomes true.

    The set is empty if the condition is true, and if no change makes it true because it contradicts itself.

    Parameters
    ----------
    condition
        The condition.
    truth_of
        Function that returns the present truth of a clause. A clause that is unknown may have to become known.

    Examples
    --------
    >>> from models.conditions.parsing import parse_condition
    >>> one, two, three = ({"segment": name} for name in "abc")
    >>> both = parse_condition({"all": [{"any": [one, two]}, {"any": [two, three]}]}, "when")
    >>> [change.clause.name for change in smallest_change(both, lambda clause: False)]
    ['b']
    """
    search = _Search(truth_of)
    root = _Part(condition, wanted=True)
    known = search.by_group(root)
    makes_true = search.truth_after(condition, known) is True
    try:
        for number in range(search.least(root), len(known) if makes_true else search.clauses(condition) + 1):
            found = search.find((root,), {}, number)
            if found is not None:
                return found
    except _TooManyTries:
        pass
    return known if makes_true else []


class _Search:
    def __init__(self, truth_of: TruthOf) -> None:
        self._truth_of = truth_of
        self._tries = 0
        self._least: dict[tuple[int, bool], int] = {}
        self._names: dict[int, bytes] = {}

    def least(self, part: _Part) -> int:
        """Return a number of clauses that certainly have to change: parts may share all of theirs."""
        key = (id(part.condition), part.wanted)
        if key not in self._least:
            parts = _parts(part)
            if parts is None:
                self._least[key] = int(self._truth(part.condition) is not part.wanted)
            else:
                numbers = [self.least(one) for one in parts.of]
                self._least[key] = max(numbers, default=0) if parts.needs_all else min(numbers, default=1)
        return self._least[key]

    def by_group(self, part: _Part) -> list[ClauseChange]:
        """Return the changes if each group makes the best choice for itself."""
        parts = _parts(part)
        if parts is None:
            is_met = self._truth(part.condition) is part.wanted
            return [] if is_met else [ClauseChange(_leaf(part.condition), part.wanted)]
        options = [self.by_group(one) for one in parts.of]
        if not parts.needs_all:
            return min(options, key=len, default=[])
        return list({self._name(one.clause): one for option in options for one in option}.values())

    def clauses(self, condition: Condition) -> int:
        """Return the number of different clauses of a condition."""
        return len({self._name(leaf) for leaf in leaves_of(condition)})

    def truth_after(self, condition: Condition, changes: list[ClauseChange]) -> Truth:
        """Return the truth of a condition after clauses have changed."""
        wanted = {self._name(one.clause): one.wanted for one in changes}

        def truth(inner: Condition) -> Truth:
            match inner:
                case AllOf(of):
                    return all_of(map(truth, of))
                case AnyOf(of):
                    return any_of(map(truth, of))
                case NoneOf(of):
                    return negated(any_of(map(truth, of)))
            name = self._name(inner)
            return wanted[name] if name in wanted else self._truth(inner)

        return truth(condition)

    def find(
        self, parts: tuple[_Part, ...], decided: dict[bytes, ClauseChange | None], number: int
    ) -> list[ClauseChange] | None:
        """Return changes of at most a number of clauses by which all parts become what is wanted.

        Parameters
        ----------
        parts
            What has to become true or false.
        decided
            The clauses that other parts need already; ``None`` for one that stays as it is.
        number
            Number of clauses that may still change.
        """
        self._tries += 1
        if self._tries > MAX_TRIES:
            raise _TooManyTries
        if not parts:
            return [change for change in decided.values() if change is not None]
        part, rest = parts[0], parts[1:]
        inner = _parts(part)
        if inner is None:
            return self._with_clause(part, rest, decided, number)
        if inner.needs_all:
            return self.find((*inner.of, *rest), decided, number)
        for one in sorted(inner.of, key=self.least):
            found = self.find((one, *rest), decided, number)
            if found is not None:
                return found
        return None

    def _with_clause(
        self, part: _Part, rest: tuple[_Part, ...], decided: dict[bytes, ClauseChange | None], number: int
    ) -> list[ClauseChange] | None:
        clause, name = _leaf(part.condition), self._name(part.condition)
        truth, is_decided = self._truth(clause), name in decided
        known = decided.get(name)
        present = truth if known is None else known.wanted
        if present is part.wanted:
            return self.find(rest, decided if is_decided else {**decided, name: None}, number)
        if is_decided or not number:
            return None
        return self.find(rest, {**decided, name: ClauseChange(clause, part.wanted)}, number - 1)

    def _truth(self, condition: Condition) -> Truth:
        return self._truth_of(_leaf(condition))

    def _name(self, condition: Condition) -> bytes:
        key = id(condition)
        if key not in self._names:
            self._names[key] = canonical(condition)
        return self._names[key]


class _Parts(NamedTuple):
    of: list[_Part]
    needs_all: bool


def _parts(part: _Part) -> _Parts | None:
    """Return the parts of a group, and whether all of them are needed; ``None`` for a clause."""
    match part.condition:
        case AllOf(of):
            return _Parts([_Part(one, part.wanted) for one in of], part.wanted)
        case AnyOf(of):
            return _Parts([_Part(one, part.wanted) for one in of], not part.wanted)
        case NoneOf(of):
            return _Parts([_Part(one, not part.wanted) for one in of], part.wanted)
    return None


def _leaf(condition: Condition) -> Leaf:
    assert not isinstance(condition, AllOf | AnyOf | NoneOf)
    return condition
