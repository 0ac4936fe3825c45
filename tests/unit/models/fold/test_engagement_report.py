"""Reports about journeys and campaigns: what is compared, what is not, and what is not measured."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.journeys.parsing import parse_journey
from models.fold.campaign_counts import CampaignCounts
from models.fold.campaign_view import StartState
from models.fold.engagement_report import MessagePrice, campaign_report, journey_report
from models.fold.goal_outline import GoalOutline, JourneyOutline, outline_of
from models.fold.journey_counts import JourneyCounts
from models.fold.journey_view import JourneyState
from models.fold.message_counts import MessageCounts

EUR = 1_000_000
OUTLINE = JourneyOutline(GoalOutline(value="amount"), {"a": "", "b": "tone: short"})
COUNTS = JourneyCounts(
    entered=1_000,
    held_out=200,
    converted=180,
    converted_held_out=20,
    active={"v": 3},
    revenue={"EUR": 4_000 * EUR},
    revenue_held_out={"EUR": 400 * EUR},
    squares={"EUR": 120_000.0},
    squares_held_out={"EUR": 9_000.0},
)


def report(outline: JourneyOutline | None = OUTLINE, counts: JourneyCounts = COUNTS, **more: Any) -> dict[str, Any]:
    return journey_report(JourneyState("trial", "v", counts, outline=outline, **more), {})


def test_the_treatment_is_compared_with_the_control_group_in_shares_and_in_money() -> None:
    lift = report()["lift"]

    assert (lift["treatment"]["number"], lift["control"]["number"]) == (800, 200)
    assert (lift["conversions"]["treatment"], lift["conversions"]["control"]) == (0.2, 0.1)
    assert lift["conversions"]["low"] < 0.1 < lift["conversions"]["high"]
    assert lift["conversions"]["is_clear"]
    (money,) = lift["money"]
    assert (money["currency"], money["treatment"], money["control"], money["is_clear"]) == ("EUR", 5.0, 2.0, True)
    assert (lift["reason"], lift["note"]) == (None, None)


@pytest.mark.parametrize(
    ("outline", "counts", "reason"),
    [
        (JourneyOutline(), COUNTS, "there is no goal"),
        (None, COUNTS, "there is no goal"),
        (JourneyOutline(GoalOutline()), JourneyCounts(entered=9), "there is no control group (holdout)"),
        (JourneyOutline(GoalOutline(is_of_sent=True)), COUNTS, "the goal's time begins with the message"),
    ],
)
def test_where_nothing_can_be_compared_the_report_says_why(
    outline: JourneyOutline | None, counts: JourneyCounts, reason: str
) -> None:
    lift = report(outline, counts)["lift"]

    assert (lift["conversions"], lift["money"]) == (None, [])
    assert reason in lift["reason"]


def test_conversions_that_count_each_time_are_no_share() -> None:
    many = JourneyCounts(entered=100, held_out=50, converted=700, converted_held_out=90)

    lift = report(JourneyOutline(GoalOutline(is_repeated=True)), many)["lift"]

    assert lift["conversions"] is None
    assert "only money is compared" in lift["note"]
    assert "several runs" in report(JourneyOutline(GoalOutline(), enters_again=True))["lift"]["note"]


def test_messages_have_the_order_of_the_steps_and_what_no_report_told_is_not_measured() -> None:
    messages = {
        "gone@email": MessageCounts(sent=1),
        "b@sms": MessageCounts(sent=10, outcomes={"sent": 10}, dropped={"capped": 2}, credited=3, revenue={"EUR": EUR}),
        "a@email": MessageCounts(sent=20, outcomes={"delivered": 9, "clicked": 4, "bounced": 2, "suppressed": 5}),
        "b@email": MessageCounts(sent=5, assisted=2),
    }
    prices = {"sms": MessagePrice(0.07, "EUR")}

    found = journey_report(JourneyState("trial", "v", COUNTS, messages=messages, outline=OUTLINE), prices)

    rows = {(row["step"], row["channel"]): row for row in found["messages"]}
    assert list(rows) == [("a", "email"), ("b", "email"), ("b", "sms"), ("gone", "email")]
    a, sms = rows["a", "email"], rows["b", "sms"]
    assert (a["sent"], a["delivered"], a["clicked"], a["failed"], a["cost"]) == (15, 13, 4, 2, None)
    assert (sms["delivered"], sms["clicked"], sms["dropped"], sms["cost"]) == (None, None, {"capped": 2}, {"EUR": 0.7})
    assert (sms["converted"], sms["revenue"], sms["arm"]) == (3, {"EUR": 1.0}, "tone: short")
    assert rows["gone", "email"]["is_removed"]
    (arm,) = found["arms"]
    assert (arm["arm"], arm["sent"], arm["converted"], arm["assisted"], arm["cost"]) == ("tone: short", 15, 3, 2, None)
    assert [(one["channel"], one["sent"], one["cost"]) for one in found["channels"]] == [
        *(("email", 21, None), ("sms", 10, {"EUR": 0.7}))
    ]


def test_each_start_of_a_campaign_has_its_lift() -> None:
    counts = CampaignCounts(sent=700, waiting=10, dropped={"no_consent": 90}, held_out=200, converted=180)
    start = StartState("s1", "spring", 1, 2, "running", 1_000, "", counts, 1, GoalOutline())
    message = {"email": MessageCounts(sent=700, credited=100)}

    found = campaign_report("spring", [start], message, {"email": MessagePrice(0.001, "EUR")})

    (one,) = found["starts"]
    assert (one["lift"]["treatment"]["number"], one["lift"]["control"]["number"]) == (800, 200)
    assert (found["messages"][0]["converted"], found["messages"][0]["cost"]) == (100, {"EUR": 0.7})


def test_the_outline_of_a_journey_names_the_innermost_arm_of_each_message() -> None:
    written = {
        "name": "trial",
        "enter": {"on": {"event": "Begun"}, "again": "always"},
        "exit": [{"after": "9d", "as": "late"}],
        "goal": {"event": "purchase", "within": "5d", "value": "amount", "count": "every"},
        "steps": [
            {"id": "a", "send": "t"},
            {
                "id": "x",
                "experiment": "tone",
                "arms": {
                    "short": {"weight": 1, "do": [{"id": "b", "send": "t"}]},
                    "long": {"weight": 1, "do": [{"id": "c", "send": "t"}]},
                },
            },
        ],
    }

    outline = outline_of(parse_journey(written, ""))

    assert outline.steps == {"a": "", "b": "tone: short", "c": "tone: long"}
    assert outline.goal == GoalOutline(is_repeated=True, value="amount")
    assert outline.enters_again
