"""Random conditions, as people write them, and random streams of events that touch their edges.

All durations and times are multiples of half an hour, so that many instants coincide.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from models.events import Event, OrderLine
from models.lifecycle.defaults import DEFAULTS, DefaultName
from models.lifecycle.definition import STAGES

HALF_HOUR_MS = 1_800_000
DURATIONS = ("30m", "1h", "2h", "6h", "1d", "2d", "3d")
ZONES = ("UTC", "Europe/Berlin", "America/Santiago", "Africa/Cairo", "Pacific/Kiritimati", "America/Havana")
STARTS = (
    datetime(2026, 3, 28, 22, tzinfo=UTC),  # Berlin
    datetime(2026, 4, 4, 12, tzinfo=UTC),  # Santiago goes back over midnight
    datetime(2026, 4, 23, 12, tzinfo=UTC),  # Cairo has no midnight
    datetime(2026, 9, 5, 12, tzinfo=UTC),  # Santiago has no midnight
    datetime(2026, 10, 31, 12, tzinfo=UTC),  # Havana
    datetime(2026, 12, 30, 12, tzinfo=UTC),
)
NAMES = ("Alpha", "Beta", "product_view", "purchase")
ASKED = (*NAMES, "custom")
"""Names in conditions; ``custom`` means every custom event."""


class StreamArrival(NamedTuple):
    """A record of the log: an event, or the newest value of a score.

    Attributes
    ----------
    now
        The clock.
    event, score
        One of them; a score is its name and value.
    features
        The user's features as of the newest scored step, by name, if conditions read any.
    """

    now: int
    event: Event | None = None
    score: tuple[str, float | None] | None = None
    features: Mapping[str, float] = {}


def random_segments(rng: random.Random, number: int) -> list[dict[str, Any]]:
    """Return segments; each may refer to those before it."""
    found: list[dict[str, Any]] = []
    for i in range(number):
        names = [one["name"] for one in found]
        found.append({"name": f"segment {i}", "when": _condition(rng, names, 0)})
    rng.shuffle(found)
    return found


def random_lifecycle(rng: random.Random) -> dict[str, Any]:
    """Return a section ``lifecycle``: moves in addition to default ones, or between stages of its own."""
    defaults: DefaultName = rng.choice(("purchases", "usage", "none"))
    stages = ["in", "out", "no"] if defaults == "none" and rng.random() < 0.5 else list(STAGES)
    pairs = [(origin, target) for origin in stages for target in stages if origin != target]
    rng.shuffle(pairs)
    known = {(origin, move.target) for move in DEFAULTS[defaults] for origin in move.origins}
    moves: list[dict[str, Any]] = []
    for target in stages:
        origins = [origin for origin, other in pairs if other == target][: rng.randint(0 if moves else 1, 3)]
        if not origins:
            continue
        is_default = all((origin, target) in known for origin in origins)
        when = "never" if is_default and rng.random() < 0.4 else _condition(rng, [], 0)
        one = len(origins) == 1 and rng.random() < 0.5
        moves.append({"from": origins[0] if one else origins, "to": target, "when": when})
    found: dict[str, Any] = {"moves": moves}
    if defaults != "purchases" or rng.random() < 0.5:
        found["defaults"] = defaults
    return found | ({"stages": stages} if len(stages) < len(STAGES) else {})


def _condition(rng: random.Random, names: list[str], depth: int) -> dict[str, Any]:
    if depth < 3 and rng.random() < 0.4:
        group = rng.choice(("all", "any", "none", "not"))
        if group == "not":
            return {"not": _condition(rng, names, depth + 1)}
        return {group: [_condition(rng, names, depth + 1) for _ in range(rng.randint(1, 3))]}
    kinds = [_event, _event, _event, _event, _absent, _absent, _sequence, _sequence, _trait, _time, _score, _bucket]
    if names and rng.random() < 0.25:
        clause: dict[str, Any] = {"segment": rng.choice(names)}
        return clause | ({"for": rng.choice(DURATIONS)} if rng.random() < 0.6 else {})
    return rng.choice(kinds)(rng)


def _where(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.6:
        return {}
    options: list[dict[str, Any]] = [
        {"category": rng.choice(("lamps", "desks"))},
        {"size": rng.choice((1, 2, True, "1", [1, 2], [True, "2"]))},
        {"size": {rng.choice(("at_least", "more_than", "at_most", "less_than")): rng.randint(0, 3)}},
        {"amount": {"at_least": rng.randint(0, 30), "currency": "EUR"}},
        {"tags": {"contains": rng.choice(("x", 1))}},
        {"text": {"starts_with": "a"}},
        {"size": {"set": True}},
    ]
    return {"where": rng.choice(options)}


def _window(rng: random.Random) -> dict[str, Any]:
    kind = rng.random()
    if kind < 0.6:
        return {"within": rng.choice(DURATIONS)}
    if kind < 0.85:
        return {"within": {"calendar": rng.choice(("day", "week", "month"))}}
    if kind < 0.95:
        return {"within": "ever"}
    return {"since": (rng.choice(STARTS) + timedelta(hours=rng.randint(0, 48))).isoformat()}


def _bounds(rng: random.Random, low: int, high: int) -> dict[str, Any]:
    kind, bound = rng.randrange(5), rng.randint(low, high)
    if kind == 4:
        return {"at_least": bound, "at_most": bound + rng.randint(0, 2)}
    return {("at_least", "more_than", "at_most", "less_than")[kind]: bound + (low == 0 and kind == 3)}


def _event(rng: random.Random) -> dict[str, Any]:
    name = rng.choice(ASKED)
    clause: dict[str, Any] = {"event": name, **_where(rng)}
    kind = rng.choice(
        ("times", "times", "exactly", "sum", "sum", "average", "largest", "smallest", "distinct", "each", "age")
    )
    if kind == "age":
        age = {rng.choice(("at_least", "more_than", "at_most", "less_than")): rng.choice(DURATIONS)}
        return clause | {rng.choice(("last", "first")): age}
    clause |= _window(rng)
    if kind == "times":
        return clause | {"times": _bounds(rng, 0, 4)} if rng.random() < 0.8 else clause
    if kind == "exactly":
        return clause | {"times": {"exactly": rng.randint(0, 3)}}
    if kind == "distinct":
        return clause | {"distinct": rng.choice(("category", "size")), **_bounds(rng, 0, 3)}
    if kind == "each":
        return clause | {"event": "purchase", "distinct": "line.item", "each": {"at_least": 2}, **_bounds(rng, 1, 2)}
    if rng.random() < 0.5:
        return clause | {kind: "size", **_bounds(rng, 0, 5)}
    if name == "purchase" and kind == "sum" and rng.random() < 0.5:
        return clause | {"sum": "amount", "currency": "EUR", "net": True, **_bounds(rng, -10, 60)}
    if name == "purchase" and kind == "sum":
        lines = {"where": {"line.item": rng.choice(("i1", ["i1", "i2"]))}} if rng.random() < 0.5 else {}
        return clause | lines | {"sum": "line.amount", "currency": "EUR", **_bounds(rng, 0, 60)}
    return clause | {kind: "amount", "currency": "EUR", **_bounds(rng, 0, 60)}


def _absent(rng: random.Random) -> dict[str, Any]:
    return {"absent": rng.choice(ASKED), **_where(rng), "for": rng.choice(DURATIONS)}


def _sequence(rng: random.Random) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for i in range(rng.randint(2, 3)):
        step: dict[str, Any] = {"event": rng.choice(ASKED), "as": f"s{i}", **_where(rng)}
        if i and rng.random() < 0.4:
            step["where"] = {"key": {"same_as": f"s{rng.randrange(i)}.key"}}
        if i and rng.random() < 0.3:
            step["at_most_after"] = rng.choice(DURATIONS[:4])
        steps.append(step)
    clause: dict[str, Any] = {"sequence": steps, "within": rng.choice(DURATIONS)}
    if rng.random() < 0.5:
        clause["without"] = rng.choice((*NAMES, "Gamma", ["Gamma", "purchase"]))
    return clause


def _trait(rng: random.Random) -> dict[str, Any]:
    comparison = rng.choice(
        (
            {"is": "free"},
            {"in": ["free", "pro"]},
            {"at_least": 3},
            {"less_than": 3},
            {"set": True},
            {"starts_with": "f"},
            {"contains": "r"},
        )
    )
    return {"trait": "plan", **comparison}


def _time(rng: random.Random) -> dict[str, Any]:
    kind = rng.randrange(4)
    if kind == 3:
        return {"trait": "born", "anniversary": rng.choice(("day", *DURATIONS))}
    clause = {"trait": "ends", ("comes_within", "passed_since", "comes_within")[kind]: rng.choice(DURATIONS)}
    return clause | ({"zone": "user"} if rng.random() < 0.5 else {})


def _score(rng: random.Random) -> dict[str, Any]:
    clause: dict[str, Any] = {"score": "churn", "at_least": rng.choice((0.5, 0.7))}
    if rng.random() < 0.6:
        return clause | {"until_below": 0.3}
    return rng.choice((clause, {"score": "churn", "less_than": 0.5}, {"score": "churn", "is": 0.5}))


def _bucket(rng: random.Random) -> dict[str, Any]:
    return {"bucket": rng.choice(("a", "b")), "below": rng.choice(("10%", "50%", "100%", "0%"))}


def random_arrivals(rng: random.Random, number: int) -> list[StreamArrival]:
    """Return arrivals in the order of the log: late, repeated and reordered, many at the same millisecond."""
    begin = int(rng.choice(STARTS).timestamp() * 1000)
    now, found = begin, list[StreamArrival]()
    for i in range(number):
        now += rng.choice((0, 0, 1, 1, 1, 2, 4, 13, 48)) * HALF_HOUR_MS + rng.choice((0, 0, 0, 0, 1))
        if rng.random() < 0.12:
            value = rng.choice((None, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
            found.append(StreamArrival(now, score=("churn", value)))
            continue
        if rng.random() < 0.1 and (known := [one for one in found if one.event is not None]):
            found.append(StreamArrival(now, rng.choice(known).event))
            continue
        late = rng.choice((0, 0, 0, 0, 1, 2, 3, 5, 30)) * HALF_HOUR_MS - (HALF_HOUR_MS if rng.random() < 0.05 else 0)
        found.append(StreamArrival(now, _random_event(rng, f"m{i}", now - late, begin)))
    return found


def _random_event(rng: random.Random, event_id: str, at: int, begin: int) -> Event:
    if rng.random() < 0.15:
        return Event(id=event_id, user="u", type="identify", at=at, traits=_traits(rng, begin))
    name = rng.choice((*NAMES, *NAMES, "Gamma", "refund"))
    properties: dict[str, Any] = {}
    if rng.random() < 0.6:
        properties["size"] = rng.choice((0, 1, 2, 3, 1.5, "1", "2", True, None, [1]))
    if rng.random() < 0.5:
        properties["key"] = rng.choice(("k1", "k2", 1, True))
    if rng.random() < 0.2:
        properties["tags"] = rng.choice((["x", 1], [True], "xyz"))
    if rng.random() < 0.2:
        properties["text"] = rng.choice(("abc", "cba"))
    common: dict[str, Any] = {"id": event_id, "user": "u", "at": at, "properties": properties or None}
    money: dict[str, Any] = {
        "amount": rng.randint(0, 40) * 1_000_000,
        "currency": rng.choice(("EUR", "EUR", "EUR", "USD")),
    }
    if name == "purchase" or name == "refund":
        lines = [
            OrderLine(rng.choice(("i1", "i2", "i3")), rng.randint(1, 2), rng.randint(0, 20) * 1_000_000)
            for _ in range(rng.randint(0, 3))
        ]
        return Event(type=name, lines=tuple(lines), **common, **money)  # type: ignore[arg-type]  # one of two types
    category = rng.choice(("lamps", "desks", None))
    if name == "product_view":
        return Event(type="product_view", item="i1", category=category, **common, **money)
    return Event(type="custom", name=name, category=category, **common, **money)


def _traits(rng: random.Random, begin: int) -> dict[str, Any]:
    moment = datetime.fromtimestamp(begin / 1000, UTC) + timedelta(minutes=30 * rng.randint(-20, 300))
    written = rng.choice(
        (moment.isoformat(), moment.replace(tzinfo=None).isoformat(), moment.date().isoformat(), 5, "soon")
    )
    options = {
        "plan": rng.choice(("free", "pro", 3, 2, True, "3")),
        "timezone": rng.choice(ZONES),
        "ends": written,
        "born": rng.choice((moment.replace(year=1990).date().isoformat(), "2000-02-29", "no")),
    }
    return {name: value for name, value in options.items() if rng.random() < 0.5}
