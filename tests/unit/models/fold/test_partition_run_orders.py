"""Orders about runs in the fold: moves, ends and pauses of journeys, with their messages, in batches of any size."""

from __future__ import annotations

from typing import Any

import pytest

from models.configuration.journeys.parsing import parse_journey
from models.configuration.journeys.versions import version_of
from models.fold.journey_counts import JourneyCounts
from models.log import JourneyOrder, JourneyOrders
from models.units import DAY, HOUR
from tests.unit.models.fold.test_partition_journeys import (
    SIZES,
    TRIAL,
    configuration,
    consent,
    counts,
    custom,
    fold,
    known,
    log,
    moves,
    sent,
    tick,
)

PAUSED: dict[str, Any] = {**TRIAL, "steps": [{"id": "rest", "wait": "2d"}, {"id": "first", "send": "hello"}]}
NIGHT = {"from": "00:00", "to": "08:00"}


def order(kind: Any, journey: dict[str, Any] | None = None, **more: Any) -> JourneyOrders:
    version = "" if journey is None else version_of(parse_journey(journey, ""))
    return JourneyOrders((JourneyOrder("trial", kind, version, **more),))


def entered(*contents: Any, journey: dict[str, Any] = PAUSED, **sections: Any) -> list[Any]:
    start = custom("u1", HOUR, "Trial Started", workspace="w1", plan="pro")
    return log(configuration(1, journey, **sections), known("u1"), consent("u1"), start, *contents)


@pytest.mark.parametrize("size", SIZES)
def test_a_run_moves_by_the_id_of_its_step_and_its_wait_keeps_its_start(size: int) -> None:
    after = {
        **TRIAL,
        "steps": [{"id": "new", "send": "nudge"}, {"id": "rest", "wait": "3d"}, {"id": "b", "send": "last"}],
    }
    records = entered(tick(DAY), configuration(2, after), order("move", after))

    state, outputs = fold(records, size)

    assert sent(outputs) == [(HOUR + 3 * DAY, "trial/b", "last pro")]
    assert counts(state) == JourneyCounts(entered=1, ended={"completed": 1})


@pytest.mark.parametrize("size", SIZES)
def test_a_shortened_wait_that_is_over_is_released_within_the_spread_and_not_later_than_before(size: int) -> None:
    after = {**PAUSED, "steps": [{"id": "rest", "wait": "1h"}, {"id": "first", "send": "hello"}]}
    records = entered(tick(DAY), configuration(2, after), order("move", after, spread=HOUR))

    _, outputs = fold(records, size)

    [(at, *_)] = sent(outputs)
    assert DAY < at <= DAY + 2 * HOUR  # the clock of this log moves once in an hour
    late = entered(tick(DAY), configuration(2, after), order("move", after, spread=90 * DAY))
    assert sent(fold(late, size)[1])[0][0] == HOUR + 2 * DAY


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [None, "pause"])
def test_a_run_in_a_removed_step_goes_where_it_is_sent_or_ends(size: int, target: str | None) -> None:
    after = {**TRIAL, "steps": [{"id": "pause", "wait": "4d"}, {"id": "third", "send": "last"}]}
    if target is not None:
        after["moved_to"] = {"rest": target}
    records = entered(tick(DAY), configuration(2, after), order("move", after))

    state, outputs = fold(records, size)

    if target is None:
        assert (sent(outputs), counts(state).ended) == ([], {"step_removed": 1})
        assert moves(outputs)[-1] == (DAY, "ended", "step_removed")
    else:
        assert sent(outputs) == [(HOUR + 4 * DAY, "trial/third", "last pro")]


@pytest.mark.parametrize("size", SIZES)
def test_an_order_about_another_version_than_the_one_in_use_is_passed_over(size: int) -> None:
    records = entered(tick(DAY), configuration(2, TRIAL), order("exit", PAUSED))

    assert [step for _, step, _ in sent(fold(records, size)[1])] == ["trial/first"]


@pytest.mark.parametrize("size", SIZES)
def test_an_exit_of_a_version_ends_its_runs_at_its_place_and_drops_their_waiting_messages(size: int) -> None:
    records = entered(
        *(tick(2 * HOUR), configuration(2, PAUSED, quiet_hours=NIGHT), order("exit", PAUSED)),
        journey=TRIAL,
        quiet_hours=NIGHT,
    )

    state, outputs = fold(records, size)

    assert sent(outputs) == []
    assert moves(outputs)[-1] == (2 * HOUR, "ended", "version_ended")
    dropped = [(one["rule"], one["reason"]) for topic, one in outputs if one.get("outcome") == "dropped"]
    assert dropped == [("trial/first", "exited")]
    assert (counts(state).active, counts(state).ended) == ({}, {"version_ended": 1})


