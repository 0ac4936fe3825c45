"""The demo's screens show the counts."""

from __future__ import annotations

import io
from typing import NamedTuple

import msgspec
from rich.console import Console, RenderableType

from models.delivery.messages import Message
from models.fold.journey_counts import JourneyCounts, key_of
from stream.demo.journeys import figures_of
from stream.demo.logins import LoginExample, LoginFigures
from stream.demo.screen import closing, live
from stream.demo.summary import ChurnFigures, Latency, RecommendFigures, Summary
from stream.demo.tally import Tally

START = 1_767_571_200_000
encode = msgspec.msgpack.encode


class JourneyRecord(NamedTuple):
    key: bytes | None
    value: bytes | None
    offset: int = 0
    timestamp: int = START


def shown(what: RenderableType) -> str:
    return " ".join(drawn(what, width=160).split())


def drawn(what: RenderableType, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(what)
    return file.getvalue()


LOGINS = LoginFigures(
    known=287, merged=283, merged_events=2_345, forwarded=106,
    example=LoginExample(
        visitor="anonymous:visitor-0017", user="shopper-0017", items=("tea-003", "tea-004", "rugs-001", "toys-009"),
        filled_at=START, login_at=START + 60_000, reminded_at=START + 3_600_000, rule="cart_reminder", channel="email",
    ),
)  # fmt: skip


JOURNEYS = {
    "review": figures_of([
        JourneyCounts(
            active={"v": 40}, entered=1_000, held_out=100, converted=290, converted_held_out=20,
            ended={"completed": 700, "reviewed": 260},
        )
    ]),
    "welcome": figures_of([JourneyCounts(active={"v": 3}, entered=3)]),
}  # fmt: skip


def summary(churn: ChurnFigures, recommend: RecommendFigures, latency: Latency | None) -> Summary:
    return Summary(
        seed=7, shoppers=1_500, simulated_days=86.0, events=104_321, events_per_second=2_345.6,
        segments={"regulars": 900, "dormant": 600}, churn=churn, recommend=recommend, triggers={"win_back": 9},
        messages={"win_back": {"email": 5, "sms": 1}}, not_sent={"no_consent": 3}, logins=LOGINS, latency_ms=latency,
        journeys=JOURNEYS,
        seconds=51.0, commands=["perennial user shopper-0001"],
    )  # fmt: skip


NO_CHURN = ChurnFigures(
    auc=None, auc_low=None, auc_high=None, recency_auc=None, oracle_auc=None, ahead=None, ahead_low=None,
    ahead_high=None, rows=0, churned=0.0, warm_up_days=42, ungraded=0.0, before_first_version=0.2,
)  # fmt: skip
NO_MODEL = RecommendFigures(recall_at_10=None, popularity_recall_at_10=None, users=0, cut=0, version=0)


def test_the_live_screen_can_be_drawn_before_anything_has_happened() -> None:
    assert "starting" in shown(live(Tally(), stage="starting", start=START, days=86, elapsed=0.0))


def test_the_live_screen_fits_a_terminal_of_80_by_24_with_any_message() -> None:
    tally = Tally(events=104_321, now=START)
    tally.messages.update({(f"rule_{number}", "email"): number for number in range(12)})
    tally.versions = {"churn": 1, "segments": 2, "configuration": 1, "recommender": 4}
    for _ in range(9):
        tally.newest.append(
            Message(
                id="0" * 32, user="anonymous:visitor-0123", rule="win_back", category="marketing", channel="sms",
                to="+49", text="[bold]Ada\n\nwhat a pity\n" * 9, why="win_back (configuration 1): " + "x" * 200,
                at=1, expires=2, origin="simulate",
            )
        )  # fmt: skip

    for number in range(9):
        counts = JourneyCounts(
            active={"v": 1_234}, entered=12_345, held_out=1_234, ended={"completed": 9_999}, converted=9
        )
        tally.add("profiles", JourneyRecord(key_of(f"a_journey_with_a_long_name_{number}"), encode(counts)))

    screen = live(tally, stage="training the recommender", start=START, days=86, elapsed=9.0)
    lines = drawn(screen, width=80).splitlines()

    assert len(lines) < 24
    assert {len(line) for line in lines} == {80}
    assert any("[bold]Ada what" in line for line in lines)
    assert any("12,345" in line and "1,234" in line and "9,999" in line for line in lines)


def test_the_summary_names_every_figure() -> None:
    churn = ChurnFigures(
        auc=0.771, auc_low=0.752, auc_high=0.789, recency_auc=0.731, oracle_auc=0.881, ahead=0.04, ahead_low=0.031,
        ahead_high=0.049, rows=3_800, churned=0.37, warm_up_days=42, ungraded=0.0, before_first_version=0.2,
    )  # fmt: skip
    recommend = RecommendFigures(recall_at_10=0.2, popularity_recall_at_10=0.05, users=600, cut=START, version=3)
    latency = Latency(p50=21.0, p99=83.0, worst=99.0, rate=50.0, sent=200, answered=200)

    text = shown(closing(summary(churn, recommend, latency)))

    for figure in (
        "104,321", "1,500 shoppers", "2,346 a second", "regulars 900", "0.771 (0.752 to 0.789)", "0.731", "0.881",
        "4.0 times", "win_back by email 5", "win_back by sms 1", "no_consent 3", "median 21 ms", "p99 83 ms",
        "50 events/s",
    ):  # fmt: skip
        assert figure in text


def test_the_summary_has_each_journey_with_its_goal_against_the_control_group() -> None:
    text = " ".join(drawn(closing(summary(NO_CHURN, NO_MODEL, None)), width=300).split())

    assert "review: 1,000 entered, 40 waiting; ended: completed 700, reviewed 260" in text
    assert "goal: 30% of 900 runs with messages, 20% of 100 in the control group: +10.0 points (+0.7 to +17.3)" in text
    assert "welcome: 3 entered, 3 waiting" in text
    assert "goal: 0% of 3 runs with messages, - in the control group" in text


def test_the_summary_says_in_plain_words_who_became_a_known_user() -> None:
    text = " ".join(drawn(closing(summary(NO_CHURN, NO_MODEL, None)), width=300).split())

    assert (
        "287 visitors logged in and became known users; the profiles of 283 were merged, with 2,345 events; "
        "106 later events of such visitors went to their users"
    ) in text
    example = (
        "visitor-0017 filled a cart (tea-003, tea-004, rugs-001 and 1 more) at 05 Jan 00:00, logged in as shopper-0017 "
        "at 05 Jan 00:01, and got cart_reminder by email at 05 Jan 01:00"
    )
    assert f"for example, {example}" in text


def test_a_figure_that_was_not_measured_is_named_and_not_shown_as_zero() -> None:
    text = shown(closing(summary(NO_CHURN, NO_MODEL, None)))

    assert "AUC -" in text
    assert "no model was graded" in text
    assert "not measured" in text
