"""A new absence of 90 days on a live log: the proof with 100,000 users, with fewer of them."""

from __future__ import annotations

import secrets

import pytest

from tests.proofs import new_absence
from tests.proofs.new_absence import NewAbsencePlan
from tests.support.brokers import Cluster
from tests.support.known_users import ABSENCE, KnownUsers, in_order
from tests.support.segment_folds import FoldedMove

NOW = 1_767_225_600_000


@pytest.mark.kafka
@pytest.mark.slow
async def test_the_members_are_those_of_a_naive_evaluation_and_none_is_one_by_mistake(kafka: Cluster) -> None:
    plan = NewAbsencePlan(users=2_000, rate=200, partitions=2, rest_s=1, seed=secrets.randbelow(1 << 32))

    found = await new_absence.prove(kafka.connection, plan)

    assert found.wrong == [], f"python -m tests.proofs.new_absence --users 2000 --seed {plan.seed}"
    assert found.members["lapsed"] > 400
    assert found.members["free"] > 200
    assert found.members["silent"] == 0
    assert found.with_history.late
    assert found.from_now.late


def test_the_users_of_the_proof_are_of_every_kind_and_follow_from_the_seed() -> None:
    users, again = KnownUsers(3_000, 7, NOW), KnownUsers(3_000, 7, NOW)

    log = in_order(users.arrivals.values())
    bought = {one.event.user: one.event.at for one in log if one.event.type == "purchase" and one.counts}
    first = {one.event.user: one.event.at for one in reversed(log)}

    assert log == in_order(again.arrivals.values())
    assert all(one.event.at <= one.arrives <= NOW for one in log)
    ages = [NOW - at for at in bought.values()]
    edge = sum(abs(age - ABSENCE) < 20 * 60_000 for age in ages)
    assert edge > 100
    assert sum(age < ABSENCE for age in ages) > 500 < sum(age > ABSENCE for age in ages)
    never = {name for name in users.names if name not in bought}
    assert sum(NOW - first[name] < ABSENCE for name in never if name in first) > 100
    assert sum(NOW - first[name] > ABSENCE for name in never if name in first) > 100
    assert sum(not one.counts for one in log) > 50


def test_a_signal_that_the_naive_evaluation_does_not_have_is_found() -> None:
    users = KnownUsers(50, 1, NOW)
    user = next(name for name, own in users.arrivals.items() if any(one.event.type == "purchase" for one in own))

    wrong = new_absence.wrong_signals(
        users, [FoldedMove(user, "silent", NOW, True), FoldedMove(user, "lapsed", NOW + 91 * 86_400_000, False)]
    )

    assert len(wrong) == 2