@pytest.mark.parametrize("size", SIZES)
def test_a_paused_run_is_held_at_its_step_and_goes_on_after_the_pause(size: int) -> None:
    records = entered(tick(DAY), order("pause"), tick(2 * DAY + 10 * HOUR), order("resume", spread=2 * HOUR))

    state, outputs = fold(records, size)

    [(at, *rest)] = sent(outputs)
    assert (rest, counts(state).held, counts(state).ended) == (["trial/first", "hello pro"], 0, {"completed": 1})
    assert 2 * DAY + 10 * HOUR < at <= 2 * DAY + 13 * HOUR


@pytest.mark.parametrize("size", SIZES)
def test_a_held_message_that_is_too_old_is_dropped_and_the_run_goes_on(size: int) -> None:
    journey = {**PAUSED, "steps": [*PAUSED["steps"], {"id": "more", "wait": "1d"}, {"id": "third", "send": "last"}]}
    records = entered(tick(DAY), order("pause"), tick(5 * DAY), order("resume"), journey=journey)

    _, outputs = fold(records, size)

    dropped = [(one["rule"], one["reason"]) for topic, one in outputs if one.get("outcome") == "dropped"]
    assert dropped == [("trial/first", "expired")]
    assert sent(outputs) == [(6 * DAY + HOUR, "trial/third", "last pro")]  # the release is a moment after five days


@pytest.mark.parametrize("size", SIZES)
def test_an_exit_acts_during_a_pause_and_a_held_run_is_counted_no_more(size: int) -> None:
    bought = custom("u1", 3 * DAY, "Subscribed", workspace="w1")
    records = entered(tick(DAY), order("pause"), bought, tick(4 * DAY), order("resume"))

    state, outputs = fold(records, size)

    assert (sent(outputs), counts(state).held, counts(state).ended) == ([], 0, {"converted": 1})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("entries", ["hold", "drop"])
def test_new_entries_are_held_or_dropped(size: int, entries: Any) -> None:
    first = custom("u1", 2 * HOUR, "Trial Started", workspace="w1", plan="pro")
    start = [configuration(1, TRIAL), known("u1"), consent("u1"), tick(HOUR), order("pause", entries=entries)]
    records = log(*start, first, tick(5 * HOUR), order("resume"))

    state, outputs = fold(records, size)

    if entries == "drop":
        assert (sent(outputs), counts(state).refused) == ([], {"paused": 1})
    else:
        assert [step for _, step, _ in sent(outputs)] == ["trial/first", "trial/second", "trial/third"]
        assert 5 * HOUR < sent(outputs)[0][0] <= 7 * HOUR


@pytest.mark.parametrize("size", SIZES)
def test_a_message_that_waits_for_the_end_of_quiet_hours_is_held_too(size: int) -> None:
    paused = [tick(2 * HOUR), order("pause"), tick(12 * HOUR)]

    _, held = fold(entered(*paused, journey=TRIAL, quiet_hours=NIGHT), size)
    _, outputs = fold(entered(*paused, order("resume", spread=HOUR), journey=TRIAL, quiet_hours=NIGHT), size)

    assert "trial/first" not in [step for _, step, _ in sent(held)]
    at, step, _ = sent(outputs)[0]
    assert (step, 12 * HOUR < at <= 14 * HOUR) == ("trial/first", True)


@pytest.mark.parametrize("size", SIZES)
def test_a_held_message_is_sent_although_another_one_was_decided_during_a_pause_that_ends_before_its_wait(
    size: int,
) -> None:
    rule = {"name": "receipt", "category": "transactional", "when": {"event": "Paid"}, "template": "last"}
    paused = [order("pause"), tick(3 * HOUR), custom("u1", 3 * HOUR, "Paid"), tick(5 * HOUR)]
    contents = entered(*paused, order("resume"), tick(30 * HOUR), journey=TRIAL, quiet_hours=NIGHT, rules=[rule])

    _, outputs = fold(contents, size)

    assert [step for _, step, _ in sent(outputs)][:2] == ["receipt", "trial/first"]
    assert sent(outputs)[1][0] == 10 * HOUR
