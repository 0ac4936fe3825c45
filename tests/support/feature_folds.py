"""Random conditions on features over a random stream, with the features that a user has at each scored step.

The features are computed naively from all events (:mod:`tests.support.naive_features`). Only the times of the daily
assessments come from a fold of the same events without conditions, one record at a time. The log has a tick at the due
time of each timer of the user. So an assessment has a place of its own among the arrivals.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from models.batch import Batch, Restored
from models.conditions.parsing import parse_segments
from models.events import Event
from models.fold.partition import PartitionFold
from models.log import Control, Tick, opening
from models.profile.codec import unpack
from tests.support.condition_folds import USER, random_fold_case
from tests.support.condition_runs import AFTER_MS, Case
from tests.support.event_logs import written
from tests.support.naive_features import NaiveFeatures
from tests.support.random_conditions import HALF_HOUR_MS, StreamArrival

BOUNDS: dict[str, tuple[float, ...]] = {
    "orders": (0.0, 0.6931471805599453, 1.0, 1.5),
    "average_order": (0.0, 1.5, 2.9),
    "sessions": (0.5, 0.6931471805599453, 1.2),
    "days_since_last": (0.0, 0.1, 0.7, 1.6),
    "days_since_first": (0.0, 0.5, 1.5),
    "gap_days": (0.0, 0.2, 0.6),
    "gap_ratio": (0.2, 0.8),
    "activity_1d": (0.1, 0.7, 1.2),
    "activity_7d": (0.3, 1.0, 1.8),
    "activity_30d": (0.5, 1.3, 2.1),
    "activity_trend": (0.9, 1.01, 2.5),
    "refund_share": (0.0, 0.2, 1.0),
    "views_7d": (0.3, 0.9),
    "views_30d": (0.5, 1.2),
    "carts_7d": (0.0, 0.4, 0.8),
    "carts_30d": (0.0, 0.5, 0.9),
    "purchases_7d": (0.2, 0.6, 1.1),
    "purchases_30d": (0.4, 0.8, 1.3),
    "spend_30d": (0.5, 2.0, 3.5),
    "rating_mean": (-1.0, 0.0, 0.5),
    "support": (0.0, 0.6931471805599453),
    "categories": (0.0, 0.6931471805599453, 1.0),
    "cart_open": (0.0, 0.6931471805599453, 1.0),
    "messages_opened": (0.0, 0.6931471805599453),
    "evening_share": (0.0, 0.25, 0.5),
}
"""Every feature, with bounds near which those of a stream are."""


def random_feature_case(seed: int, number_of_segments: int, number_of_arrivals: int) -> Case:
    """Return the case of a seed: that of :func:`random_fold_case`, in which some clauses read features."""
    case, rng = random_fold_case(seed, number_of_segments, number_of_arrivals), random.Random(seed + 1)
    rules = [{"name": one["name"], "when": _replaced(rng, one["when"])} for one in case.written]
    if not case.arrivals:
        return case._replace(written=rules, rules=parse_segments(rules))
    history = _History()
    history.take(opening("feeder"))
    begins = case.arrivals[0].now - 1
    if case.known_since:
        history.take(Tick(at=case.known_since))
        history.see(Event(id="before", user="u", type="page_view", at=case.known_since), case.known_since)
        history.take(Tick(at=begins - 1))
        history.take(Tick(at=begins))
    first = history.features
    arrivals = [found for arrival in _richer(rng, case.arrivals) for found in history.arrive(arrival)]
    arrivals += history.arrive(StreamArrival(case.arrivals[-1].now + AFTER_MS))
    assert not case.known_since or arrivals[0].now > begins
    return Case(rules, parse_segments(rules), case.covered, arrivals, case.known_since, first, after=0, applied=begins)


def _richer(rng: random.Random, arrivals: Sequence[StreamArrival]) -> Iterator[StreamArrival]:
    """Yield a stream with more events: of the cart, ratings, messages to support, and opened messages."""
    known: list[Event] = []
    for number, arrival in enumerate(arrivals):
        yield arrival
        if arrival.event is None or rng.random() < 0.6:
            continue
        if known and rng.random() < 0.1:
            yield StreamArrival(arrival.now, rng.choice(known))
            continue
        late = rng.choice((0, 0, 0, 1, 2, 3, 30)) * HALF_HOUR_MS
        known.append(_more(rng, f"more{number}", arrival.now - late))
        yield StreamArrival(arrival.now, known[-1])


def _more(rng: random.Random, event_id: str, at: int) -> Event:
    common: dict[str, Any] = {"id": event_id, "user": "u", "at": at}
    item: dict[str, Any] = {"item": rng.choice(("i1", "i2")), "category": rng.choice(("lamps", "chairs", None))}
    match rng.choice(("cart_add", "cart_add", "cart_remove", "rating", "support_message", "message_opened", "click")):
        case "cart_add":
            return Event(type="cart_add", quantity=rng.randint(1, 2), **item, **common)
        case "cart_remove":
            return Event(type="cart_remove", quantity=rng.randint(1, 2), **item, **common)
        case "rating":
            return Event(type="rating", rating=float(rng.randint(1, 5)), **item, **common)
        case "support_message":
            return Event(type="support_message", text="Where is it?", **common)
        case "message_opened":
            return Event(type="message_opened", message="unknown", **common)
    return Event(type="click", **item, **common)


def _replaced(rng: random.Random, when: dict[str, Any]) -> dict[str, Any]:
    """Replace some clauses of a condition by clauses on features."""
    for group in ("all", "any", "none"):
        if group in when:
            return {group: [_replaced(rng, inner) for inner in when[group]]}
    if "not" in when:
        return {"not": _replaced(rng, when["not"])}
    return when if rng.random() < 0.5 or "segment" in when else _clause(rng)


def _clause(rng: random.Random) -> dict[str, Any]:
    name = rng.choice(list(BOUNDS))
    bound = rng.choice(BOUNDS[name])
    kind = rng.choice(("at_least", "more_than", "at_most", "less_than", "held", "in", "set"))
    if kind == "held":
        return {"feature": name, "at_least": bound, "until_below": bound - abs(bound) / 2}
    if kind == "in":
        return {"feature": name, "in": [bound, 0]}
    return {"feature": name, kind: True if kind == "set" else bound}


class _History:
    """A stream: the naive features of its user, and a fold without conditions, which says when timers are due."""

    def __init__(self) -> None:
        self._naive = NaiveFeatures()
        self._state = Restored()
        self._fold = PartitionFold(self._state)
        self._next_due: int | None = None
        self._number = 0

    def take(self, control: Control) -> None:
        """Fold a control record, and compute the features if the fold assesses the user by it."""
        self._fold_one(control)
        packed = self._state.records.get(USER)
        assessed_at = 0 if packed is None else unpack(packed).ledger.assessed_at
        if assessed_at not in (0, self._naive.scored_at):
            self._naive.score(assessed_at)

    def _fold_one(self, content: Event | Control) -> None:
        record = written([content])[0]._replace(offset=self._number)
        self._number += 1
        for outputs in self._fold.slices(Batch("events", 0, [record])):
            self._state.apply(outputs.commit, self._number)
            self._next_due = outputs.next_due

    def see(self, event: Event, now: int) -> None:
        """Fold an event, and add it to the naive features."""
        self._fold_one(event)
        self._naive.add(event, now)

    @property
    def features(self) -> dict[str, float]:
        """The features as of the newest scored step; none before any."""
        return self._naive.values

    def arrive(self, arrival: StreamArrival) -> Iterator[StreamArrival]:
        """Yield the timers that are due before an arrival, and the arrival, each with the features after it."""
        while self._next_due is not None and self._fold.now < self._next_due <= arrival.now:
            due = self._next_due
            self.take(Tick(at=due))
            yield StreamArrival(due, features=self.features)
        if arrival.now > self._fold.now:
            self.take(Tick(at=arrival.now))
        if arrival.event is not None:
            self.see(arrival.event, arrival.now)
        yield arrival._replace(features=self.features)
