"""Campaigns in the fold: every user of the audience has one turn, in any cut of the log, and as a naive walk says."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from models.batch import Batch, Restored
from models.configuration.campaigns.parsing import parse_campaigns
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import Event
from models.fold.campaign_counts import CampaignCounts, key_of, read_campaign_counts
from models.fold.campaign_preview import forecast
from models.fold.campaign_view import campaigns_of
from models.fold.campaigns_in_use import CAMPAIGNS_KEY, MAX_OPEN, restored_campaigns
from models.fold.memo import read_memo, versions_in_use
from models.fold.partition import PartitionFold
from models.log import CampaignOrder, Control, Tick, Use, opening
from models.profile.campaign_marks import MAX_MARKS, CampaignMark, joined_marks
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.campaign_logs import CAMPAIGNS, CampaignLog, configuration, start
from tests.support.campaign_logs import LATE as LATE_SOURCE
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.naive_campaigns import NaiveCampaigns, Verdict

CUTS: tuple[dict[str, int], ...] = (
    {"size": 7},
    {"size": 500},
    {"size": 1, "restart_every": 1},
    {"size": 7, "restart_every": 1},
    {"size": 40, "max_timers": 1},
    {"size": 40, "max_timers": 3, "restart_every": 1},
)
SEEDS = range(30)
SEGMENT = {"name": "pro", "when": {"trait": "plan", "is": "pro"}}
Results = tuple[dict[bytes, bytes], bytes, list[tuple[str, bytes, bytes | None]]]


def in_batches(log: list[PartitionRecord], size: int, **options: int) -> Results:
    state, given = fold_log(log, itertools.repeat(size), **options)
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for o in given for r in o.commit.records]


def in_pieces(log: list[PartitionRecord], max_steps: int) -> Results:
    state = Restored()
    given = PartitionFold(state, max_steps).fold(Batch("events", 0, log))
    state.apply(given.commit)
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for r in given.commit.records]


def decisions(results: Results) -> list[tuple[str, str, Verdict]]:
    found: list[tuple[str, str, Verdict]] = []
    for topic, _, value in results[2]:
        one: dict[str, Any] = json.loads(value or b"{}") if topic == "decisions" else {}
        if one.get("rule", "").startswith("campaign/"):
            verdict = (one["outcome"], one.get("reason", ""), one["at"])
            found.append((one["signal"]["run"], one["user"], verdict))
    return found


def counts(results: Results, order: str) -> CampaignCounts:
    return read_campaign_counts(results[0].get(key_of(order)))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_user_of_the_audience_has_one_turn_as_a_naive_walk_says(seed: int) -> None:
    contents = CampaignLog(seed).contents()
    naive = NaiveCampaigns()
    naive.follow(contents)

    results = in_batches(written(contents), 50)

    found = decisions(results)
    assert len({(order, user) for order, user, _ in found}) == len(found), "a user was decided twice"
    wanted = {(order, user): how for order, one in naive.starts.items() for user, how in one.decided.items()}
    assert {(order, user): how for order, user, how in found} == wanted
    for order, one in naive.starts.items():
        counted = counts(results, order)
        reasons = [reason for _, reason, _ in one.decided.values()]
        assert counted.sent == reasons.count("")
        assert counted.held_out == reasons.count("held_out")
        assert counted.dropped == {
            why: reasons.count(why) for why in sorted(set(reasons)) if why not in ("", "held_out")
        }
        assert counted.converted == len(one.converted)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_campaigns_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    log = written(CampaignLog(seed).contents())
    reference = in_batches(log, 1)

    for cut in CUTS:
        assert in_batches(log, **cut) == reference, cut
    for steps in (1, 3, 17):
        assert in_pieces(log, steps) == reference, f"pieces of {steps} steps"


def known(user: str, *, plan: str = "pro") -> list[Event | Control]:
    common: dict[str, Any] = {"user": user, "at": START, "origin": "simulate"}
    traits = {"plan": plan, "email": f"{user}@example.org"}
    return [
        Event(id=f"i-{user}", type="identify", traits=traits, **common),
        Event(id=f"c-{user}", type="consent", channel="email", granted=True, **common),
    ]


def opened(users: int, **sections: Any) -> list[Event | Control]:
    people = [one for number in range(users) for one in known(f"u{number}")]
    return [opening("feeder"), Tick(START), configuration(**sections), *people]


def hours(number: int) -> list[Tick]:
    return [Tick(START + at) for at in range(10 * MINUTE, number * HOUR + 1, 10 * MINUTE)]


def rejected(results: Results) -> list[str]:
    return [json.loads(value or b"{}")["reason"] for topic, _, value in results[2] if topic == "events.rejected"]


def reasons(results: Results) -> list[tuple[str, str]]:
    return [(outcome, reason) for _, _, (outcome, reason, _) in decisions(results)]


LATE = CAMPAIGNS["late"]
NIGHT = {"quiet_hours": {"from": "00:00", "to": "06:00"}}


def test_users_who_come_after_the_order_are_not_in_the_audience() -> None:
    order = start(LATE)
    log = written([*opened(5), order, *known("later"), Tick(START + HOUR)])

    results = in_batches(log, 3, restart_every=1)

    assert {user for _, user, _ in decisions(results)} == {f"u{number}" for number in range(5)}
    assert counts(results, order.id) == CampaignCounts(judged=5, audience=5, sent=5)


def test_the_audience_of_the_start_is_that_before_the_first_event_after_it() -> None:
    order = start(CAMPAIGNS["sale"])
    left = Event(id="x", user="u0", type="identify", at=START, origin="simulate", traits={"plan": "free"})
    log = written([*opened(1), order, left, Tick(START + DAY - MINUTE)])

    results = in_batches(log, 1)

    assert counts(results, order.id).audience == 1
    assert len(decisions(results)) == 1


def test_messages_that_wait_for_the_morning_are_counted_and_held_by_a_pause() -> None:
    order = start(LATE)
    begun = [*opened(4, **NIGHT), order, Tick(START + MINUTE)]
    morning = Tick(START + 8 * HOUR + 10 * MINUTE)

    waiting = in_batches(written(begun), 50)
    assert counts(waiting, order.id) == CampaignCounts(judged=4, audience=4, waiting=4)
    released = in_batches(written([*begun, morning]), 50)
    assert counts(released, order.id) == CampaignCounts(judged=4, audience=4, sent=4)
    paused = [*begun, CampaignOrder("pause", order.id), morning]
    assert counts(in_batches(written(paused), 50), order.id).waiting == 4
    resumed = [*paused, CampaignOrder("resume", order.id), Tick(START + 9 * HOUR)]
    assert counts(in_batches(written(resumed), 50), order.id).sent == 4
    cancelled = [*begun, CampaignOrder("cancel", order.id), morning]
    assert reasons(in_batches(written(cancelled), 50))[-4:] == [("dropped", "cancelled")] * 4


def test_a_message_that_waits_is_dropped_if_its_user_has_left_an_audience_that_is_checked_at_the_message() -> None:
    begun = [*opened(1, **NIGHT), start(LATE), Tick(START + MINUTE), Tick(START + 7 * HOUR)]
    muted = Event(id="m", user="u0", type="custom", name="Muted", at=START + 7 * HOUR, origin="simulate")

    results = in_batches(written([*begun, muted, Tick(START + 8 * HOUR + MINUTE)]), 50)

    assert reasons(results) == [("deferred", "quiet_hours"), ("dropped", "left_audience")]


def test_a_start_after_a_cancelled_one_leaves_out_those_who_have_the_message() -> None:
    first = start(LATE)
    again = start(LATE, 2, excludes=(first.id,))
    log = [*opened(2), first, Tick(START + MINUTE), CampaignOrder("cancel", first.id), *known("new"), again]

    results = in_batches(written([*log, Tick(START + HOUR)]), 50)

    assert counts(results, again.id) == CampaignCounts(judged=3, audience=3, sent=1, dropped={"duplicate": 2})


def test_a_start_that_is_repeated_after_its_cancellation_does_not_begin_where_it_had_not_come() -> None:
    first, again = start(LATE), start(LATE, 2)
    log = [*opened(2), CampaignOrder("cancel", first.id), first, Tick(START + HOUR), again, Tick(START + 2 * HOUR)]

    results = in_batches(written(log), 1, restart_every=1)

    assert {order for order, _, _ in decisions(results)} == {again.id}
    assert rejected(results) == ["campaign_refused"]
    [refused] = restored_campaigns(results[0][CAMPAIGNS_KEY]).refused
    assert (refused.id, refused.why) == (first.id, "cancelled_before")


def test_a_start_is_followed_once_and_a_record_without_a_campaign_is_a_dead_letter() -> None:
    order = start(LATE)
    log = [*opened(2), order, order, CampaignOrder("start", "bad"), Tick(START + HOUR)]

    results = in_batches(written(log), 50)

    assert counts(results, order.id).sent == 2
    assert [topic for topic, _, _ in results[2] if topic == "events.rejected"] == ["events.rejected"]


def test_a_second_start_of_a_campaign_that_is_under_way_or_has_the_number_of_one_that_is_over_is_refused() -> None:
    first, changed = start(LATE), parse_campaigns([{**LATE_SOURCE, "expires_after": "1h"}])[0]
    log = [
        *opened(2),
        first,
        start(LATE, 2),
        Tick(START + HOUR),
        start(changed),
        start(LATE, 3),
        Tick(START + 2 * HOUR),
    ]

    results = in_batches(written(log), 1, restart_every=1)

    assert {order for order, _, _ in decisions(results)} == {first.id, start(LATE, 3).id}
    assert rejected(results) == ["campaign_refused"] * 2
    assert [one.why for one in restored_campaigns(results[0][CAMPAIGNS_KEY]).refused] == ["under_way", "number_used"]


def test_a_repeat_of_a_start_of_which_the_partition_has_forgotten_the_order_is_refused() -> None:
    first = start(LATE)
    others = [one for n in range(2, 70) for one in (start(LATE, n), CampaignOrder("cancel", start(LATE, n).id))]
    begun = [*opened(2), first, Tick(START + HOUR), *others]

    results = in_batches(written([*begun, first, Tick(START + 2 * HOUR)]), 500)

    found = restored_campaigns(results[0][CAMPAIGNS_KEY])
    assert found.order(first.id) is None
    assert [one.why for one in found.refused] == ["number_used"]
    assert len(decisions(results)) == 2


@pytest.mark.parametrize("audience", [None, {"trait": "plan", "is": "gold"}], ids=["removed", "changed"])
def test_a_start_whose_definition_is_not_in_use_is_refused_and_says_so(audience: dict[str, str] | None) -> None:
    order, campaigns = start(LATE), [] if audience is None else [{**LATE_SOURCE, "audience": audience}]
    second = configuration(2, campaigns=campaigns, segments=[SEGMENT])
    state, _ = fold_log(written([*opened(3), second, Tick(START + MINUTE)]), itertools.repeat(50))
    log = written([*opened(3), second, Tick(START + MINUTE), order, Tick(START + HOUR)])

    results = in_batches(log, 50)

    assert rejected(results) == ["campaign_refused"]
    assert counts(results, order.id) == CampaignCounts()
    [refused] = restored_campaigns(results[0][CAMPAIGNS_KEY]).refused
    assert (refused.id, refused.why) == (order.id, "other_definition")
    assert forecast(state, order, START + MINUTE).refused == {0: refused.message}
    back = written([*opened(3), second, order, configuration(3), order, Tick(START + 2 * HOUR)])
    results = in_batches(back, 1, restart_every=1)
    assert counts(results, order.id).judged == 3, "it is accepted when its definition is back"
    assert restored_campaigns(results[0][CAMPAIGNS_KEY]).refused == ()


def test_a_campaign_that_the_configuration_no_longer_has_goes_on() -> None:
    order = start(CAMPAIGNS["sale"])
    without = Use("configuration", 2, msgspec.Raw(encode(parse({"segments": [SEGMENT]}, {}))))
    begun = opened(20)
    log = written([*begun, order, Tick(START + MINUTE), without, *hours(4)])

    results = in_batches(log, 1, restart_every=1)

    counted = counts(results, order.id)
    assert counted.judged == counted.audience == 20
    assert counted.held_out > 0
    assert counted.sent > 0
    assert counted.dropped == {"rule_gone": 20 - counted.sent - counted.held_out}  # its template is gone, too


def test_the_marks_of_a_visitor_who_has_the_message_count_for_the_known_user() -> None:
    own, other = [CampaignMark("a", "in", 1)], [CampaignMark("a", "sent", 2, 3), CampaignMark("b", "in", 1)]

    assert joined_marks(own, other) == [CampaignMark("a", "sent", 2, 3)]


def test_a_visitors_message_counts_for_a_user_who_is_new_since_the_start_and_has_no_turn() -> None:
    [joined] = joined_marks([CampaignMark("a", "new", 5)], [CampaignMark("a", "sent", 2, 3, 1)])

    assert joined == CampaignMark("a", "sent", 2, 3, 1, is_new=True)
    assert joined.has_no_turn


SLOW = {**LATE_SOURCE, "name": "slow", "pace": {"over": "48h"}}
MANY = MAX_MARKS + 8


@pytest.mark.parametrize("restart_every", [0, 1])
def test_many_starts_do_not_push_out_what_a_profile_keeps_of_a_start_that_is_under_way(restart_every: int) -> None:
    order = start(parse_campaigns([SLOW])[0])
    begun = [*opened(4, campaigns=[SLOW, LATE_SOURCE]), order, *(one for n in range(6) for one in known(f"later{n}"))]
    others = [one for n in range(1, MANY + 1) for one in (start(LATE, n), Tick(START + n * MINUTE))]

    results = in_batches(written([*begun, *others, Tick(START + 3 * DAY)]), 1, restart_every=restart_every)

    assert counts(results, start(LATE, MANY).id).sent == 10
    assert sorted(user for run, user, _ in decisions(results) if run == order.id) == ["u0", "u1", "u2", "u3"]
    assert counts(results, order.id).judged == 4
    assert len(unpack(results[0][b"u0"]).ledger.campaigns) == MAX_MARKS


def test_many_starts_do_not_push_out_who_has_the_message_of_a_cancelled_one() -> None:
    [slow] = parse_campaigns([SLOW])
    order, again = start(slow), start(slow, 2, excludes=(start(slow).id,))
    others = [one for n in range(1, MANY + 1) for one in (start(LATE, n), Tick(START + 40 * HOUR + n * MINUTE))]
    later = [Tick(START + at * HOUR) for at in range(41, 100)]
    begun = [*opened(6, campaigns=[SLOW, LATE_SOURCE]), order, *hours(40), CampaignOrder("cancel", order.id)]

    results = in_batches(written([*begun, *others, again, *later]), 50)

    sent = counts(results, order.id).sent
    assert 0 < sent < 6
    assert counts(results, again.id) == CampaignCounts(judged=6, audience=6, sent=6 - sent, dropped={"duplicate": sent})


def test_a_start_above_the_number_of_marks_that_a_profile_keeps_is_refused() -> None:
    sources = [{**SLOW, "name": f"slow{number}"} for number in range(MAX_OPEN + 1)]
    orders = [start(one) for one in parse_campaigns(sources)]
    log = [*opened(1, campaigns=sources), *orders, Tick(START + MINUTE)]

    results = in_batches(written(log), 1, restart_every=1)

    found = restored_campaigns(results[0][CAMPAIGNS_KEY])
    assert len(found.orders) == MAX_OPEN <= MAX_MARKS
    assert [(one.id, one.why) for one in found.refused] == [(orders[-1].id, "too_many")]


def test_the_numbers_before_a_start_are_those_of_the_start() -> None:
    order = start(CAMPAIGNS["sale"])
    begun = [*opened(40), *(one for number in range(5) for one in known(f"f{number}", plan="free"))]
    state, _ = fold_log(written(begun), itertools.repeat(50))
    real = in_batches(written([*begun, order, *hours(4)]), 50)

    found = forecast(state, order, START)

    counted = counts(real, order.id)
    assert (found.users, found.audience) == (45, counted.audience)
    assert found.audience == 40
    assert found.sent == {"email": counted.sent}
    assert found.excluded == {"held_out": counted.held_out}
    assert sum(found.hours.values()) == counted.sent
    assert [one["subject"] for one in found.examples] == ["sale"] * 3


def test_a_campaign_is_done_when_the_last_turn_has_come_though_the_clock_does_not_move_further() -> None:
    order = start(CAMPAIGNS["sale"])
    begun = [*opened(20), order]
    state, _ = fold_log(written(begun), itertools.repeat(50))
    [whole] = versions_in_use(state, read_memo(state)).campaigns.orders

    before = campaigns_of(state, versions_in_use(state, read_memo(state)), whole.end - 1).starts[0]
    results = in_batches(written([*begun, Tick(whole.end)]), 50)

    assert (before.phase_at(whole.end - 1), before.phase_at(whole.end)) == ("running", "done")
    assert counts(results, order.id).judged == 20
    assert counts(in_batches(written([*begun, Tick(whole.end - 1)]), 50), order.id).judged < 20
