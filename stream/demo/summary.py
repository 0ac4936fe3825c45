"""The figures of a run, from what was counted and the shop's hidden truth. Pure."""

from __future__ import annotations

import msgspec
import numpy as np

from models.learning.evaluation import auc, auc_difference, bootstrap
from models.learning.examples import ChurnExample
from models.profile.features import FEATURES
from models.storefront.truth import Truth
from models.units import DAY
from stream.demo.tally import Tally

HORIZON_MS = 14 * DAY
WARM_UP_DAYS = 42
"""Examples of the first three horizons are not graded: labels need one to exist, and a model needs labels."""

_RECENCY = FEATURES.index("days_since_last")


class ChurnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How well departures were foreseen.

    Attributes
    ----------
    auc
        Of the probabilities that were issued when the examples were taken.
    auc_low, auc_high
        Its 95% interval, from a bootstrap that draws shoppers.
    recency_auc
        Of the days since the last visit, on the same rows.
    oracle_auc
        Of the simulation's true probability, on the same rows: nobody can do better on average.
    ahead, ahead_low, ahead_high
        AUC less that of recency, with its paired 95% interval (DeLong).
    rows, churned
        Graded, and the share of them that churned.
    warm_up_days
        Examples taken before are not graded.
    ungraded
        Share of the examples after the warm-up that are not graded.
    before_first_version
        Share of all examples that were taken before any version existed.
    """

    auc: float | None
    auc_low: float | None
    auc_high: float | None
    recency_auc: float | None
    oracle_auc: float | None
    ahead: float | None
    ahead_low: float | None
    ahead_high: float | None
    rows: int
    churned: float
    warm_up_days: int
    ungraded: float
    before_first_version: float


class RecommendFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How well the retrainer's newest published model foresaw new items.

    Attributes
    ----------
    recall_at_10, popularity_recall_at_10
        Of items that a shopper had not met before the cut, among everything they had not met.
    users
        Graded.
    cut
        Time that divides what was learned from what was graded, milliseconds.
    version
        Of the model.
    """

    recall_at_10: float | None
    popularity_recall_at_10: float | None
    users: int
    cut: int
    version: int


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """From an event's acknowledgement to its message being readable by a ``read_committed`` reader.

    Attributes
    ----------
    p50, p99, worst
        Milliseconds of wall time.
    rate
        Events a second, sent open-loop: at their times, whatever became of those before.
    sent, answered
        Events that had to cause a message, and those whose message came.
    """

    p50: float
    p99: float
    worst: float
    rate: float
    sent: int
    answered: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the demo has to say; its JSON is ``perennial demo --json``."""

    seed: int
    shoppers: int
    simulated_days: float
    events: int
    events_per_second: float
    segments: dict[str, int]
    churn: ChurnFigures
    recommend: RecommendFigures
    triggers: dict[str, int]
    messages: dict[str, dict[str, int]]
    not_sent: dict[str, int]
    latency_ms: Latency | None
    seconds: float
    commands: list[str] = []


def unmeasured(summary: Summary) -> list[str]:
    """Name what a run should have shown and did not; empty where all is there."""
    latency = summary.latency_ms
    found = {
        "the churn model was never graded": summary.churn.auc is None,
        "no recommender was graded": summary.recommend.recall_at_10 is None,
        "nobody is in a segment": not summary.segments,
        "no message was sent": not summary.messages,
        "the latency was not measured": latency is None or latency.answered < latency.sent,
    }
    return [what for what, missing in found.items() if missing]


def churn_figures(examples: list[ChurnExample], truth: Truth) -> ChurnFigures:
    """Grade the probabilities that were issued after the warm-up."""
    begin = truth.start + WARM_UP_DAYS * DAY
    late = [example for example in examples if example.at >= begin]
    graded = [
        (example, example.risk, true)
        for example in late
        if example.risk is not None and (true := truth.silence(example.user, example.at, HORIZON_MS)) is not None
    ]
    labels = [example.churned for example, _, _ in graded]
    risks = [risk for _, risk, _ in graded]
    recency = [example.row[_RECENCY] for example, _, _ in graded]
    interval = bootstrap(risks, labels, [example.user for example, _, _ in graded]) if graded else None
    ahead = auc_difference(risks, recency, labels) if graded else None
    return ChurnFigures(
        auc=interval.value if interval else None,
        auc_low=interval.low if interval else None,
        auc_high=interval.high if interval else None,
        recency_auc=auc(recency, labels) if graded else None,
        oracle_auc=auc([true for _, _, true in graded], labels) if graded else None,
        ahead=ahead.value if ahead else None,
        ahead_low=ahead.low if ahead else None,
        ahead_high=ahead.high if ahead else None,
        rows=len(graded),
        churned=float(np.mean(labels)) if graded else 0.0,
        warm_up_days=WARM_UP_DAYS,
        ungraded=1 - len(graded) / len(late) if late else 0.0,
        before_first_version=sum(example.risk is None for example in examples) / len(examples) if examples else 0.0,
    )


def recommend_figures(tally: Tally) -> RecommendFigures:
    """What the newest published model was graded with."""
    published = tally.recommender
    if published is None or published.run.grade is None or published.run.popularity is None:
        return RecommendFigures(
            recall_at_10=None,
            popularity_recall_at_10=None,
            users=0,
            cut=0,
            version=published.version if published else 0,
        )
    run = published.run
    assert run.grade is not None
    assert run.popularity is not None
    return RecommendFigures(
        recall_at_10=run.grade.recall_at_10,
        popularity_recall_at_10=run.popularity.recall_at_10,
        users=run.grade.users,
        cut=run.cut,
        version=published.version,
    )


def summarize(
    tally: Tally, truth: Truth, *, seed: int, latency: Latency | None, seconds: float, commands: list[str]
) -> Summary:
    """Put all figures together."""
    messages: dict[str, dict[str, int]] = {}
    for (rule, channel), count in sorted(tally.messages.items()):
        messages.setdefault(rule, {})[channel] = count
    return Summary(
        seed=seed,
        shoppers=len(tally.users),
        simulated_days=(tally.now - truth.start) / DAY,
        events=tally.events,
        events_per_second=tally.events / tally.seconds,
        segments=tally.segments(),
        churn=churn_figures(tally.examples, truth),
        recommend=recommend_figures(tally),
        triggers=dict(tally.triggers.most_common()),
        messages=messages,
        not_sent=dict(tally.withheld.most_common()),
        latency_ms=latency,
        seconds=seconds,
        commands=commands,
    )
