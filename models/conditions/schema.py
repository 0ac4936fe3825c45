"""The written form of each clause, and the JSON Schema of a condition.

The key by which a clause begins says which form it has. ``all``, ``any``, ``none`` and ``not`` contain other
conditions, which :mod:`models.conditions.parsing` reads one by one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from models import durations
from models.conditions import gaps
from models.conditions.clauses import Scalar

MAX_COUNT = 1000
"""Maximum number of events or values that a clause may ask for, because the state keeps as many of them."""
MAX_NAME = 200
"""Maximum length of the name of a segment, characters."""
MAX_STEPS = 10
"""Maximum number of steps of a sequence."""
OnApply = Literal["silent", "enter"]
ON_APPLY: tuple[OnApply, ...] = ("silent", "enter")
"""How users who meet the condition of a segment become members when it is applied; the first is the default."""
MAX_DEPTH = 20
"""Maximum depth of conditions within conditions."""

Duration = Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)]
Span = Annotated[
    str,
    Meta(pattern=f"({durations.PATTERN})|({gaps.PATTERN})", description=f"{durations.ALLOWED}; or {gaps.ALLOWED}"),
]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Number: TypeAlias = int | float
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT, description=f"a whole number from 0 to {MAX_COUNT:,}")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="a currency code such as EUR")]
Share = Annotated[str, Meta(pattern=r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)%$", description='a share such as "10%"')]
Instant = Annotated[
    str,
    Meta(
        pattern=r"^(entry|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d))$",
        description="a time with its zone, such as 2026-01-01T00:00Z, or `entry` in a journey",
    ),
]


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _Comparing(_Written, frozen=True, kw_only=True, rename={"equal": "is", "among": "in", "is_set": "set"}):
    equal: Scalar | None = None
    among: Annotated[list[Scalar], Meta(min_length=1)] | None = None
    at_least: Number | None = None
    more_than: Number | None = None
    at_most: Number | None = None
    less_than: Number | None = None
    starts_with: Text | None = None
    contains: Scalar | None = None
    is_set: Literal[True] | None = None


class Operators(_Comparing, frozen=True, kw_only=True):
    """Operators on a property; all that are given must hold. A missing or wrongly typed value never holds."""

    same_as: (
        Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\.[^ ]+$", description="a step and a property: c.order")] | None
    ) = None
    currency: Currency | None = None


Condition_: TypeAlias = Any
Wherever: TypeAlias = dict[str, Scalar | list[Scalar] | Operators]


class CountBounds(_Written, frozen=True, kw_only=True):
    """Limits of a count; at least one."""

    at_least: Count | None = None
    more_than: Count | None = None
    at_most: Count | None = None
    less_than: Count | None = None
    exactly: Count | None = None


class AgeBounds(_Written, frozen=True, kw_only=True):
    """Limits of the time since an event; at least one."""

    at_least: Duration | None = None
    more_than: Duration | None = None
    at_most: Duration | None = None
    less_than: Duration | None = None


class EachBound(_Written, frozen=True, kw_only=True):
    """The number of events that each value needs."""

    at_least: Annotated[int, Meta(ge=1, le=100)]


class CalendarWindow(_Written, frozen=True, kw_only=True):
    """The present day, week (from Monday) or month in the user's time zone."""

    calendar: Literal["day", "week", "month"]


Within: TypeAlias = (
    Annotated[
        str,
        Meta(
            pattern=rf"({durations.PATTERN})|({gaps.PATTERN})|(^ever$)",
            description="a duration such as 7d or 2 gaps, or `ever`",
        ),
    ]
    | CalendarWindow
)


class WrittenEvent(_Written, frozen=True, kw_only=True):
    """A condition on the events of one name or type within a window.

    Attributes
    ----------
    event, where
        Name of a custom event, or type of another one; and what its properties must be.
    times
        How often it happened; by default, at least once.
    sum, average, largest, smallest, distinct
        A property, whose sum (and so on) has the bounds.
    each
        With ``distinct``: how often each value must occur.
    currency
        Currency of an amount of money.
    net
        With ``sum`` of money: refunds are subtracted.
    last, first
        The time since the last or the first such event.
    at_least, more_than, at_most, less_than
        Bounds of ``sum``, ``average``, ``largest``, ``smallest`` and ``distinct``.
    within, since
        The window: a duration, a period of the calendar, ``ever``, an instant, or the entry of a journey.
    """

    event: Text
    where: Wherever | None = None
    times: CountBounds | None = None
    sum: Text | None = None
    average: Text | None = None
    largest: Text | None = None
    smallest: Text | None = None
    distinct: Text | None = None
    last: AgeBounds | None = None
    first: AgeBounds | None = None
    each: EachBound | None = None
    currency: Currency | None = None
    net: Literal[True] | None = None
    at_least: Number | None = None
    more_than: Number | None = None
    at_most: Number | None = None
    less_than: Number | None = None
    within: Within | None = None
    since: Instant | None = None


