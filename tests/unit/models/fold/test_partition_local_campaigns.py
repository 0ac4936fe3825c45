"""Campaigns at a local time: each user gets the message at this time in the own zone, over changes of clocks."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Restored
from models.configuration.campaigns.definition import CampaignTime
from models.configuration.campaigns.parsing import parse_campaigns
from models.engage.campaigns.local_turns import MAX_LOCAL_WAIT_MS, local_begin
from models.events import Event
from models.fold.campaign_counts import key_of, read_campaign_counts
from models.fold.campaign_preview import forecast
from models.fold.campaign_view import campaigns_of
from models.fold.memo import read_memo, versions_in_use
from models.log import CampaignOrder, Control, Tick, opening
from models.places import zones
from models.units import DAY, HOUR, MINUTE
from tests.support.campaign_logs import SALE, configuration, start
from tests.support.event_logs import START, fold_log, written

ZONES = ("Pacific/Kiritimati", "Asia/Kolkata", "Europe/Berlin", "UTC", "America/Santiago", "Pacific/Niue")
Contents = list[Event | Control]


def local(at: str = "2026-01-02T09:00", if_past: str = "now", **more: Any) -> dict[str, Any]:
    sale = {**SALE, "pace": {"over": "10m"}, "holdout": None, "expires_after": "6h", **more}
    return {**sale, "at": {"local": at, "if_past": if_past}, "audience": {"trait": "plan", "is": "pro"}}


def people() -> Contents:
    found: Contents = [opening("feeder"), Tick(START)]
    for number, zone in enumerate(ZONES):
        user, common = f"u{number}", {"at": START, "origin": "simulate"}
        traits = {"plan": "pro", "email": f"{user}@example.org", "timezone": zone}
        found.append(Event(id=f"i{number}", user=user, type="identify", traits=traits, **common))  # type: ignore[arg-type]
        found.append(Event(id=f"c{number}", user=user, type="consent", channel="email", granted=True, **common))  # type: ignore[arg-type]
    return found


def started(written_form: dict[str, Any], at: int) -> tuple[Contents, CampaignOrder]:
    [campaign] = parse_campaigns([written_form])
    assert campaign.at is not None
    use = configuration(campaigns=[written_form])
    order = start(campaign, at=campaign.at.first)
    return [*people(), use, *ticks(0, at), order], order


def ticks(begin: int, end: int) -> list[Tick]:
    return [Tick(START + at) for at in range(begin, end + 1, 10 * MINUTE)]


def fold(contents: Contents, **cut: int) -> tuple[Restored, list[dict[str, Any]]]:
    state, given_out = fold_log(written(contents), itertools.repeat(cut.pop("size", 50)), **cut)
    records = [record for one in given_out for record in one.commit.records]
    return state, [json.loads(one.value) for one in records if one.topic == "decisions" and one.value]


def sent(decisions: list[dict[str, Any]]) -> dict[str, int]:
    return {one["user"]: one["at"] - START for one in decisions if one["outcome"] == "sent"}


CUTS: tuple[dict[str, int], ...] = (
    {"size": 1, "restart_every": 1},
    {"size": 7},
    {"size": 40, "max_timers": 1},
    {"size": 5_000},
)


@pytest.mark.parametrize("cut", CUTS)
def test_each_user_gets_the_message_at_the_time_of_the_own_zone(cut: dict[str, int]) -> None:
    begun, order = started(local(), HOUR)
    contents = [*begun, *ticks(HOUR, 2 * DAY)]

    state, decisions = fold(contents, **cut)

    nine = datetime.fromisoformat("2026-01-02T09:00")
    for number, zone in enumerate(ZONES):
        instant = int(nine.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000) - START
        assert 0 <= sent(decisions)[f"u{number}"] - instant <= 10 * MINUTE
    assert fold(contents, size=50)[0].records == state.records
    assert read_campaign_counts(state.records[key_of(order.id)]).sent == len(ZONES)


@pytest.mark.parametrize(
    ("if_past", "late"), [("now", ["sent", "sent"]), ("drop", ["dropped", "dropped"]), ("next_day", ["sent", "sent"])]
)
def test_what_follows_for_users_whose_time_was_over_at_the_start(if_past: str, late: list[str]) -> None:
    at = DAY + 4 * HOUR  # 09:00 of 2 January is over in Kiritimati (19:00 UTC of the day before) and in Kolkata
    begun, _ = started(local(if_past=if_past), at)

    _, decisions = fold([*begun, *ticks(at, 4 * DAY)])

    last = {one["user"]: (one["outcome"], one.get("reason", ""), one["at"] - START) for one in decisions}
    assert [last[user][0] for user in ("u0", "u1")] == late
    if if_past == "drop":
        assert last["u0"][1] == "expired"
    if if_past == "now":
        assert last["u0"][2] < at + 20 * MINUTE
    if if_past == "next_day":
        assert 0 <= last["u0"][2] - (DAY + 19 * HOUR) <= 10 * MINUTE
    assert all(last[f"u{number}"][0] == "sent" for number in range(2, len(ZONES)))


def test_everything_is_checked_again_at_the_local_time_and_a_cancellation_drops_what_waits() -> None:
    begun, order = started(local(checked="at_start_and_at_send"), HOUR)
    common: dict[str, Any] = {"origin": "simulate", "at": START + 20 * HOUR}
    changes = [
        Event(id="x", user="u3", type="consent", channel="email", granted=False, **common),
        Event(id="y", user="u4", type="identify", traits={"plan": "free"}, **common),
    ]
    waiting = [*begun, *ticks(HOUR, 20 * HOUR), *changes]

    _, decisions = fold([*waiting, *ticks(20 * HOUR, 2 * DAY)])

    last = {one["user"]: one.get("reason", "") for one in decisions}
    assert (last["u2"], last["u3"], last["u4"]) == ("", "no_consent", "left_audience")
    cancelled = [*waiting, CampaignOrder("cancel", order.id), *ticks(20 * HOUR, 2 * DAY)]
    assert {one.get("reason", "") for one in fold(cancelled)[1][-4:]} == {"cancelled"}


def test_a_campaign_whose_messages_wait_is_waiting_and_not_done() -> None:
    begun, order = started(local(), HOUR)
    phases = []
    for hours in (1, 20, 46):
        state, _ = fold([*begun, *ticks(HOUR, hours * HOUR)])
        memo = read_memo(state)
        [one] = campaigns_of(state, versions_in_use(state, memo), memo.now).starts
        phases.append(one.phase_at(memo.now))

    assert phases == ["waiting", "waiting", "done"]
    assert order.id


def test_the_numbers_before_a_start_are_those_of_the_local_times() -> None:
    begun, order = started(local(), HOUR)
    state, _ = fold(begun[:-1])

    found = forecast(state, order, START + HOUR)

    assert (dict(found.sent), found.deferred, dict(found.excluded)) == ({"email": len(ZONES)}, 0, {})
    assert len(found.hours) == len(ZONES)


@given(
    minute=st.integers(0, 365 * 24 * 60),
    name=st.sampled_from((*ZONES, "Australia/Lord_Howe", "America/St_Johns")),
    late=st.integers(-3 * DAY, 5 * DAY),
)
@settings(max_examples=300, deadline=None)
def test_a_local_begin_shows_its_time_or_is_the_first_instant_after_a_gap(minute: int, name: str, late: int) -> None:
    wall = datetime.fromisoformat("2026-01-01T00:00") + timedelta(minutes=minute)
    at = CampaignTime(int(wall.replace(tzinfo=UTC).timestamp()) * 1000, "next_day", is_local=True)
    zone = zones.zone(name)
    ordered = at.time + late

    found = local_begin(at, zone, ordered)

    assert found is not None
    assert at.first <= local_begin(at, zone, 0) <= at.last  # type: ignore[operator]
    assert ordered <= found
    assert found <= max(ordered, at.last) + DAY + HOUR
    assert found - max(ordered, at.first) <= MAX_LOCAL_WAIT_MS
    shown = datetime.fromtimestamp(found / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    before = datetime.fromtimestamp(found / 1000 - 60, UTC).astimezone(zone).replace(tzinfo=None)
    is_shown = (shown.hour, shown.minute) == (wall.hour, wall.minute)
    clock = timedelta(hours=wall.hour, minutes=wall.minute)
    is_before = before - before.replace(hour=0, minute=0) < clock
    assert is_shown or (is_before and shown - before > timedelta(minutes=1))
