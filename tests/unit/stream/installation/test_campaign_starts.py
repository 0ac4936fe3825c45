"""The order that starts a campaign, and the starts of all partitions together."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.campaigns.parsing import parse_campaigns
from models.engage.campaigns.orders import decode_campaign
from models.fold.campaign_counts import CampaignCounts
from models.fold.campaign_view import StartState
from models.fold.campaigns_in_use import MAX_OPEN
from models.fold.refused_starts import RefusedStart
from stream.installation.campaign_starts import CannotStart, order_of
from stream.lookup.campaigns import CampaignStates, UnknownCampaign, joined_start

PLAIN: dict[str, Any] = {"name": "spring", "audience": {"trait": "plan", "is": "pro"}, "send": "spring"}
[SPRING] = parse_campaigns([PLAIN])
[LIMITED] = parse_campaigns([{**PLAIN, "at": {"time": "2026-01-01T00:00Z", "if_past": "drop"}}])
NEW_YEAR = 1_767_225_600_000


def state(status: str = "running", end: int = 100, name: str = "s1", start: int = 1, **counts: Any) -> StartState:
    return StartState(name, "spring", 10, end, status, 5, "", CampaignCounts(**counts), start)


def states(*starts: StartState, partial: tuple[str, ...] = ()) -> CampaignStates:
    """Return the states in three partitions, of which one does not know the partial starts."""
    known = {one.id: 2 if one.id in partial else 3 for one in starts}
    numbers = {one.campaign: one.number for one in sorted(starts, key=lambda one: one.number)}
    return CampaignStates(20, 1, ["spring"], list(starts), known, numbers, {}, {})


def test_an_order_has_the_campaign_its_time_and_the_starts_that_were_cancelled() -> None:
    order = order_of(LIMITED, NEW_YEAR - 1, "ada", states(state("cancelled"), state(end=50, name="s2", start=2)), 3)

    assert decode_campaign(bytes(order.campaign)) == LIMITED
    assert (order.order, order.at, order.by, order.excludes) == ("start", NEW_YEAR, "ada", ("s1",))
    assert order.number == 3


def test_two_commands_that_know_the_same_starts_give_the_same_order() -> None:
    assert order_of(SPRING, 20, "", states(), 3) == order_of(SPRING, 99, "", states(), 3)
    assert order_of(SPRING, 20, "", states(), 3).id != order_of(SPRING, 20, "", states(state(end=1)), 3).id


@pytest.mark.parametrize("end", [15, 100], ids=["done", "running"])
def test_a_start_that_has_not_reached_all_partitions_is_repeated_with_its_id(end: int) -> None:
    first = order_of(SPRING, 5, "", states(), 3)
    reached = states(state(end=end, name=first.id), partial=(first.id,))

    again = order_of(SPRING, 20, "", reached, 3)

    assert (again.id, again.number, again.excludes) == (first.id, 1, ())


def test_after_a_part_of_a_start_with_another_definition_its_users_are_left_out() -> None:
    order = order_of(SPRING, 20, "", states(state(end=15, name="old"), partial=("old",)), 3)

    assert (order.number, order.excludes) == (2, ("old",))


@pytest.mark.parametrize(("one", "phase"), [(state(), "running"), (state("paused", 0), "paused")])
def test_a_campaign_that_is_under_way_is_not_started_again(one: StartState, phase: str) -> None:
    with pytest.raises(CannotStart, match=f"'spring' is {phase} "):
        order_of(SPRING, 20, "", states(one), 3)


def test_no_more_campaigns_are_started_than_a_profile_keeps_marks_of() -> None:
    others = [StartState(f"o{n}", f"o{n}", 10, 100, "running", 5, "", CampaignCounts()) for n in range(MAX_OPEN)]

    with pytest.raises(CannotStart, match="32 campaigns are under way already"):
        order_of(SPRING, 20, "", states(*others), 3)
    assert order_of(SPRING, 20, "", states(*others[1:]), 3).number == 1


def test_a_campaign_whose_time_is_over_is_not_started() -> None:
    with pytest.raises(CannotStart, match="if_past: drop"):
        order_of(LIMITED, NEW_YEAR + 1, "", states(), 3)


def test_a_refused_start_says_why() -> None:
    refused = RefusedStart("s1", "spring", 1, "other_definition", "found start 1; allowed: another", 5)
    found = states()._replace(refused={2: (refused,)})

    assert found.refusals("s1") == {2: refused}
    with pytest.raises(UnknownCampaign, match="partition 2: found start 1; allowed: another"):
        found.newest("spring")


def test_a_start_is_paused_only_if_all_partitions_are_and_its_numbers_add_up() -> None:
    whole = joined_start([state(sent=2), state("paused", 0, sent=3)])

    assert (whole.status, whole.users, whole.counts.sent) == ("running", 10, 5)
    assert joined_start([state("paused", 0), state("paused", 0)]).status == "paused"


def test_the_newest_start_of_a_name_counts_and_other_names_are_explained() -> None:
    found = CampaignStates(
        5, 1, ["spring", "summer"], [state(), state(name="s2", start=2)], {"s1": 2, "s2": 2}, {}, {}, {}
    )

    assert found.newest("spring").id == "s2"
    with pytest.raises(UnknownCampaign, match="was not started"):
        found.newest("summer")
    with pytest.raises(UnknownCampaign, match="did you mean spring"):
        found.newest("sprin")
