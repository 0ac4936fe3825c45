"""Write conditions: the plain form for a file, and the canonical form whose hash identifies a clause."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec

from models import durations
from models.conditions.amounts import Bounds, written_micros
from models.conditions.clauses import (
    AbsentClause,
    AllOf,
    AnyOf,
    BucketClause,
    Condition,
    EventClause,
    EventWindow,
    Measure,
    NoneOf,
    SegmentClause,
    SequenceClause,
    ValueClause,
    ValueComparison,
    Where,
)
from models.conditions.gaps import written_gaps
from models.units import MINUTE, SECOND

Plain = dict[str, Any]

_BOUNDS = ("at_least", "more_than", "at_most", "less_than")
_encoder = msgspec.json.Encoder(order="sorted")


def canonical(condition: Condition) -> bytes:
    """Return the canonical form: equal bytes for conditions that mean the same by their structure.

    The order of ``all``, ``any`` and ``none`` does not matter, and neither do repeated conditions in them.
    """
    return _encoder.encode(_sorted(plain(condition)))


def hash_of(condition: Condition) -> int:
    """Return the number that identifies a clause: 8 bytes of BLAKE2b of the canonical form.

    Examples
    --------
    >>> hash_of(SegmentClause("staff")) == hash_of(AllOf((SegmentClause("staff"), SegmentClause("staff"))))
    True
    """
    return digest(canonical(condition))


def digest(content: bytes) -> int:
    """Return 8 bytes of BLAKE2b as a number."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def plain(condition: Condition) -> Plain:
    """Return the written form of a condition, in the sequence of its author.

    Examples
    --------
    >>> plain(NoneOf((SegmentClause("loyal", 14 * 86_400_000),)))
    {'not': {'segment': 'loyal', 'for': '14d'}}
    """
    match condition:
        case AllOf(of):
            return _group("all", of)
        case AnyOf(of):
            return _group("any", of)
        case NoneOf(of):
            written = _each(of)
            if len(written) > 1:
                return {"none": written}
            return {"none": written[0]["any"]} if list(written[0]) == ["any"] else {"not": written[0]}
        case EventClause():
            return {
                "event": condition.event,
                **_where(condition.where),
                **_measure(condition.measure),
                **({} if condition.measure.kind in ("last", "first") else _window(condition.window)),
            }
        case AbsentClause(event, duration, where):
            length = written_duration(duration) if condition.gaps is None else written_gaps(condition.gaps)
            return {"absent": event, **_where(where), "for": length}
        case SequenceClause():
            return _sequence(condition)
        case ValueClause():
            return _value(condition)
        case SegmentClause(name, duration):
            return {"segment": name, **({"for": written_duration(duration)} if duration else {})}
        case BucketClause(salt, below):
            return {"bucket": salt, "below": written_share(below)}


def written_duration(duration: int) -> str:
    """Return a duration as it is written; ``0s`` for none."""
    return durations.written(duration) if duration >= SECOND else "0s"


def written_time(at: int) -> str:
    """Return an instant in UTC.

    Examples
    --------
    >>> written_time(1_767_225_600_000), written_time(1_767_225_600_001)
    ('2026-01-01T00:00Z', '2026-01-01T00:00:00.001Z')
    """
    precision = "milliseconds" if at % SECOND else "seconds" if at % MINUTE else "minutes"
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def written_share(below: int) -> str:
    """Return a share of 2^64 as a percentage.

    Examples
    --------
    >>> written_share(2**64 // 10)
    '10%'
    """
    hundredths_of_percent = round(below * 10**6 / 2**64) / 10**4
    return f"{hundredths_of_percent:g}%"


def _each(of: tuple[Condition, ...]) -> list[Plain]:
    return [plain(condition) for condition in of]


def _group(name: str, of: tuple[Condition, ...]) -> Plain:
    return plain(of[0]) if len(of) == 1 else {name: _each(of)}


def _where(where: Where) -> Plain:
    return {"where": {name: _comparison(comparison) for name, comparison in where}} if where else {}


def _comparison(comparison: ValueComparison) -> Any:
    if comparison.is_plain:
        return comparison.among[0] if len(comparison.among) == 1 else list(comparison.among)
    return _operators(comparison)


