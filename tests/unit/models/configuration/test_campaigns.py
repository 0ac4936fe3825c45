"""Campaigns in the configuration: what is read, and what is refused with its place."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from models.configuration.campaigns.definition import CampaignPace, CampaignTime
from models.configuration.campaigns.parsing import parse_campaigns
from models.configuration.compiled import decode, encode
from models.configuration.levels import require_expressible
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.errors import InvalidConfiguration
from models.units import HOUR, MINUTE
from tests.support.paths import ROOT

PLAIN: dict[str, Any] = {"name": "spring", "audience": {"trait": "plan", "is": "pro"}, "send": "spring"}
TEMPLATES = {name: Template(subject="S", text="T") for name in ("spring", "spring_sale")}


def test_the_example_of_the_page_can_be_applied_and_travels_in_the_log() -> None:
    page = (ROOT / "docs/campaigns.md").read_text()
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None

    [campaign] = (applied := parse(yaml.safe_load(found[1]), TEMPLATES)).campaigns

    assert campaign.pace == CampaignPace(3 * HOUR, 2**64 // 100, 30 * MINUTE)
    assert campaign.at == CampaignTime(1_806_735_600_000, "drop")
    assert (campaign.rule, campaign.approval_above) == ("campaign/spring_sale", 10_000)
    assert decode(encode(applied)) == applied


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"stop_if": {"after": 500}}, "stop_if"),
        ({"experiment": {}}, "experiment"),
        ({"at": {"local": "2027-04-03T09:00Z"}}, "at.local"),
        ({"at": {"local": "2027-04-31T09:00"}}, "at.local"),
        ({"at": {"local": "2027-04-03T09:00", "time": "2027-04-03T09:00Z"}}, "at"),
        ({"at": {"time": "2027-04-03T09:00"}}, "at.time"),
        ({"at": {"time": "2027-04-31T09:00Z"}}, "at.time"),
        ({"at": {"time": "2027-04-03T09:00Z", "if_past": "next_day"}}, "at.if_past"),
        ({"at": {}}, "at"),
        ({"pace": {"per_domain": {"gmail.com": "50/s"}}}, "pace.per_domain"),
        ({"pace": {"first": ["1%"]}}, "pace.first"),
        ({"pace": {"first": ["0%", {"then_wait": "1m"}]}}, "pace.first"),
        ({"pace": {"first": ["1 percent", {"then_wait": "1m"}]}}, "pace.first"),
        ({"category": "transactional", "holdout": "5%"}, "holdout"),
        ({"audience": {"trait": "plan"}}, "audience"),
        ({"goal": {"event": "Bought", "where": {"a": {"same_as": "entry.a"}}, "within": "1d"}}, "goal.where.a.same_as"),
        ({"checked": "later"}, "checked"),
        ({"needs_approval": {"above": -1}}, "needs_approval.above"),
    ],
)
def test_what_is_wrong_or_not_there_yet_is_refused_with_its_place(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse_campaigns([{**PLAIN, **change}])

    assert caught.value.path == f"campaigns[0].{path}"


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"campaigns": [PLAIN, PLAIN]}, "campaigns[1].name"),
        ({"campaigns": [{**PLAIN, "send": "absent"}]}, "campaigns[0].send"),
        ({"campaigns": [{**PLAIN, "purpose": "news"}]}, "campaigns[0].purpose"),
        ({"campaigns": [{**PLAIN, "audience": {"lifecycle": "new"}}]}, "campaigns[0].audience: lifecycle"),
    ],
)
def test_a_campaign_must_fit_the_rest_of_the_file(sections: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse(sections, TEMPLATES)

    assert caught.value.path.startswith(path)


def test_the_first_format_level_has_no_campaigns() -> None:
    with pytest.raises(InvalidConfiguration, match="level 2"):
        require_expressible(parse({"campaigns": [PLAIN]}, TEMPLATES), 1)
