"""Random conditions on features over a random stream, with the features that a user has at each scored step.

The features come from a fold of the same events without conditions, one record at a time. The log has a tick at the due
time of each timer of the user. So an assessment has a place of its own among the arrivals.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from models.batch import Batch, Restored
from models.conditions.parsing import parse_segments
from models.events import Event
from models.fold.partition import PartitionFold
from models.log import Control, Tick, opening
from models.profile import features
from models.profile.codec import unpack
from tests.support.condition_folds import USER, random_fold_case
from tests.support.condition_runs import AFTER_MS, Case
from tests.support.event_logs import written
from tests.support.random_conditions import StreamArrival

BOUNDS: dict[str, tuple[float, ...]] = {
    "orders": (0.0, 0.6931471805599453, 1.0, 1.5),
    "sessions": (0.5, 0.6931471805599453, 1.2),
    "days_since_last": (0.0, 0.1, 0.7, 1.6),
    "days_since_first": (0.0, 0.5, 1.5),
    "gap_ratio": (0.2, 0.8),
    "activity_7d": (0.3, 1.0, 1.8),
    "activity_trend": (0.9, 1.0, 2.5),
    "refund_share": (0.0, 0.2, 1.0),
    "views_30d": (0.5, 1.2),
}
"""Bounds near which the features of a stream are."""


def random_feature_case(seed: int, number_of_segments: int, number_of_arrivals: int) -> Case:
    """Return the case of a seed: that of :func:`random_fold_case`, in which some clauses read features."""
    case, rng = random_fold_case(seed, number_of_segments, number_of_arrivals), random.Random(seed + 1)
    rules = [{"name": one["name"], "when": _replaced(rng, one["when"])} for one in case.written]
    if not case.arrivals:
        return case._replace(written=rules, rules=parse_segments(rules))
    reference = _Reference()
    reference.take(opening("feeder"))
    if case.known_since:
        reference.take(Tick(at=case.known_since))
        reference.take(Event(id="before", user="u", type="page_view", at=case.known_since))
        reference.take(Tick(at=case.begins - 1))
        reference.take(Tick(at=case.begins))
    first = reference.features
    arrivals = [found for arrival in case.arrivals for found in reference.arrive(arrival)]
    arrivals += reference.arrive(StreamArrival(case.arrivals[-1].now + AFTER_MS))
    begins = case.arrivals[0].now - 1
    assert not case.known_since or arrivals[0].now > begins
    return Case(rules, parse_segments(rules), case.covered, arrivals, case.known_since, first, after=0, applied=begins)


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
        return {"feature": name, "at_least": bound, "until_below": bound / 2}
    if kind == "in":
        return {"feature": name, "in": [bound, 0]}
    return {"feature": name, kind: True if kind == "set" else bound}


class _Reference:
    """A fold without conditions, one record at a time."""

    def __init__(self) -> None:
        self._state = Restored()
        self._fold = PartitionFold(self._state)
        self._next_due: int | None = None
        self._number = 0

    def take(self, content: Event | Control) -> None:
        record = written([content])[0]._replace(offset=self._number)
        self._number += 1
        for outputs in self._fold.slices(Batch("events", 0, [record])):
            self._state.apply(outputs.commit, self._number)
            self._next_due = outputs.next_due

    @property
    def features(self) -> dict[str, float]:
        """The features as of the newest scored step; none before any.

        In the streams, an event that is not scored changes no feature.
        """
        packed = self._state.records.get(USER)
        user = None if packed is None else unpack(packed)
        if user is None or not user.ledger.assessed_at:
            return {}
        return dict(zip(features.FEATURES, features.row(user.facts, user.ledger.assessed_at), strict=True))

    def arrive(self, arrival: StreamArrival) -> Iterator[StreamArrival]:
        """Yield the timers that are due before an arrival, and the arrival, each with the features after it."""
        while self._next_due is not None and self._fold.now < self._next_due <= arrival.now:
            due = self._next_due
            self.take(Tick(at=due))
            yield StreamArrival(due, features=self.features)
        if arrival.now > self._fold.now:
            self.take(Tick(at=arrival.now))
        if arrival.event is not None:
            self.take(arrival.event)
        yield arrival._replace(features=self.features)
