"""docs/reports.md explains exactly the names in the reports, and states the limits of the code."""

from __future__ import annotations

import re

from models.engage.lift import MIN_BUYERS, MIN_USERS
from models.fold.campaign_counts import CampaignCounts
from models.fold.campaign_view import StartState
from models.fold.engagement_report import campaign_report, journey_report
from models.fold.journey_view import JourneyState
from models.fold.message_counts import MessageCounts
from models.profile.conversions import MAX_CONVERSIONS
from tests.support.paths import ROOT
from tests.unit.models.fold.test_engagement_report import COUNTS, OUTLINE

PAGE = (ROOT / "docs" / "reports.md").read_text()


def _table(of: str) -> str:
    (found,) = PAGE.split(f"| name of {of} | value |\n|---|---|\n")[1:]
    return found.split("\n\n")[0]


def _names(of: str) -> set[str]:
    return {name for row in _table(of).splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}


def test_every_name_in_the_reports_is_explained() -> None:
    messages = {"a@email": MessageCounts(sent=1)}
    journey = journey_report(JourneyState("trial", "v", COUNTS, messages=messages, outline=OUTLINE), {})
    start = StartState("s1", "spring", 1, 2, "running", 9, "", CampaignCounts())
    campaign = campaign_report("spring", [start], {"email": MessageCounts()}, {})

    assert _names("the report") == {"as_of", "journeys", *journey}
    assert _names("the lift") == set(journey["lift"])
    assert _names("the messages") == set(journey["messages"][0])
    assert [name for name in (*campaign, *campaign["starts"][0]) if f"`{name}`" not in _table("the report")] == []
    compared = {*journey["lift"]["conversions"], *journey["lift"]["money"][0], *journey["lift"]["treatment"]}
    assert [name for name in compared if f"`{name}`" not in _table("the lift")] == []


def test_the_limits_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())

    assert f"A group of fewer than {MIN_USERS} users" in text
    assert f"fewer than {MIN_BUYERS} conversions" in text
    assert f"the newest {MAX_CONVERSIONS} conversions" in text
