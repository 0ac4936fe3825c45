"""Conditions on features in the fold: which value they read, silent entries, what is held, and the explanation."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from models.batch import Restored
from models.configuration.parsing import parse
from models.events import Event
from models.exact_math import log1p
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.preview import SegmentPreview
from models.profile import features
from models.profile.codec import unpack
from models.units import DAY, HOUR
from tests.support.event_logs import START, fold_log
from tests.support.lifecycles import purchase
from tests.support.segment_logs import identified, segment_log, segments_in_use, tick, viewed

BUYERS = {"name": "buyers", "when": {"feature": "orders", "at_least": 0.6}}
READERS = {"name": "readers", "when": {"feature": "messages_opened", "more_than": 0}}
NEW = {"name": "new", "when": {"feature": "orders", "at_most": 0}}
LOYAL = {"name": "loyal", "when": {"feature": "activity_7d", "at_least": 1.5, "until_below": 1}}


def bought(number: int, at: int, user: str = "u1") -> Event:
    return purchase(number, START + at, user)


def opened(at: int, user: str = "u1") -> Event:
    return Event(id=f"o{at}", user=user, type="message_opened", at=START + at, origin="simulate", message="m1")


def fold(*contents: Any, size: int = 1_000) -> tuple[Restored, list[tuple[int, str, str, str]]]:
    """Return the state after a log, and the moves: time after the start, user, segment, and the kind."""
    state, given = fold_log(segment_log(*contents), itertools.repeat(size))
    signals = [json.loads(one.value or b"") for o in given for one in o.commit.records if one.topic == "signals"]
    found = [one for one in signals if one["kind"].startswith("segment_")]
    return state, [(one["at"] - START, one["user"], one["name"], one["kind"][8:]) for one in found]


def held(state: Restored, user: str = "u1") -> dict[str, float] | None:
    return unpack(state.records[user.encode()]).ledger.features


def members(state: Restored, *segments: dict[str, Any], user: str = "u1") -> set[str]:
    memo = read_memo(state)
    customer, versions = unpack(state.records[user.encode()]), versions_in_use(state, memo)
    found = (why(user, customer, memo.now, versions, segment["name"]) for segment in segments)
    return {one["segment"] for one in found if one["since"] is not None}


def test_the_event_that_changes_a_feature_enters_and_the_value_is_that_of_the_features_row() -> None:
    state, moves = fold(segments_in_use(1, BUYERS), tick(0), viewed("u1", 0), tick(HOUR), bought(1, HOUR))

    assert moves == [(HOUR, "u1", "buyers", "entered")]
    user = unpack(state.records[b"u1"])
    row = features.row(user.facts, user.ledger.assessed_at)
    assert held(state) == {"orders": row[features.PLACES["orders"]]} == {"orders": log1p(1.0)}


def test_a_first_scored_step_can_meet_a_condition_that_a_missing_value_does_not() -> None:
    assert fold(segments_in_use(1, NEW), tick(0), identified("u1", 0, plan="a"), viewed("u1", 1))[1] == [
        (0, "u1", "new", "entered")
    ]
    assert fold(segments_in_use(1, NEW), tick(0), identified("u1", 0, plan="a"))[1] == []


@pytest.mark.parametrize("size", [1, 1_000])
def test_an_event_after_which_models_do_not_score_changes_no_value_until_the_next_scored_step(size: int) -> None:
    log = (segments_in_use(1, READERS), tick(0), viewed("u1", 0), tick(HOUR), opened(HOUR), tick(2 * HOUR))

    state, moves = fold(*log, size=size)
    assert (held(state), moves) == ({"messages_opened": 0.0}, [])
    state, moves = fold(*log, viewed("u1", 2 * HOUR), size=size)
    assert (held(state), moves) == ({"messages_opened": log1p(1.0)}, [(2 * HOUR, "u1", "readers", "entered")])


def test_a_feature_that_falls_by_itself_is_read_at_the_daily_assessment_with_hysteresis() -> None:
    views = [viewed("u1", number) for number in range(4)]
    days = [tick(day * DAY) for day in range(1, 12)]
    _, moves = fold(segments_in_use(1, LOYAL), tick(0), *views, *days)

    assert [(name, kind) for _, _, name, kind in moves] == [("loyal", "entered"), ("loyal", "left")]
    (_, left) = [at for at, *_ in moves]
    assert left % DAY == 0, "the clock of the assessment is that of its tick"


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_a_feature_that_no_condition_named_is_computed_for_all_users_as_of_the_last_scored_step(size: int) -> None:
    users = [bought(1, 0), viewed("u2", 0), identified("u3", 0, plan="a")]
    log = (tick(0), *users, tick(3 * DAY), segments_in_use(1, BUYERS, NEW, READERS), tick(4 * DAY))

    state, moves = fold(*log, size=size)

    assert moves == []
    assert members(state, BUYERS, NEW, READERS) == {"buyers"}
    assert members(state, BUYERS, NEW, READERS, user="u2") == {"new"}
    assert members(state, BUYERS, NEW, READERS, user="u3") == set()
    assert held(state) == {"orders": log1p(1.0), "messages_opened": 0.0}
    assert held(state, "u3") is None


def test_only_features_that_conditions_name_are_held() -> None:
    log = (segments_in_use(1, BUYERS, READERS), tick(0), bought(1, 0), tick(HOUR))

    assert set(held(fold(*log)[0]) or ()) == {"orders", "messages_opened"}
    changed = fold(*log, segments_in_use(2, BUYERS), tick(HOUR + 1_000))[0]
    assert held(changed) == {"orders": log1p(1.0)}
    plan = {"name": "plan", "when": {"trait": "plan", "is": "a"}}
    assert held(fold(*log, segments_in_use(2, plan), tick(HOUR + 1_000))[0]) is None
    assert held(fold(segments_in_use(1, plan), tick(0), bought(1, 0))[0]) is None


def test_a_feature_that_a_kept_condition_names_stays_as_it_was_issued() -> None:
    log = (segments_in_use(1, READERS), tick(0), viewed("u1", 0), tick(HOUR), opened(HOUR))

    state, moves = fold(*log, segments_in_use(2, READERS, BUYERS), tick(2 * HOUR))

    assert (held(state), moves) == ({"messages_opened": 0.0, "orders": 0.0}, [])


def test_a_move_of_the_lifecycle_reads_a_feature() -> None:
    lifecycle = {
        "defaults": "none",
        "stages": ["visitor", "buyer"],
        "moves": [{"from": "visitor", "to": "buyer", "when": BUYERS["when"]}],
    }
    preview = SegmentPreview(
        parse({"lifecycle": lifecycle, "segments": [{"name": "in", "when": {"lifecycle": "buyer"}}]}, {})
    )
    preview.fold([viewed("u1", 0), bought(1, HOUR), viewed("u2", HOUR)])

    assert [one.user for one in preview.members("in").newest] == ["u1"]


def test_a_preview_reads_features_without_any_model() -> None:
    preview = SegmentPreview(parse({"segments": [BUYERS, NEW]}, {}))
    preview.fold([viewed("u1", 0), bought(1, HOUR), viewed("u2", HOUR)])

    assert not preview.reads_models
    assert [one.user for one in preview.members("buyers").newest] == ["u1"]
    assert [one.user for one in preview.members("new").newest] == ["u2"]


def test_the_value_is_explained() -> None:
    state, _ = fold(segments_in_use(1, BUYERS), tick(0), viewed("u1", 0), tick(HOUR), bought(1, HOUR))
    memo = read_memo(state)

    answer = why("u1", unpack(state.records[b"u1"]), memo.now, versions_in_use(state, memo), "buyers")

    assert (answer["tree"]["truth"], answer["tree"]["value"]) == (True, str(log1p(1.0)))
    assert answer["tree"]["bound"] == {"at_least": 0.6}
