"""Decisions of two configurations about the same events are compared message by message."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from models.engage.decisions import Decision
from models.engage.planned import MAX_EXAMPLES, MAX_MOVE_MS, PlanDifference, PlannedMessages, change_of
from models.profile.signals import Signal
from models.units import HOUR


def _decision(user: str, cause: str, at: int, rule: str = "hello", **more: Any) -> Decision:
    said = {"outcome": "sent", "category": "marketing", "channel": "email", "why": "", "configuration": 1, **more}
    signal = Signal(kind="event", user=user, at=at, cause=cause)
    return Decision(id=f"{user}-{rule}-{cause}-{at}", user=user, rule=rule, signal=signal, at=at, **said)


def _difference(present: list[Decision], proposed: list[Decision]) -> PlanDifference:
    sides = PlannedMessages(), PlannedMessages()
    for side, decisions in zip(sides, (present, proposed), strict=True):
        side.add(decisions, {})
    found = PlanDifference()
    found.add(*sides)
    return found


def test_each_kind_of_change_is_found() -> None:
    capped: dict[str, Any] = {"outcome": "dropped", "reason": "capped", "detail": "1 in 7d"}
    found = _difference(
        [
            _decision("same", "e1", 5),
            _decision("gone", "e1", 5),
            _decision("capped", "e1", 5),
            _decision("late", "e1", 5),
            _decision("other", "e1", 5),
            _decision("not", "e1", 5, **capped),
        ],
        [
            _decision("same", "e1", 5),
            _decision("new", "e1", 5),
            _decision("capped", "e1", 5, **capped),
            _decision("late", "e1", 9),
            _decision("other", "e1", 5, channel="sms"),
            _decision("not", "e1", 5, outcome="dropped", reason="no_consent"),
        ],
    )

    assert {change.key.user: change.kind for change in found.examples} == {
        "new": "new",
        "gone": "gone",
        "capped": "gone",
        "late": "moved",
        "other": "channel",
        "not": "reason",
    }
    assert found.reasons == Counter({"not decided": 1, "capped": 1})
    assert found.sent == {"hello": [5, 4]}


def test_the_newest_decision_about_a_message_counts() -> None:
    deferred = _decision("ada", "e1", 5, outcome="deferred", reason="quiet_hours")
    assert not _difference([_decision("ada", "e1", 9)], [deferred, _decision("ada", "e1", 9)]).totals
    assert _difference([_decision("ada", "e1", 9)], [deferred]).totals == Counter(gone=1)


def test_a_message_of_a_timer_belongs_to_the_nearest_one_of_the_other_side() -> None:
    present = [_decision("ada", f"timer:cart:hello:{at}", at) for at in (HOUR, 100 * HOUR)]
    proposed = [
        _decision("ada", f"timer:cart:hello:{at}", at) for at in (2 * HOUR, 101 * HOUR, 101 * HOUR + MAX_MOVE_MS)
    ]
    found = _difference(present, proposed)

    assert found.totals == Counter(moved=2, new=1)
    moves = [(one.present.at, one.proposed.at) for one in found.examples if one.present and one.proposed]
    assert sorted(moves) == [(HOUR, 2 * HOUR), (100 * HOUR, 101 * HOUR)]


def test_messages_of_timers_far_apart_are_two_messages() -> None:
    far = HOUR + MAX_MOVE_MS + 1
    found = _difference([_decision("ada", "timer:x:1", HOUR)], [_decision("ada", "timer:x:2", far)])
    assert found.totals == Counter(new=1, gone=1)


def test_the_numbers_agree_whatever_is_compared() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        sides = [
            [
                _decision(f"u{chance.randrange(4)}", chance.choice(("e1", "e2", "timer:a:1", "timer:a:2")), at)
                for at in sorted(chance.sample(range(50), chance.randrange(12)))
            ]
            for _ in range(2)
        ]
        found = _difference(*sides)
        before, after = found.sent["hello"]
        assert after - before == found.totals["new"] - found.totals["gone"], seed
        assert sum(found.reasons.values()) == found.totals["gone"]
        assert not _difference(sides[0], sides[0]).totals


def test_there_is_a_limit_of_examples_and_they_are_the_same_in_each_run() -> None:
    many = [_decision(f"u{number}", "e1", number) for number in range(500)]
    found, again = _difference([], many), _difference([], many[::-1])

    assert len(found.examples) == MAX_EXAMPLES
    assert found.examples == again.examples
    assert found.totals == Counter(new=500)


def test_decisions_not_to_send_are_no_change_if_the_other_side_decides_nothing() -> None:
    dropped = _decision("ada", "e1", 5, outcome="dropped", reason="capped")
    assert not _difference([dropped], []).totals
    assert change_of(None, None) is None
