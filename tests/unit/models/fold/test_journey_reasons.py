"""Why a user is not in a journey, or gets no message of it: the answer agrees with what the fold then does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from models.batch import Restored
from models.fold.journey_reasons import JourneyNotKnown, why_not
from models.fold.memo import read_memo, versions_in_use
from models.fold.moments import moment
from models.fold.versions import Versions
from models.log import JourneyOrder, JourneyOrders, opening
from models.profile.codec import unpack
from models.profile.links import IdentityOwner, ProfileIdentity
from models.profile.state import Customer
from models.units import DAY, HOUR
from tests.support.event_logs import START, fold_log, written
from tests.unit.models.fold.test_partition_journeys import TRIAL, configuration, consent, custom, known, tick

PLAIN: dict[str, Any] = {
    "name": "trial",
    "enter": {"on": {"event": "Trial Started"}, "again": {"after": "10d"}},
    "exit": [{"after": "30d", "as": "timed_out"}],
    "steps": [
        {"id": "first", "send": "hello"},
        {"id": "setup", "wait": "3d"},
        {"id": "second", "send": "nudge"},
        {"id": "third", "send": "last"},
    ],
}
BEGUN = custom("u1", HOUR, "Trial Started")


def folded(*contents: Any) -> Restored:
    return fold_log(written([opening("feeder"), *contents]), itertools.repeat(1_000))[0]


def answer(state: Restored, name: str = "trial", user: str = "u1") -> dict[str, Any]:
    memo = read_memo(state)
    return why_not(user, unpack(state.records[user.encode()]), memo.now, versions_in_use(state, memo), name)


def checks(found: dict[str, Any]) -> dict[str, bool | None]:
    return {one["check"]: one["passes"] for one in found["checks"]}


def entered(state: Restored) -> int:
    runs = unpack(state.records[b"u1"]).ledger.runs
    return 0 if runs is None else len(runs.active)


def test_a_condition_that_is_false_is_explained_clause_by_clause() -> None:
    journey = {**PLAIN, "enter": {**PLAIN["enter"], "if": {"all": [{"trait": "plan", "is": "pro"}, {"segment": "s"}]}}}
    sections = {"segments": [{"name": "s", "when": {"trait": "email", "is": "u1@example.org"}}]}
    state = folded(configuration(1, journey, **sections), tick(0), known("u1"), tick(HOUR), BEGUN)

    found = answer(state)

    assert entered(state) == 0
    assert (checks(found)["condition"], found["would_enter"]) == (False, False)
    assert found["failing"] == [{"trait": "plan", "is": "pro"}]
    assert [(one["truth"], one["value"]) for one in found["tree"]["of"]] == [(False, "missing"), (True, "in it")]


def test_a_run_under_way_is_shown_and_lets_no_other_one_begin() -> None:
    state = folded(configuration(1, PLAIN), tick(0), known("u1"), consent("u1"), tick(HOUR), BEGUN)

    found = answer(state)

    (run,) = found["runs"]
    assert (run["journey"], run["step"], run["control_group"]) == ("trial", "setup", False)
    assert (checks(found)["under_way"], found["would_enter"]) == (False, False)
    assert [(one["rule"], one["outcome"]) for one in found["decided"]] == [("trial/first", "sent")]


def test_the_rule_of_reentry_names_the_time_from_which_a_run_may_begin() -> None:
    short = {**PLAIN, "steps": [{"id": "first", "send": "hello"}]}
    log = [configuration(1, short), tick(0), known("u1"), consent("u1"), tick(HOUR), BEGUN]

    before, after = answer(folded(*log, tick(10 * DAY))), answer(folded(*log, tick(10 * DAY + HOUR)))

    (again,) = [one for one in before["checks"] if one["check"] == "again"]
    assert (again["passes"], again["until"]) == (False, moment(START + HOUR + 10 * DAY))
    assert (before["would_enter"], after["would_enter"]) == (False, True)
    second = custom("u1", 10 * DAY + HOUR, "Trial Started")
    state = folded(*log, tick(10 * DAY + HOUR), second)
    assert len(unpack(state.records[b"u1"]).ledger.sent) == 2


def test_the_control_group_and_a_pause_are_named() -> None:
    pause = JourneyOrders((JourneyOrder("trial", "pause", entries="drop"),))
    state = folded(configuration(1, {**PLAIN, "holdout": "100%"}), tick(0), known("u1"), tick(HOUR), pause)

    found = checks(answer(state))

    assert (found["control_group"], found["pause"]) == (False, False)


def test_each_message_has_the_decision_of_the_planner_and_the_profile_is_not_changed() -> None:
    caps = [{"messages": 1, "within": "30d"}]
    log = [configuration(1, PLAIN, caps=caps), tick(0), known("u1")]
    without, capped = folded(*log), folded(*log, consent("u1"), tick(HOUR), BEGUN)

    assert [one["reason"] for one in answer(without)["messages"]] == ["no_consent"] * 3
    before = unpack(capped.records[b"u1"])
    found = answer(capped)["messages"]
    assert [(one["step"], one["outcome"], one["reason"]) for one in found] == [
        (step, "dropped", "capped") for step in ("first", "second", "third")
    ]
    assert found[0]["detail"] == "1 in 30d over all channels"
    assert unpack(capped.records[b"u1"]) == before


def test_quiet_hours_give_the_time_at_which_a_message_would_go_out() -> None:
    night = {"from": "20:00", "to": "08:00"}
    state = folded(configuration(1, PLAIN, quiet_hours=night), tick(0), known("u1"), consent("u1"))

    (first, *_) = answer(state)["messages"]

    assert (first["outcome"], first["reason"], first["until"]) == (
        *("deferred", "quiet_hours"),
        moment(START + 10 * HOUR),
    )


@pytest.mark.parametrize(
    ("on", "passes", "said"),
    [
        ({"event": "Trial Started"}, None, "does not count custom events by name"),
        ({"event": "purchase"}, False, "has counted 0 of them"),
        ({"event": "identify", "where": {"email": "a"}}, None, "1 of them; it does not keep whether one met `where`"),
        ({"segment": "s"}, False, "the user is not in it"),
        ({"segment": "mailed"}, None, "only after leaving it and coming back"),
        ({"stage": "at_risk"}, False, "the user is in 'new'"),
        ({"signal": "first_purchase"}, False, "the user has 0 orders"),
        ({"signal": "cart_left", "after": "1h"}, False, "the cart is empty"),
        ({"signal": "churn_risk", "crosses": 0.7}, False, "no risk is known"),
    ],
)
def test_the_trigger_says_what_the_profile_knows(on: dict[str, Any], passes: bool | None, said: str) -> None:
    sections = {
        "segments": [
            {"name": "s", "when": {"trait": "email", "is": "x"}},
            {"name": "mailed", "when": {"trait": "email", "set": True}},
        ],
        "lifecycle": {},
    }
    state = folded(configuration(1, {**PLAIN, "enter": {"on": on}}, **sections), tick(0), known("u1"))

    trigger = answer(state)["checks"][0]

    assert (trigger["check"], trigger["passes"]) == ("trigger", passes)
    assert said in trigger["found"]


def test_with_a_key_the_rules_hold_for_each_of_its_values() -> None:
    start = custom("u1", HOUR, "Trial Started", workspace="w1")
    found = answer(folded(configuration(1, TRIAL), tick(0), known("u1"), tick(HOUR), start))

    assert checks(found)["under_way"] is None
    assert (checks(found)["again"], found["would_enter"]) == (True, None)


def test_a_removed_journey_is_explained_while_a_run_walks_it() -> None:
    log = [configuration(1, PLAIN), tick(0), known("u1"), consent("u1"), tick(HOUR), BEGUN]
    found = answer(folded(*log, configuration(2), tick(2 * HOUR)))

    assert (found["version"], found["checks"], len(found["runs"])) == (None, [], 1)


def test_a_visitor_who_has_logged_in_is_named_with_the_owner_and_a_wrong_name_is_refused() -> None:
    state = folded(configuration(1, PLAIN), tick(0), known("u1"))
    memo = read_memo(state)
    visitor = Customer(identity=ProfileIdentity(owner=IdentityOwner("u1", START, "m1", "merge:1", 3)))
    versions = versions_in_use(state, memo)

    assert why_not("anonymous:a", visitor, memo.now, versions, "trial")["belongs_to"] == "u1"
    with pytest.raises(JourneyNotKnown, match=r"'trail' \(did you mean trial\?\); the journeys are: trial"):
        why_not("u1", visitor, memo.now, versions, "trail")
    with pytest.raises(JourneyNotKnown, match="the configuration in use has no journeys"):
        why_not("u1", visitor, memo.now, Versions(), "trial")
