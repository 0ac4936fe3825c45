"""Small and valid versions of models and settings for tests, as ``use`` records."""

from __future__ import annotations

import msgspec

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.learning import population
from models.learning.churn_scorer import ChurnScorer, ChurnWeights
from models.learning.population import Population, PopulationGaps
from models.learning.segment_scorer import SegmentCentres, SegmentScorer
from models.log import Control, Use
from models.profile.features import FEATURES

RULES = {
    "rules": [
        {
            "name": "win_back",
            "when": {"churn_risk": {"crosses": 0.6}},
            "channels": ["email", "sms"],
            "template": "plain",
        },
        {"name": "thanks", "category": "transactional", "when": {"first_purchase": True}, "template": "plain"},
        {"name": "cart", "when": {"cart_left": {"for": "1h"}}, "template": "plain"},
        {"name": "hello", "when": {"entered_segment": "busy"}, "channels": ["sms", "email"], "template": "plain"},
    ],
    "caps": [{"messages": 2, "within": "7d"}],
    "quiet_hours": {"from": "22:00", "to": "08:00"},
}


def configuration_version(version: int) -> Use:
    """Make a configuration with rules of every kind, a cap and quiet hours."""
    said = "Come back. {{ unsubscribe_url }}"
    templates = {"plain": Template(subject="Hello {{ user }}", text=said, fallback="Subject: Hello\n\nThank you.")}
    parsed = parse(RULES, templates)
    return Use(name="configuration", version=version, content=msgspec.Raw(encode(parsed)))


def settings_version(version: int, **events: str) -> Use:
    """Make a configuration without rules, with settings of the section ``events``."""
    parsed = parse({"events": events}, {})
    return Use(name="configuration", version=version, content=msgspec.Raw(encode(parsed)))


def lifecycle_version(version: int) -> Use:
    """Make a configuration with the default lifecycle and nothing else."""
    content = encode(parse({"lifecycle": {}}, {}))
    return Use(name="configuration", version=version, content=msgspec.Raw(content))


def churn_version(version: int) -> Use:
    """Make a churn model in which the risk grows with the days of inactivity."""
    weights = [0.0] * len(FEATURES)
    weights[FEATURES.index("days_since_last")] = 1.0 + version / 4
    scorer = ChurnScorer(
        ChurnWeights(
            features=FEATURES,
            mean=(1.0,) * len(FEATURES),
            std=(1.0,) * len(FEATURES),
            weights=tuple(weights),
            intercept=0.0,
        )
    )
    return Use(name="churn", version=version, content=msgspec.Raw(scorer.encode()))


def segments_version(version: int) -> Use:
    """Make a segment model with two segments by recent activity."""
    scorer = SegmentScorer(
        SegmentCentres(
            features=FEATURES,
            axes=(FEATURES.index("activity_7d"),),
            mean=(0.0,),
            std=(1.0,),
            centres=((0.2 * version,), (1.5 + 0.2 * version,)),
            names=("quiet", "busy"),
        )
    )
    return Use(name="segments", version=version, content=msgspec.Raw(scorer.encode()))


def gaps_version(version: int, days: float) -> Use:
    """Make a population in which nine tenths of the gaps between purchases are at most this long, days."""
    gaps = PopulationGaps(median=days / 3, p75=days / 2, p90=days, count=50)
    cuts = (1.0, 2.0, 3.0, 4.0)
    content = population.encode(Population(users=9, recency=cuts, frequency=cuts, gaps=gaps))
    return Use(name=population.NAME, version=version, content=msgspec.Raw(content))


def population_version(version: int) -> Use:
    """Make cut points that differ by version, in days, orders and money as random buyers have them."""
    extra = version % 7
    content = population.encode(
        Population(
            users=100,
            recency=(0.01 + 0.01 * extra, 0.1 + 0.05 * extra, 0.5 + extra, 2.0 + extra),
            frequency=(1.0, 2.0, 3.0, 4.0 + extra),
            monetary={"EUR": (10.0, 20.0 + extra, 60.0, 200.0)},
            gaps=PopulationGaps(median=1.0, p75=2.0, p90=3.0 + extra, count=50),
        )
    )
    return Use(name="population", version=version, content=msgspec.Raw(content))


VERSIONS_OVER_TIME: tuple[tuple[float, Control], ...] = (
    (0.0, configuration_version(1)),
    (9.3, churn_version(1)),
    (11.0, segments_version(1)),
    (18.2, churn_version(2)),
    (25.0, configuration_version(2)),
    (26.0, segments_version(2)),
)
"""Versions for a log of shoppers, each with the day of the log on which it comes into use."""
