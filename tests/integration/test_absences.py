"""Absences end on time: the proof of a million users, with fewer of them."""

from __future__ import annotations

import secrets

import pytest

from models.units import SECOND
from tests.benchmarks.broker import a_broker
from tests.proofs import absences
from tests.support.absent_users import TICK_MS, AbsencePlan


def small() -> AbsencePlan:
    return AbsencePlan(
        users=50_000, due=300, moved=50, sample=2_000, window=3 * SECOND, seed=secrets.randbelow(1 << 32)
    )


def test_the_fold_fires_each_absence_at_its_instant_and_looks_at_few_other_users() -> None:
    plan = small()

    expected, found = absences.in_fold(plan)

    assert absences.differences(expected, found.entered) == [], f"seed {plan.seed}"
    assert len(found.entered) == plan.due
    assert found.latest <= TICK_MS
    assert found.timers["clauses"] == plan.due + plan.moved
    assert found.looked_up < plan.users // 20


@pytest.mark.slow
def test_a_worker_fires_each_absence_at_its_instant() -> None:
    plan = small()
    with a_broker("embedded") as broker:
        expected, found = absences.attempt(broker, plan, lead_s=12.0)

    assert absences.differences(expected, found.entered) == [], f"seed {plan.seed}"
    assert len(found.late) == plan.due
    assert absences.share(found.late, 0.5) <= absences.MAX_LATE_MS


def test_a_user_who_enters_at_a_wrong_time_or_not_at_all_is_a_difference() -> None:
    expected, found = absences.in_fold(AbsencePlan(users=200, due=20, moved=5, sample=50, window=SECOND))
    entered = dict(found.entered)
    entered["due-1"] += 1
    del entered["due-2"]
    entered["moved-3"] = 7

    wrong = absences.differences(expected, entered)

    assert [line.partition(":")[0] for line in wrong] == ["due-1", "due-2", "moved-3"]


def test_the_page_shows_the_latest_signal_and_the_users_that_were_looked_at() -> None:
    plan = AbsencePlan(users=200, due=20, moved=5, sample=50, window=SECOND)
    _, folded = absences.in_fold(plan)
    lane = absences.LaneAbsences("a broker", folded.entered, [5.0, 7.0, 41.0], 25, 0.5, 1.0)

    text = absences.page(plan, "abc", folded, lane, 0)

    assert "| from the instant to the signal, most | 41 ms |" in text
    assert f"| users whose state was looked up | {folded.looked_up:,} " in text
