"""The compiled form of conditions: a tree of typed clauses, which travels in the log.

Durations are milliseconds, amounts are integers of 10^-6, and a share is an integer of 2^-64.
:mod:`models.conditions.parsing` makes the tree from the written form, and :mod:`models.conditions.writing` writes it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from models.conditions.amounts import Bounds

Scalar: TypeAlias = str | int | float | bool
Unit: TypeAlias = Literal["day", "week", "month"]
WindowKind: TypeAlias = Literal["rolling", "calendar", "since", "entry", "ever"]
MeasureKind: TypeAlias = Literal["times", "sum", "average", "largest", "smallest", "distinct", "last", "first"]
Subject: TypeAlias = Literal["trait", "feature", "score", "lifecycle", "consent", "mark"]
GapKind: TypeAlias = Literal["median", "p75", "p90"]
SUBJECTS: tuple[Subject, ...] = ("trait", "feature", "score", "lifecycle", "consent", "mark")


class _Clause(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is"):
    pass


class ValueComparison(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A comparison of a value: every operator that is given must hold. A missing or wrongly typed value never holds.

    Attributes
    ----------
    among
        Allowed values: ``is`` has one, ``in`` has several.
    at_least, more_than, at_most, less_than
        Bounds of a number.
    starts_with
        Beginning of a text.
    contains
        Part of a text, or an element of a list.
    is_set
        Whether it is enough that there is a value.
    same_as
        For sequences and journeys: the value that must be equal, such as ``c.checkout_id``.
    currency
        Currency of an amount of money.
    """

    among: tuple[Scalar, ...] = ()
    at_least: int | float | None = None
    more_than: int | float | None = None
    at_most: int | float | None = None
    less_than: int | float | None = None
    starts_with: str | None = None
    contains: Scalar | None = None
    is_set: bool = False
    same_as: str | None = None
    currency: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether only allowed values are given."""
        return self == ValueComparison(among=self.among)


Where: TypeAlias = tuple[tuple[str, ValueComparison], ...]
"""Comparisons of the properties of an event, sorted by their names."""


class GapLength(msgspec.Struct, frozen=True, omit_defaults=True):
    """A duration in gaps between purchases, see :mod:`models.conditions.gaps`.

    Attributes
    ----------
    tenths
        Number of tenths of a gap.
    of
        The gap that is meant: the population's ``median``, or its quantile ``p75`` or ``p90``.
    """

    tenths: int
    of: GapKind = "median"


class EventWindow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The time in which events count.

    Attributes
    ----------
    kind
        ``rolling``, ``calendar``, ``since`` (an instant), ``entry`` (of a journey) or ``ever``.
    length
        For ``rolling``: milliseconds.
    unit
        For ``calendar``: ``day``, ``week`` (from Monday) or ``month``.
    since
        For ``since``: milliseconds since the epoch.
    gaps
        For ``rolling``: the length in gaps between purchases, if it was written so. Then ``length`` is 0 until the
        program resolves it.
    """

    kind: WindowKind
    length: int = 0
    unit: Unit | None = None
    since: int = 0
    gaps: GapLength | None = None


class Measure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A measure over the events that count.

    Attributes
    ----------
    kind
        ``times``, ``sum``, ``average``, ``largest``, ``smallest``, ``distinct``, ``last`` or ``first``.
    bounds
        Bounds of the result: a count, an amount in micros, or an age in milliseconds.
    of
        Name of the property that is measured.
    currency
        Currency of an amount of money; other currencies do not count.
    is_net
        Whether refunds are subtracted.
    each
        For ``distinct``: minimum number of events of each value.
    """

    kind: MeasureKind
    bounds: Bounds
    of: str = ""
    currency: str | None = None
    is_net: bool = False
    each: int = 1


class EventClause(_Clause, frozen=True, tag="event"):
    """A condition on the events of one name or type."""

    event: str
    measure: Measure
    window: EventWindow
    where: Where = ()


class AbsentClause(_Clause, frozen=True, tag="absent"):
    """The absence of an event for a duration, since the later of the last one and the user's first event.

    Attributes
    ----------
    event, where
        The events.
    duration
        Milliseconds.
    gaps
        The duration in gaps between purchases, if it was written so. Then ``duration`` is 0 until the program resolves
        it.
    """

    event: str
    duration: int
    where: Where = ()
    gaps: GapLength | None = None


class SequenceStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a sequence.

    Attributes
    ----------
    event, where
        The events that fit.
    name
        Name by which later steps refer to this one; empty without one.
    at_most_after
        Maximum time after the step before, milliseconds; 0 without a limit.
    """

    event: str
    where: Where = ()
    name: str = ""
    at_most_after: int = 0


class SequenceClause(_Clause, frozen=True, tag="sequence"):
    """Events one after the other.

    Attributes
    ----------
    steps
        The steps, at least two.
    within
        Maximum time from the first to the last step, and maximum age of the last step; milliseconds.
    without
        Names of events of which none may follow the first step.
    """

    steps: tuple[SequenceStep, ...]
    within: int
    without: tuple[str, ...] = ()


class ValueClause(_Clause, frozen=True, tag="value"):
    """A condition on a value of the user.

    Attributes
    ----------
    subject, name
        The value: a trait by its name, and so on. A score with a horizon is ``churn@30d``, consent is
        ``marketing@email``, and the lifecycle has no name.
    comparison
        What the value must be.
    until_below
        For numbers with ``at_least``: once the condition holds, it holds until the value is below this.
    comes_within, passed_since
        For times: it comes within this duration, or has passed for at least this duration; milliseconds.
    anniversary
        For dates: -1 for the day of the anniversary itself, otherwise the duration within which it comes.
    is_local
        Whether a time without a zone is read in the user's zone.
    """

    subject: Subject
    name: str = ""
    comparison: ValueComparison | None = None
    until_below: int | float | None = None
    comes_within: int | None = None
    passed_since: int | None = None
    anniversary: int | None = None
    is_local: bool = False

    @property
    def is_timed(self) -> bool:
        """Whether the value is a time, so that the clause can change without an event."""
        return self.comes_within is not None or self.passed_since is not None or self.anniversary is not None


class SegmentClause(_Clause, frozen=True, tag="segment"):
    """Membership in a segment, for at least a duration (milliseconds; 0 is enough at once)."""

    name: str
    duration: int = 0


class BucketClause(_Clause, frozen=True, tag="bucket"):
    """A fixed random share of all users.

    Attributes
    ----------
    salt
        Name of the bucket. Users are distributed independently by different salts.
    below
        Share of the users, in 2^-64.
    """

    salt: str
    below: int


class AllOf(_Clause, frozen=True, tag="all"):
    """All of the conditions."""

    of: tuple[Condition, ...]


class AnyOf(_Clause, frozen=True, tag="any"):
    """At least one of the conditions."""

    of: tuple[Condition, ...]


class NoneOf(_Clause, frozen=True, tag="none"):
    """Not one of the conditions; ``not`` has one."""

    of: tuple[Condition, ...]


Leaf: TypeAlias = EventClause | AbsentClause | SequenceClause | ValueClause | SegmentClause | BucketClause
"""A clause without other conditions in it."""
Condition: TypeAlias = (
    EventClause | AbsentClause | SequenceClause | ValueClause | SegmentClause | BucketClause | AllOf | AnyOf | NoneOf
)


class SegmentRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A segment by rule.

    Attributes
    ----------
    name
        Its name.
    when
        The condition that its members meet.
    enters
        Whether users who meet the condition when it is applied enter with a signal. Otherwise they become members
        silently.
    """

    name: str
    when: Condition
    enters: bool = False