class WrittenAbsent(_Written, frozen=True, kw_only=True, rename={"duration": "for"}):
    """No such event for a duration, counted from the later of the last one and the user's first event."""

    absent: Text
    duration: Span
    where: Wherever | None = None


class WrittenStep(_Written, frozen=True, kw_only=True, rename={"name": "as"}):
    """A step of a sequence."""

    event: Text
    where: Wherever | None = None
    name: (
        Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", description="lower case letters, digits, underscores")] | None
    ) = None
    at_most_after: Duration | None = None


class WrittenSequence(_Written, frozen=True, kw_only=True):
    """Events one after the other, from the first to the last within a duration; the last is at most this old.

    Attributes
    ----------
    sequence
        The steps.
    within
        The duration.
    without
        Events of which none may happen between the steps or since.
    """

    sequence: Annotated[list[WrittenStep], Meta(min_length=2, max_length=MAX_STEPS)]
    within: Duration
    without: Text | list[Text] | None = None


class _Compared(_Comparing, frozen=True, kw_only=True):
    until_below: Number | None = None
    comes_within: Duration | None = None
    passed_since: Duration | None = None
    anniversary: (
        Annotated[
            str, Meta(pattern=r"^([1-9][0-9]{0,5}(s|m|h|d|w)|day)$", description="`day`, or a duration before the day")
        ]
        | None
    ) = None
    zone: Literal["user"] | None = None


class WrittenTrait(_Compared, frozen=True, kw_only=True):
    """A condition on a trait of the user."""

    trait: Text


class WrittenFeature(_Compared, frozen=True, kw_only=True):
    """A condition on a feature, one of the numbers that models see."""

    feature: Text


class WrittenScore(_Compared, frozen=True, kw_only=True):
    """A condition on the newest score of a model."""

    score: Text
    horizon: Duration | None = None


class WrittenMark(_Compared, frozen=True, kw_only=True):
    """A condition on a mark that a journey has set."""

    mark: Text


class ConsentName(_Written, frozen=True, kw_only=True):
    """A purpose and a channel."""

    purpose: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
    channel: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]


class WrittenConsent(_Compared, frozen=True, kw_only=True):
    """A condition on consent, which is ``granted`` or ``withdrawn``, or missing."""

    consent: ConsentName


class WrittenLifecycle(_Written, frozen=True, kw_only=True):
    """A condition on the lifecycle: a state, a list of states, or operators."""

    lifecycle: Text | list[Text] | Operators


class WrittenSegment(_Written, frozen=True, kw_only=True, rename={"duration": "for"}):
    """Membership in a segment, for at least a duration if it is given."""

    segment: Text
    duration: Duration | None = None


class WrittenBucket(_Written, frozen=True, kw_only=True):
    """A fixed random share of all users."""

    bucket: Text
    below: Share


FORMS: dict[str, type[_Written]] = {
    "event": WrittenEvent,
    "absent": WrittenAbsent,
    "sequence": WrittenSequence,
    "trait": WrittenTrait,
    "feature": WrittenFeature,
    "score": WrittenScore,
    "mark": WrittenMark,
    "consent": WrittenConsent,
    "lifecycle": WrittenLifecycle,
    "segment": WrittenSegment,
    "bucket": WrittenBucket,
}
"""The form of a clause by the key that only this form has."""
GROUPS = ("all", "any", "none")
"""Keys of lists of conditions."""
KEYS = (*FORMS, *GROUPS, "not")
"""Keys of which each condition has exactly one."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a condition."""
    forms, components = msgspec.json.schema_components(list(FORMS.values()), ref_template="#/$defs/{name}")
    here = {"$ref": "#/$defs/Condition"}
    many = {"type": "array", "items": here, "minItems": 1}
    groups = [_only(group, many) for group in GROUPS] + [_only("not", here)]
    return {**here, "$defs": {**components, "Condition": {"anyOf": [*forms, *groups]}}}


def _only(key: str, inner: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: inner}, "required": [key], "additionalProperties": False}
