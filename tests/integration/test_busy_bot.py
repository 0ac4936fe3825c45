"""One user with very many events harms neither the fold nor others: the proof of a million events, with fewer."""

from __future__ import annotations

import secrets
from collections import Counter

import pytest

from models.conditions.budget import MAX_STATE_BYTES
from tests.proofs import busy_bot
from tests.proofs.busy_bot import BotProof, page, prove
from tests.support.busy_bots import BotCost

EVENTS = 6_000
SEED = secrets.randbelow(1 << 32)


@pytest.fixture(scope="module")
def proof() -> BotProof:
    return prove(EVENTS, SEED)


def test_a_bot_stays_within_its_limits_and_changes_no_other_user(proof: BotProof) -> None:
    assert proof.faults == [], f"seed {SEED}"
    assert proof.run.largest[0] > MAX_STATE_BYTES * 9 // 10
    assert sum(cost.events for cost in proof.run.costs) == EVENTS


def test_a_state_that_is_too_large_a_refused_event_or_a_changed_user_is_a_fault(proof: BotProof) -> None:
    refused = proof.run._replace(counts=proof.run.counts + Counter({("events_rejected", "x"): 1}))
    late = proof.alone._replace(counts=proof.alone.counts + Counter({("events_rejected", "too_late"): 1}))
    for wrong in (
        proof._replace(run=proof.run._replace(largest=(MAX_STATE_BYTES + 1, 0, 0))),
        proof._replace(run=proof.run._replace(largest=(0, 0, 900_001))),
        proof._replace(run=refused),
        proof._replace(alone=late),
        proof._replace(approximate=[]),
        proof._replace(different=["u7"]),
    ):
        assert len(wrong.faults) == 1


def test_a_user_whose_state_depends_on_the_bot_is_found() -> None:
    one, other = (busy_bot.fold(50, seed, has_bot=True).state for seed in (1, 2))

    assert busy_bot.others_of(one).keys() == busy_bot.others_of(other).keys()
    assert busy_bot.others_of(one) != busy_bot.others_of(other)


def test_the_page_shows_the_processor_time_of_the_first_and_the_last_events(proof: BotProof) -> None:
    timed = proof._replace(first=BotCost(50, 0.005), last=BotCost(50, 0.006))

    text = page(timed, EVENTS, SEED, "abc")

    assert "| first 50 events | 100 µs |\n| last 50 events | 120 µs |" in text
    assert timed.growth == pytest.approx(1.2)
