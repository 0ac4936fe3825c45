"""Between a login and its merge, records between the two profiles arrive after any delay, and messages stay right."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from models.events import OrderLine
from models.units import DAY, HOUR, MINUTE
from tests.support.login_gaps import LoginGaps, Pair, cut_again, random_life

CART = {"name": "cart", "when": {"cart_left": {"for": "1h"}}, "template": "plain", "expires_after": "1d"}
LINE = OrderLine("sku1", 1, 5_000_000)
OPEN = {"caps": [], "quiet_hours": {"from": "20:00", "to": "08:00"}}
"""Settings without caps; the tests begin at midnight, so messages wait for the morning."""


def in_the_gap(gaps: LoginGaps, longest: int, steps: int = 12) -> None:
    """Let records arrive one by one, while time passes and delivery reads, but nothing leaves."""
    rng, end = gaps.rng, gaps.persons.now + longest
    for _ in range(rng.randrange(steps)):
        made = rng.random()
        if made < 0.4:
            gaps.arrive()
        elif made < 0.7:
            gaps.wait(rng.randrange(max(end - gaps.persons.now, 0) // 4 + 1))
        elif made < 0.9:
            gaps.deliver(0)
        else:
            gaps.restart()


def with_a_cart(seed: int, **more: Any) -> tuple[LoginGaps, Pair]:
    """Return a person whose visitor has left a cart some time ago, and who may also have one under the user's id.

    The reminder of the visitor's cart may have been decided already; that of the user's own cart has not.
    """
    gaps = LoginGaps(seed, 1, **more)
    (pair,), rng = gaps.pairs, gaps.rng
    gaps.register(pair.user)
    if rng.random() < 0.5:
        gaps.register(pair.visitor)
    ids = rng.choice(((pair.visitor,), (pair.visitor, pair.user), (pair.user, pair.visitor)))
    for one in ids:
        gaps.tell(one, "cart_add", item="sku1", amount=5_000_000)
        gaps.wait(rng.choice((0, MINUTE, 25 * MINUTE) if len(ids) > 1 else (0, 25 * MINUTE, HOUR, 3 * HOUR)))
    return gaps, pair


def in_the_end(gaps: LoginGaps) -> None:
    """Let everything arrive, and check what must hold, also if the log is cut in another way."""
    gaps.settle()
    gaps.pass_days()
    gaps.check_end()
    assert gaps.faults == []
    for size in (1, 7, 500):
        assert cut_again(gaps.persons, size) == []


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_between_login_and_merge_carts_caps_consent_and_counts_are_right(seed: int) -> None:
    gaps = LoginGaps(seed)
    random_life(gaps, 60)
    in_the_end(gaps)


def test_a_life_with_a_fresh_seed_is_right_too() -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")  # shown if the test fails
    gaps = LoginGaps(seed)
    random_life(gaps, 60)
    in_the_end(gaps)


@pytest.mark.parametrize("seed", range(60))
def test_who_logs_in_and_buys_at_once_gets_no_reminder_however_late_the_records_arrive(seed: int) -> None:
    gaps, pair = with_a_cart(seed)
    gaps.log_in(pair)
    longest = gaps.rng.choice((MINUTE, HOUR, 5 * HOUR, DAY))
    if gaps.rng.random() < 0.5:
        in_the_gap(gaps, MINUTE)
    bought = gaps.tell(pair.user, "purchase", amount=5_000_000, lines=(LINE,))
    in_the_gap(gaps, longest)
    in_the_end(gaps)

    assert gaps.mailroom.sent == []
    reminded = [one for one in gaps.decided if one.outcome == "sent" and one.at > bought.at]
    assert {one.user for one in reminded} <= {pair.visitor}  # only while this profile had not read the login


@pytest.mark.parametrize("seed", range(60))
def test_a_withdrawal_between_login_and_merge_stops_marketing(seed: int) -> None:
    gaps, pair = with_a_cart(seed)
    rng = gaps.rng
    gaps.log_in(pair)
    in_the_gap(gaps, HOUR, 5)
    gaps.tell(rng.choice(pair), "consent", granted=False)
    if rng.random() < 0.5:
        gaps.tell(rng.choice(pair), "custom", name="hello")
    in_the_gap(gaps, rng.choice((MINUTE, HOUR, 5 * HOUR)))
    in_the_end(gaps)

    assert gaps.mailroom.sent == []
    assert not gaps.persons.user(pair.user).facts.consent["email"].granted


@pytest.mark.parametrize("seed", range(60))
def test_a_waiting_reminder_goes_on_after_the_merge_and_comes_once(seed: int) -> None:
    more: dict[str, Any] = OPEN if seed % 2 else {"caps": [], "quiet_hours": None}
    gaps, pair = with_a_cart(seed, **more)
    gaps.log_in(pair)
    in_the_gap(gaps, gaps.rng.choice((MINUTE, HOUR, 5 * HOUR)))
    in_the_end(gaps)

    assert 1 <= len(gaps.standing) <= _separate_carts(gaps, pair)
    assert gaps.persons.user(pair.user).ledger.pending == []


def _separate_carts(gaps: LoginGaps, pair: Pair) -> int:
    """Return how many carts there were, one after the other, so that each may have had a reminder."""
    changes = [one for one in gaps.told if one.type == "cart_add" and one.user in pair]
    is_one = len({one.user for one in changes}) == 1
    return 1 if is_one else 2


@pytest.mark.parametrize("seed", range(40))
def test_caps_hold_for_each_profile_until_the_merge_and_for_both_together_after_it(seed: int) -> None:
    gaps = LoginGaps(seed, 1, caps=[{"messages": 1, "within": "2d"}], quiet_hours=None)
    (pair,) = gaps.pairs
    gaps.register(pair.user)
    gaps.register(pair.visitor)
    gaps.log_in(pair)
    for one in (*pair, *pair):
        gaps.tell(one, "custom", name="hello")
    before = [one.user for one in gaps.decided if one.outcome == "sent"]
    gaps.settle()
    after = len(gaps.decided)
    for one in (*pair, *pair):
        gaps.tell(one, "custom", name="hello")
    in_the_end(gaps)

    assert before == [pair.user, pair.visitor]
    assert {one.reason for one in gaps.decided[after:]} == {"capped"}


@pytest.mark.parametrize("late", [0, 1])
def test_a_late_change_of_a_cart_that_the_visitor_was_reminded_of_brings_no_second_reminder(late: int) -> None:
    gaps = LoginGaps(1, 1, rules=[CART], caps=[], quiet_hours=None)
    (pair,) = gaps.pairs
    gaps.register(pair.user)
    gaps.register(pair.visitor)
    filled = gaps.tell(pair.visitor, "cart_add", item="sku1", amount=5_000_000)
    gaps.wait(2 * HOUR)
    gaps.settle()
    gaps.log_in(pair)
    gaps.settle()
    gaps.tell(pair[late], "cart_add", item="sku2", amount=5_000_000, at=filled.at - MINUTE)
    in_the_end(gaps)

    assert [one.user for one in gaps.standing] == [pair.visitor]
