"""The order that starts a campaign, and the starts of all partitions together."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.campaigns.parsing import parse_campaigns
from models.engage.campaigns.orders import decode_campaign
from models.fold.campaign_counts import CampaignCounts
from models.fold.campaign_view import StartState
from stream.installation.campaign_starts import CannotStart, order_of
from stream.lookup.campaigns import CampaignStates, UnknownCampaign, joined_start

PLAIN: dict[str, Any] = {"name": "spring", "audience": {"trait": "plan", "is": "pro"}, "send": "spring"}
[SPRING] = parse_campaigns([PLAIN])
[LIMITED] = parse_campaigns([{**PLAIN, "at": {"time": "2026-01-01T00:00Z", "if_past": "drop"}}])
NEW_YEAR = 1_767_225_600_000


def state(status: str = "running", end: int = 100, name: str = "s1", **counts: Any) -> StartState:
    return StartState(name, "spring", 10, end, status, 5, "", CampaignCounts(**counts))


def test_an_order_has_the_campaign_its_time_and_the_starts_that_were_cancelled() -> None:
    order = order_of(LIMITED, NEW_YEAR - 1, "ada", [state("cancelled"), state(end=50, name="s2")])

    assert decode_campaign(bytes(order.campaign)) == LIMITED
    assert (order.order, order.at, order.by, order.excludes) == ("start", NEW_YEAR, "ada", ("s1",))
    assert order.id != order_of(LIMITED, NEW_YEAR - 2, "ada", []).id


@pytest.mark.parametrize(("one", "phase"), [(state(), "running"), (state("paused", 0), "paused")])
def test_a_campaign_that_is_under_way_is_not_started_again(one: StartState, phase: str) -> None:
    with pytest.raises(CannotStart, match=f"'spring' is {phase} "):
        order_of(SPRING, 20, "", [one])


def test_a_campaign_whose_time_is_over_is_not_started() -> None:
    with pytest.raises(CannotStart, match="if_past: drop"):
        order_of(LIMITED, NEW_YEAR + 1, "", [])


def test_a_start_is_paused_only_if_all_partitions_are_and_its_numbers_add_up() -> None:
    whole = joined_start([state(sent=2), state("paused", 0, sent=3)])

    assert (whole.status, whole.users, whole.counts.sent) == ("running", 10, 5)
    assert joined_start([state("paused", 0), state("paused", 0)]).status == "paused"


def test_the_newest_start_of_a_name_counts_and_other_names_are_explained() -> None:
    found = CampaignStates(5, 1, ["spring", "summer"], [state(), state(name="s2")], {"s1": 2, "s2": 2})

    assert found.newest("spring").id == "s2"
    with pytest.raises(UnknownCampaign, match="was not started"):
        found.newest("summer")
    with pytest.raises(UnknownCampaign, match="did you mean spring"):
        found.newest("sprin")
