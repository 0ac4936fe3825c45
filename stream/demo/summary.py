"""The figures of a run, calculated from the counts and the shop's hidden truth."""

from __future__ import annotations

import msgspec
import numpy as np

from models.learning.evaluation import auc, auc_difference, bootstrap
from models.learning.examples import ChurnExample
from models.profile.features import FEATURES
from models.storefront.truth import Truth
from models.units import DAY
from stream.demo.journeys import JourneyFigures
from stream.demo.logins import LoginFigures
from stream.demo.tally import Tally

HORIZON_MS = 14 * DAY
WARM_UP_DAYS = 42
"""Number of days at the beginning whose examples are not graded.

A label is known only after one horizon, and a model must learn from many labels before its predictions are useful.
"""

_RECENCY = FEATURES.index("days_since_last")


class ChurnFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of the churn predictions.

    Attributes
    ----------
    auc
        AUC of the probabilities that were given when the examples were taken.
    auc_low, auc_high
        Bounds of the 95% interval of ``auc``, from a bootstrap that draws shoppers.
    recency_auc
        AUC of the days since the last visit, on the same rows.
    oracle_auc
        AUC of the simulation's true probability, on the same rows. No model can be better on average.
    ahead, ahead_low, ahead_high
        AUC of the probabilities minus the AUC of recency, and the bounds of the paired 95% interval (DeLong).
    rows, churned
        Number of graded rows, and the share of them that churned.
    warm_up_days
        Number of days at the beginning whose examples are not graded.
    ungraded
        Share of the examples after these days that are not graded.
    before_first_version
        Share of all examples that were taken before the first version existed.
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
    """Quality of the retrainer's newest published model on new items.

    Attributes
    ----------
    recall_at_10, popularity_recall_at_10
        Recall of the model and of popularity, among all items that a shopper had not seen before the cut.
    users
        Number of graded users.
    cut
        Moment that separates the data that was learned from the data that was graded, milliseconds.
    version
        Version of the model.
    """

    recall_at_10: float | None
    popularity_recall_at_10: float | None
    users: int
    cut: int
    version: int


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Time from the acknowledgement of an event until a ``read_committed`` reader can read its message.

    Attributes
    ----------
    p50, p99, worst
        Quantiles and maximum, milliseconds of wall time.
    rate
        Events per second, each sent at its time, whether earlier ones were answered or not.
    sent, answered
        Number of events that must cause a message, and of messages that came.
    """

    p50: float
    p99: float
    worst: float
    rate: float
    sent: int
    answered: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of the demo; their JSON is the output of ``perennial demo --json``."""

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
    logins: LoginFigures
    journeys: dict[str, JourneyFigures] = {}
    latency_ms: Latency | None
    seconds: float
    commands: list[str] = []


def unmeasured(summary: Summary) -> list[str]:
    """Describe the figures that the run should have measured but has not; empty if all were measured."""
    latency = summary.latency_ms
    found = {
        "the churn model was never graded": summary.churn.auc is None,
        "no recommender was graded": summary.recommend.recall_at_10 is None,
        "no user is in a segment": not summary.segments,
        "no message was sent": not summary.messages,
        "no user entered a journey": not summary.journeys,
        "the latency was not measured": latency is None or latency.answered < latency.sent,
    }
    return [what for what, missing in found.items() if missing]


def churn_figures(examples: list[ChurnExample], truth: Truth) -> ChurnFigures:
    """Grade the probabilities that were given after the warm-up."""
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
    """Return the grade of the newest published model."""
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
    """Combine all figures."""
    messages: dict[str, dict[str, int]] = {}
    for (rule, channel), count in sorted(tally.messages.items()):
        messages.setdefault(rule, {})[channel] = count
    return Summary(
        seed=seed,
        shoppers=tally.shoppers,
        simulated_days=(tally.now - truth.start) / DAY,
        events=tally.events,
        events_per_second=tally.events / tally.seconds,
        segments=tally.segments(),
        churn=churn_figures(tally.examples, truth),
        recommend=recommend_figures(tally),
        triggers=dict(tally.triggers.most_common()),
        messages=messages,
        not_sent=dict(tally.withheld.most_common()),
        logins=tally.logins.figures(),
        journeys=tally.journeys.figures(),
        latency_ms=latency,
        seconds=seconds,
        commands=commands,
    )
