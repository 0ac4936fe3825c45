"""The demo's figures follow from the records of the topics and the hidden truth, and from nothing else."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from models.delivery.messages import Message, encode_message
from models.engage.decisions import Decision, encode_decision
from models.events import Event, encode_event
from models.learning.examples import ChurnExample, encode_example
from models.log import Tick, encode_control, opening
from models.profile.codec import pack
from models.profile.features import FEATURES
from models.profile.ledger import Ledger
from models.profile.state import Customer
from models.recommend.retraining_report import Grade, RetrainingReport
from models.storefront.truth import Story, Truth, Visited
from models.units import DAY
from stream.demo.summary import WARM_UP_DAYS, Summary, churn_figures, summarize
from stream.demo.tally import Tally
from stream.recommender.artifacts import Published, encode_published

START = 1_767_571_200_000


class ReadRecord(NamedTuple):
    key: bytes | None
    value: bytes | None
    offset: int = 0
    timestamp: int = START


def event(user: str, stamp: int) -> ReadRecord:
    value = encode_event(Event(id=f"{user}-{stamp}", user=user, type="page_view", at=START))
    return ReadRecord(user.encode(), value, timestamp=START + stamp)


def message(user: str, rule: str) -> ReadRecord:
    made = Message(
        id="0" * 32, user=user, rule=rule, category="marketing", channel="email", to="a@b.example", subject="Hello",
        text="Hello", why="because", at=START, expires=START + 1, origin="simulate",
    )  # fmt: skip
    return ReadRecord(user.encode(), encode_message(made))


def decision(rule: str, outcome: str, reason: str = "") -> ReadRecord:
    made = msgspec.convert(
        {
            "id": "0" * 32, "user": "u1", "rule": rule, "category": "marketing", "outcome": outcome, "reason": reason,
            "channel": "email", "why": "because", "configuration": 1, "at": START,
            "signal": {"kind": "cart_left", "user": "u1", "at": START, "cause": "m1"},
        },
        Decision,
    )  # fmt: skip
    return ReadRecord(b"u1", encode_decision(made))


def example(user: str, day: int, *, risk: float | None, churned: bool) -> ChurnExample:
    row = [0.0] * len(FEATURES)
    row[FEATURES.index("days_since_last")] = 1.0
    at = START + day * DAY
    version = 0 if risk is None else 1
    return ChurnExample(
        user=user, at=at, due=at + 14 * DAY, schema="s", row=row, risk=risk, version=version, churned=churned
    )


def truth(*users: str) -> Truth:
    """Return the truth about shoppers; each shopper leaves with a higher probability than the previous shopper."""
    stories = {
        user: Story(offset=0, visits=[Visited(START, START + 1, rate=0.2, leave=0.1 + 0.1 * number)])
        for number, user in enumerate(users)
    }
    return Truth(start=START, days=120, stories=stories)


def test_control_records_set_the_clock_and_are_not_events() -> None:
    tally = Tally()

    for read in (
        ReadRecord(*encode_control(opening("feeder"))),
        ReadRecord(*encode_control(Tick(at=START + DAY))),
    ):
        tally.add("events", read)
    tally.add("events", event("u1", 0))

    assert (tally.events, tally.now, tally.users) == (1, START + DAY, {b"u1"})


def test_the_rate_uses_the_brokers_timestamps() -> None:
    tally = Tally()

    for number in range(11):
        tally.add("events", event("u1", number * 1000))

    assert tally.seconds == 10.0


def test_the_size_of_a_segment_is_its_current_number_of_users() -> None:
    tally = Tally()
    for seen, segment in ((1, "new visitors"), (5, "regulars")):
        tally.add("profiles", ReadRecord(b"u1", pack(Customer(ledger=Ledger(segment=segment), seen=seen))))
    tally.add("profiles", ReadRecord(b"u2", pack(Customer(ledger=Ledger(segment="regulars"), seen=3))))
    tally.add("profiles", ReadRecord(b"u3", pack(Customer(seen=3))))

    assert tally.segments() == {"regulars": 2}


def test_records_of_the_lanes_are_not_users() -> None:
    tally = Tally()

    tally.add("profiles", ReadRecord(b"\x00position", b"anything"))

    assert tally.profiles == {}


def test_a_deferred_message_counts_only_when_it_is_decided() -> None:
    tally = Tally()

    for read in (decision("r", "deferred", "quiet_hours"), decision("r", "sent"), decision("r", "dropped", "capped")):
        tally.add("decisions", read)

    assert dict(tally.triggers) == {"r": 2}
    assert dict(tally.withheld) == {"capped": 1}


def test_an_unknown_topic_is_an_error() -> None:
    with pytest.raises(KeyError, match="signals"):
        Tally().add("signals", ReadRecord(b"u1", b"{}"))


def test_churn_is_graded_only_after_the_warm_up() -> None:
    early = example("u1", WARM_UP_DAYS - 1, risk=0.9, churned=False)
    late = example("u1", WARM_UP_DAYS, risk=0.9, churned=True)

    figures = churn_figures([early, late], truth("u1"))

    assert figures.rows == 1


def test_model_recency_and_oracle_are_graded_on_the_same_rows() -> None:
    examples = [
        example("u1", 50, risk=0.2, churned=False),
        example("u2", 50, risk=0.6, churned=True),
        example("u1", 60, risk=None, churned=True),  # no probability was issued
    ]

    figures = churn_figures(examples, truth("u1", "u2"))

    assert (figures.rows, figures.auc, figures.oracle_auc, figures.recency_auc) == (2, 1.0, 1.0, 0.5)
    assert figures.ungraded == pytest.approx(1 / 3)


def test_the_figures_are_missing_and_not_zero_without_any_grade() -> None:
    figures = churn_figures([], truth("u1"))

    assert (figures.auc, figures.recency_auc, figures.oracle_auc) == (None, None, None)


def test_the_newest_published_recommender_counts() -> None:
    tally = Tally()
    for version, recall in ((2, 0.3), (1, 0.1)):
        run = RetrainingReport(
            publish=True, reason="good enough", cut=START, rows=10, users=5, items=4,
            grade=Grade(recall_at_10=recall, ndcg_at_10=0.1, users=40),
            popularity=Grade(recall_at_10=0.05, ndcg_at_10=0.1, users=40),
        )  # fmt: skip
        published = Published(version=version, file="f", sha256="0", trained_at=1, trained_until=START, run=run)
        tally.add("versions", ReadRecord(*encode_published(published)))

    summary = summary_of(tally)

    assert (summary.recommend.recall_at_10, summary.recommend.popularity_recall_at_10) == (0.3, 0.05)


def test_messages_are_counted_by_rule_and_channel() -> None:
    tally = Tally()
    for rule in ("win_back", "win_back", "refund"):
        tally.add("messages.email", message("u1", rule))

    assert summary_of(tally).messages == {"win_back": {"email": 2}, "refund": {"email": 1}}


def test_examples_are_read_as_the_fold_writes_them() -> None:
    tally = Tally()
    written = example("u1", 50, risk=0.2, churned=False)

    tally.add("examples.churn", ReadRecord(b"u1", encode_example(written)))

    assert tally.examples == [written]


def summary_of(tally: Tally) -> Summary:
    return summarize(tally, truth("u1"), seed=1, latency=None, seconds=1.0, commands=[])
