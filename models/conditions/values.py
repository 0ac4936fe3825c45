"""Evaluate values of the user, and the fixed buckets of users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from models.conditions.clauses import BucketClause, ValueClause
from models.conditions.entries import HELD, Entry, Held
from models.conditions.leaf import LeafEvaluator, LeafReading, Person
from models.conditions.matching import predicate
from models.conditions.periods import anniversary, read_date, read_time
from models.conditions.truth import Truth
from models.conditions.writing import digest


class ValueEvaluator(LeafEvaluator):
    """The evaluation of a comparison with a value; a missing or wrongly typed value is false."""

    def __init__(self, key: int, clause: ValueClause) -> None:
        super().__init__(key, clause)
        self.subject, self.name = clause.subject, clause.name
        assert clause.comparison is not None
        self._test = predicate(clause.comparison)

    def truth(self, entry: object, at: int, person: Person) -> Truth:
        """Compare the value."""
        return self._test(person.values.value(self.subject, self.name))

    def instants(self, entry: object, at: int, person: Person) -> Iterator[int]:
        """Yield nothing, because values do not change by themselves."""
        return iter(())

    def read(self, entry: object, at: int, person: Person) -> LeafReading:
        """Return the value."""
        return LeafReading(shown(person.values.value(self.subject, self.name)))


class HeldEvaluator(ValueEvaluator):
    """The evaluation of a number with hysteresis. Its entry is there as long as the condition holds."""

    def __init__(self, key: int, clause: ValueClause) -> None:
        super().__init__(key, clause)
        assert clause.until_below is not None
        self._until_below = clause.until_below

    def decode(self, content: bytes) -> Entry:
        """Decode the entry of the clause."""
        return Held.decode(content)

    def truth(self, entry: object, at: int, person: Person) -> Truth:
        """Return whether the condition holds."""
        return entry is not None

    def weigh(self, entry: object) -> int:
        """Return 0: the mark is small, and it must not decide when the entries of events become approximate."""
        return 0

    def held(self, entry: Held | None, person: Person) -> Held | None:
        """Return the entry after a change of the value."""
        value = person.values.value(self.subject, self.name)
        if entry is not None:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return HELD if is_number and value >= self._until_below else None
        return HELD if self._test(value) else None


class TimeEvaluator(LeafEvaluator):
    """The evaluation of a time or a date among the values of a user."""

    def __init__(self, key: int, clause: ValueClause) -> None:
        super().__init__(key, clause)
        self.subject, self.name = clause.subject, clause.name
        self.reads_zone = clause.is_local or clause.anniversary is not None
        self._clause = clause

    def _spans(self, at: int, person: Person) -> tuple[int, int | None] | None:
        """Return the begin and the end of the time in which the clause is true, now or next; ``None`` if never."""
        clause, value = self._clause, person.values.value(self.subject, self.name)
        if clause.anniversary is not None:
            day = read_date(value, person.zone)
            found = None if day is None else anniversary(day, at, person.zone)
            if found is None:
                return None
            if clause.anniversary < 0:
                return found
            if at >= found[0]:  # it has come; the next one is after the day
                found = anniversary(day, found[1], person.zone) if day is not None else None
                if found is None:
                    return None
            return found[0] - clause.anniversary, found[0]
        moment = read_time(value, person.zone if clause.is_local else None)
        if moment is None:
            return None
        if clause.comes_within is not None:
            return moment - clause.comes_within, moment
        assert clause.passed_since is not None
        return moment + clause.passed_since, None

    def truth(self, entry: object, at: int, person: Person) -> Truth:
        """Return whether the instant is in the span."""
        span = self._spans(at, person)
        return span is not None and span[0] <= at and (span[1] is None or at < span[1])

    def instants(self, entry: object, at: int, person: Person) -> Iterator[int]:
        """Yield the begin and the end of the span; of an anniversary, also of the following one."""
        span = self._spans(at, person)
        found = [one for one in (span or ()) if one is not None]
        if span is not None and span[1] is not None and self._clause.anniversary is not None:
            following = self._spans(span[1], person)
            found += [one for one in (following or ()) if one is not None]
        yield from sorted({instant for instant in found if instant > at})

    def read(self, entry: object, at: int, person: Person) -> LeafReading:
        """Return the value."""
        return LeafReading(shown(person.values.value(self.subject, self.name)))


class BucketEvaluator(LeafEvaluator):
    """The evaluation of a bucket: a hash of the salt and the user, which never changes."""

    def __init__(self, key: int, clause: BucketClause) -> None:
        super().__init__(key, clause)
        self._salt = clause.salt.encode()
        self._below = clause.below

    def _share(self, person: Person) -> int:
        return digest(self._salt + b"\0" + person.name.encode())

    def truth(self, entry: object, at: int, person: Person) -> Truth:
        """Return whether the user is in the bucket."""
        return self._share(person) < self._below

    def instants(self, entry: object, at: int, person: Person) -> Iterator[int]:
        """Yield nothing."""
        return iter(())

    def read(self, entry: object, at: int, person: Person) -> LeafReading:
        """Return the user's place."""
        return LeafReading(f"{self._share(person) * 100 / 2**64:.2f}%")


def shown(value: Any) -> str:
    """Return a value for people; a long one is cut.

    Examples
    --------
    >>> shown(None), shown(3)
    ('missing', '3')
    """
    text = "missing" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
