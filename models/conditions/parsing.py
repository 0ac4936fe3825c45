"""Read conditions from the plain values of YAML. Errors give the place, what was found, and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import msgspec

from models.conditions import comparing, measuring
from models.conditions.clauses import (
    AbsentClause,
    AllOf,
    AnyOf,
    BucketClause,
    Condition,
    EventClause,
    EventWindow,
    NoneOf,
    SegmentClause,
    SegmentRule,
    SequenceClause,
    SequenceStep,
    ValueClause,
    Where,
)
from models.conditions.gaps import gap_length
from models.conditions.ordering import in_order, require_short_chains
from models.conditions.properties import LINE, MONEY
from models.conditions.schema import (
    FORMS,
    GROUPS,
    KEYS,
    MAX_DEPTH,
    MAX_NAME,
    ON_APPLY,
    Wherever,
    WrittenAbsent,
    WrittenBucket,
    WrittenConsent,
    WrittenEvent,
    WrittenFeature,
    WrittenLifecycle,
    WrittenMark,
    WrittenScore,
    WrittenSegment,
    WrittenSequence,
    WrittenTrait,
)
from models.durations import milliseconds
from models.errors import InvalidConfiguration
from models.learned_names import LEARNED_NAMES, may_be_learned
from models.reading import read_at

_LEARNED = ", ".join(LEARNED_NAMES)
_FIELDS = frozenset(field.encode_name for form in FORMS.values() for field in msgspec.structs.fields(form))


def parse_condition(value: Any, path: str, depth: int = 0, entry: Collection[str] | None = None) -> Condition:
    """Read one condition.

    Parameters
    ----------
    value
        Plain values, as YAML gives them.
    path
        Path of the value in the file, for errors.
    depth
        Number of conditions around this one.
    entry
        In a journey: the properties of the entry that a run keeps. Conditions on events may compare with them
        (``same_as: entry.order``), and may count since the entry. ``None`` outside a journey.

    Raises
    ------
    InvalidConfiguration
        It is not a condition.

    Examples
    --------
    >>> parse_condition({"trait": "plan", "in": ["free", "trial"]}, "when").comparison.among
    ('free', 'trial')
    >>> parse_condition({"all": [{"segment": 3}]}, "when")
    Traceback (most recent call last):
    ...
    models.errors.InvalidConfiguration: when.all[0].segment: found 3; allowed: a text that is not empty
    """
    if depth >= MAX_DEPTH:
        raise InvalidConfiguration(path, "conditions within conditions", f"at most {MAX_DEPTH} levels")
    if not isinstance(value, Mapping):
        raise InvalidConfiguration(path, value, f"a mapping with one of {', '.join(KEYS)}")
    found = [key for key in KEYS if key in value]
    if not found and (unknown := next((key for key in value if key not in _FIELDS), None)) is not None:
        raise InvalidConfiguration(f"{path}.{unknown}", unknown, f"one of {', '.join(KEYS)}")
    if len(found) != 1:
        raise InvalidConfiguration(path, found or list(value), f"exactly one of {', '.join(KEYS)}")
    key = found[0]
    if key in FORMS:
        _require_finite(value, path)
        return _leaf(read_at(_without_times(value), FORMS[key], path), path, entry)
    if len(value) > 1:
        other = next(name for name in value if name != key)
        raise InvalidConfiguration(f"{path}.{other}", other, f"nothing beside {key}")
    if key == "not":
        return NoneOf((parse_condition(value["not"], f"{path}.not", depth + 1, entry),))
    return _group(key, value[key], f"{path}.{key}", depth, entry)


def parse_segments(value: Any, path: str = "segments") -> tuple[SegmentRule, ...]:
    """Read a list of segments by rule, each with ``name`` and ``when``, and perhaps ``on_apply``.

    Raises
    ------
    InvalidConfiguration
        A condition is wrong, or a name is used twice or belongs to learned segments. Or segments refer to each other in
        a circle, or in a chain that is too long.
    """
    if not isinstance(value, list):
        raise InvalidConfiguration(path, value, "a list of segments")
    found: list[SegmentRule] = []
    names: set[str] = set()
    for i, one in enumerate(value):
        where = f"{path}[{i}]"
        if not isinstance(one, Mapping) or not {"name", "when"} <= set(one) <= {"name", "when", "on_apply"}:
            raise InvalidConfiguration(where, one, "a mapping with name, when, and perhaps on_apply")
        name, on_apply = one["name"], one.get("on_apply", ON_APPLY[0])
        if on_apply not in ON_APPLY:
            raise InvalidConfiguration(f"{where}.on_apply", on_apply, f"one of {', '.join(ON_APPLY)}")
        if not isinstance(name, str) or not name or len(name) > MAX_NAME:
            raise InvalidConfiguration(f"{where}.name", name, f"a text of 1 to {MAX_NAME} characters")
        if name in names:
            raise InvalidConfiguration(f"{where}.name", name, "a name that no other segment has")
        if may_be_learned(name):
            raise InvalidConfiguration(f"{where}.name", name, f"a name that no learned segment may have ({_LEARNED})")
        names.add(name)
        enters = on_apply == "enter"
        found.append(SegmentRule(name, parse_condition(one["when"], f"{where}.when"), enters))
    require_short_chains(in_order(found, path), path)
    return tuple(found)


def _group(key: str, value: Any, path: str, depth: int, entry: Collection[str] | None) -> Condition:
    if not isinstance(value, list) or not value:
        raise InvalidConfiguration(path, value, "a list of conditions with something in it")
    each = tuple(parse_condition(inner, f"{path}[{i}]", depth + 1, entry) for i, inner in enumerate(value))
    assert key in GROUPS
    return AllOf(each) if key == "all" else AnyOf(each) if key == "any" else NoneOf(each)


def _require_finite(value: Any, path: str) -> None:
    """Refuse numbers that JSON, and so the log, does not have."""
    if isinstance(value, float) and not isfinite(value):
        raise InvalidConfiguration(path, value, "a finite number")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _require_finite(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _require_finite(inner, f"{path}[{i}]")


def _without_times(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mapping with ``since`` as a text, because YAML reads some texts as times."""
    since = value.get("since")
    if not isinstance(since, datetime):
        return value
    # YAML turns a time with a zone into UTC, and it keeps a time without one as it is.
    text = since.isoformat() if since.tzinfo is None else since.astimezone(UTC).isoformat()
    return {**value, "since": text}