def _operators(comparison: ValueComparison) -> Plain:
    among = comparison.among
    found: Plain = {"is": among[0]} if len(among) == 1 else {"in": list(among)} if among else {}
    names = (*_BOUNDS, "starts_with", "contains", "same_as", "currency")
    found |= {name: value for name in names if (value := getattr(comparison, name)) is not None}
    return found | ({"set": True} if comparison.is_set else {})


def _measure(measure: Measure) -> Plain:
    kind, bounds = measure.kind, measure.bounds
    if kind == "times":
        if bounds.at_least is not None and bounds.at_least == bounds.at_most:
            return {"times": {"exactly": bounds.at_least}}
        return {"times": _bounds(bounds, int)}
    if kind in ("last", "first"):
        return {kind: _bounds(bounds, written_duration)}
    found: Plain = {kind: measure.of}
    if measure.currency is not None:
        found["currency"] = measure.currency
    if measure.is_net:
        found["net"] = True
    if measure.each > 1:
        found["each"] = {"at_least": measure.each}
    return found | _bounds(bounds, int if kind == "distinct" else written_micros)


def _bounds(bounds: Bounds, written: Any) -> Plain:
    return {name: written(value) for name in _BOUNDS if (value := getattr(bounds, name)) is not None}


def _window(window: EventWindow) -> Plain:
    match window.kind:
        case "rolling":
            return {"within": written_duration(window.length) if window.gaps is None else written_gaps(window.gaps)}
        case "calendar":
            return {"within": {"calendar": window.unit}}
        case "since":
            return {"since": written_time(window.since)}
        case "entry":
            return {"since": "entry"}
        case "ever":
            return {"within": "ever"}


def _sequence(sequence: SequenceClause) -> Plain:
    steps = []
    for step in sequence.steps:
        written: Plain = {"event": step.event, **_where(step.where)}
        if step.name:
            written["as"] = step.name
        if step.at_most_after:
            written["at_most_after"] = written_duration(step.at_most_after)
        steps.append(written)
    without = sequence.without
    found: Plain = {"sequence": steps}
    if without:
        found["without"] = without[0] if len(without) == 1 else list(without)
    return found | {"within": written_duration(sequence.within)}


def _value(clause: ValueClause) -> Plain:
    found: Plain = {}
    match clause.subject:
        case "score":
            name, _, horizon = clause.name.partition("@")
            found = {"score": name, **({"horizon": horizon} if horizon else {})}
        case "consent":
            purpose, _, channel = clause.name.partition("@")
            found = {"consent": {"purpose": purpose, "channel": channel}}
        case "lifecycle":
            found = _operators(clause.comparison or ValueComparison())
            only = next(iter(found)) if len(found) == 1 else ""
            return {"lifecycle": found[only] if only in ("is", "in") else found}
        case _:
            found = {clause.subject: clause.name}
    if clause.comparison is not None:
        found |= _operators(clause.comparison)
    if clause.until_below is not None:
        found["until_below"] = clause.until_below
    if clause.comes_within is not None:
        found["comes_within"] = written_duration(clause.comes_within)
    if clause.passed_since is not None:
        found["passed_since"] = written_duration(clause.passed_since)
    if clause.anniversary is not None:
        found["anniversary"] = "day" if clause.anniversary < 0 else written_duration(clause.anniversary)
    return found | ({"zone": "user"} if clause.is_local else {})


def _sorted(value: Any, name: str = "") -> Any:
    """Return a plain form in which what has no order is sorted, and repetitions are removed."""
    if isinstance(value, dict):
        if name == "where":  # the keys are names of properties
            return {key: _sorted(inner) for key, inner in value.items()}
        found = {key: _sorted(inner, key) for key, inner in value.items()}
        for group in ("all", "any"):
            if list(found) == [group]:
                flat = [one for inner in found[group] for one in (inner[group] if list(inner) == [group] else [inner])]
                flat = _sorted(flat, group)
                return flat[0] if len(flat) == 1 else {group: flat}
        if list(found) == ["none"]:
            none = found["none"]
            flat = _sorted(
                [one for inner in none for one in (inner["any"] if list(inner) == ["any"] else [inner])], "none"
            )
            return {"not": flat[0]} if len(flat) == 1 else {"none": flat}
        if list(found) == ["not"] and list(found["not"]) == ["any"]:
            return {"none": found["not"]["any"]}
        return found
    if isinstance(value, list):
        each = [_sorted(inner) for inner in value]
        if name != "sequence":
            unique = {_encoder.encode(inner): inner for inner in each}
            return [unique[content] for content in sorted(unique)]
        return each
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
