from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.events import OrderLine
from models.profile.reducers import MAX_CATEGORIES, Cutoffs
from models.profile.state import CartLine, Consent
from models.recommend.interactions import MAX_RECENT_ITEMS
from models.units import DAY
from tests.support.event_logs import START
from tests.support.facts import event, facts_of

MINUTE = 60_000


def test_half_an_hour_of_inactivity_ends_a_session() -> None:
    facts = facts_of(*(event("page_view", START + minute * MINUTE) for minute in (0, 30, 61, 200)))

    assert (facts.sessions, facts.session_at) == (3, START + 200 * MINUTE)
    assert (facts.first_seen, facts.last_seen) == (START, START + 200 * MINUTE)
    assert facts.gap == pytest.approx((0.7 * 31 + 0.3 * 139) * MINUTE)


def test_a_late_event_changes_the_first_visit_and_never_the_last_one() -> None:
    facts = facts_of(event("click", START), event("click", START - DAY), cutoffs=Cutoffs(late_before=START))

    assert (facts.first_seen, facts.last_seen, facts.sessions) == (START - DAY, START, 1)


def test_an_order_with_any_number_of_lines_is_counted_once() -> None:
    lines = [event("purchase", START + n, order="o1", amount=2_500_000, currency="GBP") for n in range(3)]
    other = event("purchase", START + 9, order="o2", amount=1_000_000, currency="EUR")

    facts = facts_of(*lines, other, event("refund", START + 10, amount=500_000, currency="GBP"))

    assert (facts.orders, facts.refunds) == (2, 1)
    assert facts.spent == {"GBP": 7_500_000, "EUR": 1_000_000}
    assert facts.refunded == {"GBP": 500_000}


def test_a_cart_is_filled_reduced_and_emptied_by_the_order() -> None:
    filled = [event("cart_add", item="a", quantity=2, amount=5), event("cart_add", START + 1, item="b")]

    facts = facts_of(*filled, event("cart_remove", START + 2, item="a"), event("cart_remove", START + 3, item="b"))
    assert facts.cart == {"a": CartLine(1, 5)}

    ordered = facts_of(*filled, event("purchase", START + 4, lines=(OrderLine("a"),)))
    assert (ordered.cart, ordered.cart_at) == ({}, START + 4)


def test_hours_are_counted_in_the_configured_zone() -> None:
    noon = event("click", START + 12 * 3_600_000)

    assert facts_of(noon).hours.index(1) == 12
    assert facts_of(noon, zone=ZoneInfo("Asia/Tokyo")).hours.index(1) == 21


def test_an_older_grant_never_cancels_a_newer_withdrawal_and_a_withdrawal_without_channel_is_for_all() -> None:
    given = event("consent", START, channel="email", granted=True)
    taken = event("consent", START + DAY, granted=False, reason="unsubscribe link")

    proof: dict[str, Any] = {"event": given.id.encode(), "event_type": "consent"}
    assert facts_of(given).consent == {"email": Consent(True, START, newest_grant=START, everything=0, **proof)}
    proof |= {"event": taken.id.encode(), "everything": START + DAY}
    for order in ([given, taken], [taken, given]):
        consent = facts_of(*order).consent
        assert consent["email"] == Consent(False, START + DAY, "unsubscribe link", newest_grant=START, **proof)
        assert consent["sms"] == Consent(False, START + DAY, "unsubscribe link", **proof)


def test_only_a_grant_newer_than_all_statements_counts_after_a_withdrawal_that_was_read_late() -> None:
    fast = event("consent", START + DAY, channel="email", granted=True)
    withdrawn = event("consent", START, channel="email", granted=False)
    early = event("consent", START + 60_000, channel="email", granted=True)
    late = event("consent", START + DAY + 1, channel="email", granted=True)

    found = facts_of(fast, withdrawn).consent["email"]
    assert (found.granted, found.at, found.newest_grant) == (False, START + DAY, START + DAY)
    assert (found.event, found.event_at) == (withdrawn.id.encode(), START)
    assert not facts_of(fast, withdrawn, early).consent["email"].granted
    assert facts_of(fast, withdrawn, late).consent["email"].granted


def test_traits_are_merged_and_removed_by_null() -> None:
    facts = facts_of(
        event("identify", traits={"email": "a@example.org", "plan": "pro"}), event("identify", traits={"plan": None})
    )
    assert facts.traits == {"email": "a@example.org"}


def test_recent_items_and_categories_are_bounded_and_keep_the_newest_and_the_strongest() -> None:
    facts = facts_of(
        *(event("product_view", START + n, item=f"i{n}", category=f"c{n % 40}") for n in range(100)),
        *(event("purchase", START + 200 + n, lines=(OrderLine("best", category="c0"),)) for n in range(3)),
    )

    assert len(facts.recent) == MAX_RECENT_ITEMS
    assert facts.recent[-1].item == "best"
    assert len(facts.categories) == MAX_CATEGORIES
    assert max(facts.categories, key=lambda name: facts.categories[name]) == "c0"


def test_a_user_keeps_the_least_live_origin() -> None:
    facts = facts_of(event("click"), event("click", START + 1, origin="simulate"), event("click", START + 2))

    assert facts.origin == "simulate"


def test_our_messages_ratings_and_support_are_counted_and_our_messages_are_not_a_visit() -> None:
    facts = facts_of(
        event("message_opened", message="m"), event("rating", rating=4.0), event("rating", START + 1, rating=2.0),
        event("support_message", START + 2, text="help"),
    )  # fmt: skip

    assert facts.messages == {"message_opened": 1}
    assert (facts.ratings, facts.rating_sum, facts.support) == (2, 6.0, 1)
    assert facts_of(event("message_opened")).sessions == 0
