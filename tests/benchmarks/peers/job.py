"""Work of the pipeline, the same for every peer: profile, features, river's models, interactions, triggers.

Facts and features are our pure code. Our learners have the same models with the same inputs and settings. A running
scaler is joined with a logistic regression for churn, and with k-means for segments, as in river's documentation. The
models learn and score every event that is a visit. The label of a visit is known at the next visit: a user who was
silent for longer than the horizon had churned.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p
from typing import Any

import msgspec
from river.cluster import KMeans
from river.compose import Pipeline
from river.linear_model import LogisticRegression
from river.optim import AdaGrad
from river.preprocessing import StandardScaler

from models.events import Event
from models.learning.churn import DECAY, INTERCEPT_RATE, KNOTS, RATE
from models.learning.churn_scorer import bend
from models.learning.naming import AXES
from models.learning.segments import CLUSTERS, MIN_STEP
from models.profile import features
from models.profile.numbers import numbers_of, put_back
from models.profile.reducers import VISITS, reduce_facts
from models.profile.state import Facts
from models.recommend.interactions import encode_interaction, interactions_of
from models.units import DAY

HORIZON = DAY
RISKY = 0.7
_BENDS = tuple((features.FEATURES.index(name), log1p(days)) for name, knots in KNOTS.items() for days in knots)
_INPUTS = (*features.FEATURES, *(f"{features.FEATURES[feature]}>{knot:.6g}" for feature, knot in _BENDS))


class Profile(msgspec.Struct, array_like=True, gc=False):
    """Durable state of one user.

    Attributes
    ----------
    facts
        Facts from the user's events.
    row
        Features at the last visit.
    segment, risk
        Results of the models at the last visit.
    """

    facts: Facts
    row: list[float] = []
    segment: int = -1
    risk: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Profile).decode


def pack(profile: Profile) -> bytes:
    """Encode a profile."""
    return _encode(profile)


def unpack(packed: bytes | None) -> Profile:
    """Decode a profile; return a new one if there is none."""
    return _decode(packed) if packed else Profile(Facts())


class Job:
    """Models of one process, and its work on each event."""

    def __init__(self) -> None:
        churn = LogisticRegression(AdaGrad(RATE), l2=DECAY, intercept_lr=INTERCEPT_RATE)
        self._churn: Any = Pipeline(StandardScaler(), churn)
        self._segments: Any = Pipeline(StandardScaler(), KMeans(n_clusters=CLUSTERS, halflife=MIN_STEP, seed=1))

    def handle(self, event: Event, profile: Profile) -> tuple[list[bytes], list[bytes]]:
        """Change a profile, learn and score; return encoded interactions and triggers."""
        facts = profile.facts
        silence = event.at - facts.last_seen
        first_order = facts.orders == 0
        numbers = numbers_of(facts)
        reduce_facts(facts, numbers, event)
        put_back(numbers, facts)
        interactions = [encode_interaction(one) for one in interactions_of(event)]
        triggers: list[dict[str, Any]] = []
        if event.type in VISITS:
            if profile.row:
                self._churn.learn_one(_named(profile.row), silence > HORIZON)
            profile.row = features.row(facts, event.at)
            named = _named(profile.row)
            axes = {name: named[name] for name in AXES}
            self._segments.learn_one(axes)
            segment = self._segments.predict_one(axes)
            if segment != profile.segment:
                triggers.append({"kind": "segment", "user": event.user, "segment": segment, "was": profile.segment})
            risk = self._churn.predict_proba_one(named).get(True, 0.0)
            if profile.risk < RISKY <= risk:
                triggers.append({"kind": "churn_risk", "user": event.user, "risk": risk})
            profile.segment, profile.risk = segment, risk
        if event.type == "purchase" and first_order:
            triggers.append({"kind": "first_purchase", "user": event.user, "amount": event.amount})
        return interactions, [msgspec.json.encode({**one, "cause": event.id}) for one in triggers]


def _named(row: Sequence[float]) -> dict[str, float]:
    return dict(zip(_INPUTS, bend(row, _BENDS), strict=True))