def _leaf(form: Any, path: str, entry: Collection[str] | None) -> Condition:
    match form:
        case WrittenEvent():
            return EventClause(
                form.event,
                measuring.measure(form, path),
                _window(form, path, entry),
                event_where(form.where, f"{path}.where", entry),
            )
        case WrittenAbsent():
            where = comparing.where(form.where, f"{path}.where")
            gaps = gap_length(form.duration)
            return AbsentClause(form.absent, 0 if gaps is not None else milliseconds(form.duration), where, gaps)
        case WrittenSequence():
            return _sequence(form, path)
        case WrittenSegment():
            return SegmentClause(form.segment, milliseconds(form.duration) if form.duration else 0)
        case WrittenBucket():
            return BucketClause(form.bucket, comparing.share(form.below))
        case WrittenLifecycle():
            found = form.lifecycle
            if isinstance(found, str | list):
                among = (found,) if isinstance(found, str) else tuple(found)
                return ValueClause("lifecycle", "", comparing.among(among))
            return ValueClause("lifecycle", "", comparing.comparison(found, f"{path}.lifecycle"))
        case WrittenTrait():
            return comparing.value_clause("trait", form.trait, form, path)
        case WrittenFeature():
            return comparing.value_clause("feature", form.feature, form, path)
        case WrittenMark():
            return comparing.value_clause("mark", form.mark, form, path)
        case WrittenScore():
            name = f"{form.score}@{form.horizon}" if form.horizon else form.score
            return comparing.value_clause("score", name, form, path)
        case WrittenConsent():
            return comparing.value_clause("consent", f"{form.consent.purpose}@{form.consent.channel}", form, path)
    raise AssertionError(form)


def event_where(written: Wherever | None, path: str, entry: Collection[str] | None = None) -> Where:
    """Read what the properties of an event must be; in a journey, they may be compared with those of the entry."""
    where = comparing.where(written, path, can_refer=entry is not None)
    for name, comparison in where:
        if comparison.same_as is None:
            continue
        place, (origin, _, other) = f"{path}.{name}.same_as", comparison.same_as.partition(".")
        if origin != "entry" or other not in (entry or ()):
            known = ", ".join(f"entry.{one}" for one in sorted(entry or ()))
            raise InvalidConfiguration(place, comparison.same_as, known or "a property that `enter.keep` names")
        if name.startswith(LINE) or name in MONEY:
            allowed = "a property of the event itself that is no amount of money, and not of its lines"
            raise InvalidConfiguration(place, comparison.same_as, allowed)
    return where


def _window(form: WrittenEvent, path: str, entry: Collection[str] | None) -> EventWindow:
    window = measuring.window(form, path)
    if window.kind == "entry" and entry is None:
        raise InvalidConfiguration(f"{path}.since", "entry", "another window: only a journey has an entry")
    return window


def _sequence(form: WrittenSequence, path: str) -> SequenceClause:
    steps: list[SequenceStep] = []
    for i, written in enumerate(form.sequence):
        where = comparing.where(written.where, f"{path}.sequence[{i}].where", can_refer=True)
        known = [step.name for step in steps if step.name]
        for name, comparison in where:
            if comparison.same_as is not None:
                place = f"{path}.sequence[{i}].where.{name}.same_as"
                _check_reference(name, comparison.same_as, known, place)
        if written.name in known:
            raise InvalidConfiguration(f"{path}.sequence[{i}].as", written.name, "a name that no other step has")
        if i == 0 and written.at_most_after:
            place = f"{path}.sequence[0].at_most_after"
            raise InvalidConfiguration(place, written.at_most_after, "nothing: there is no step before the first one")
        at_most_after = milliseconds(written.at_most_after) if written.at_most_after else 0
        steps.append(SequenceStep(written.event, where, written.name or "", at_most_after))
    without = form.without or []
    names = (without,) if isinstance(without, str) else tuple(sorted(set(without)))
    return SequenceClause(tuple(steps), milliseconds(form.within), names)


def _check_reference(name: str, same_as: str, known: list[str], place: str) -> None:
    step, _, other = same_as.partition(".")
    if step not in known:
        allowed = f"a step before this one ({', '.join(known) or 'none has a name in `as`'})"
        raise InvalidConfiguration(place, same_as, allowed)
    if name.startswith(LINE) or other.startswith(LINE):
        raise InvalidConfiguration(place, same_as, "properties of the events themselves, not of the lines of an order")
