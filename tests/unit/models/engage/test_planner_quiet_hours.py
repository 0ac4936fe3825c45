"""Marketing that waits for quiet hours to end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.configuration.compiled import Configuration, QuietHours
from models.engage.decisions import Decision
from models.engage.quiet_hours import is_quiet
from models.engage.user_zone import zone_of
from models.places import zones
from models.profile.codec import pack, unpack
from models.profile.state import Consent, Customer
from models.units import DAY, HOUR, MINUTE
from tests.support.people import NOW, berlin_ms, configuration, customer, plan, release, rule

NIGHT = QuietHours(21 * 60, 8 * 60)


def _deferred() -> tuple[Configuration, Customer, Decision]:
    using, who = configuration(rule(), quiet=NIGHT), customer(timezone="Europe/Berlin")
    return using, who, plan(using, who, berlin_ms("2024-06-01T23:00"))


def test_marketing_waits_for_the_users_morning() -> None:
    using, who, evening = _deferred()

    morning = release(using, who, evening.until, 4)

    assert (evening.outcome, evening.reason) == ("deferred", "quiet_hours")
    assert evening.until == berlin_ms("2024-06-02T08:00")
    assert [decision.outcome for decision in morning] == ["sent"]
    assert morning[0].id == evening.id
    assert who.ledger.pending == []


def test_nothing_is_released_before_its_time() -> None:
    using, who, evening = _deferred()

    assert release(using, who, evening.until - 1, 4) == ()
    assert len(who.ledger.pending) == 1


def test_a_reminder_of_a_cart_that_was_bought_during_quiet_hours_is_dropped() -> None:
    using, who, evening = _deferred()
    who.facts.cart, who.facts.cart_at = {}, evening.at + HOUR

    morning = release(using, who, evening.until, 4)

    assert [(decision.outcome, decision.reason) for decision in morning] == [("dropped", "cart_changed")]
    assert who.ledger.pending == []


@pytest.mark.parametrize(("before", "reason"), [(HOUR - 1, "cart_changed"), (HOUR, ""), (2 * HOUR, "")])
def test_a_reminder_of_a_cart_that_has_just_changed_comes_later(before: int, reason: str) -> None:
    using, who, evening = _deferred()
    who.facts.cart_at = evening.until - before

    morning = release(using, who, evening.until, 4)

    assert [decision.reason for decision in morning] == [reason]


def test_consent_withdrawn_during_quiet_hours_blocks_the_message() -> None:
    using, who, evening = _deferred()
    who.facts.consent = {channel: Consent(granted=False, at=evening.at + 1) for channel in ("email", "sms")}

    morning = release(using, who, evening.until, 4)

    assert [(decision.outcome, decision.reason) for decision in morning] == [("dropped", "no_consent")]
    assert who.ledger.pending == []


def test_a_rule_deleted_during_quiet_hours_sends_nothing() -> None:
    _, who, evening = _deferred()

    morning = release(configuration(), who, evening.until, 4)

    assert [(decision.outcome, decision.reason) for decision in morning] == [("dropped", "rule_gone")]


def test_a_message_that_waits_has_the_same_id_after_a_restart() -> None:
    using, who, evening = _deferred()

    morning = release(using, unpack(pack(who)), evening.until, 4)

    assert [decision.id for decision in morning] == [evening.id]


def test_at_most_one_marketing_message_of_a_rule_waits() -> None:
    using, who, evening = _deferred()

    again = plan(using, who, evening.at + MINUTE, cause="m2")

    assert (again.outcome, again.reason) == ("dropped", "already_waiting")


UNCERTAIN_ZONES = st.sampled_from(
    [
        {"timezone": "utc+5:30"},
        {"timezone": "PST", "country": "US"},
        {"country": "RU"},
        {"country": "australia"},
        {"country": "Brazil", "phone": None},
        {"phone": "+1 212 555 0100"},
        {"country": "FR", "phone": None},  # France has one zone in Europe
        {"country": "KI"},
        {"phone": None},
    ]
)
"""Traits whose zone follows from the trait ``timezone``, a country, a phone number, or the default."""
CLOCKS_CHANGE = ["2024-03-30T12:00", "2024-10-26T12:00", "2025-03-08T12:00", "2025-11-01T12:00", "2025-04-05T12:00"]
"""Days before a change of the clocks, in Europe, America and Australia."""


@given(
    traits=UNCERTAIN_ZONES,
    start=st.sampled_from(CLOCKS_CHANGE),
    gap=st.integers(0, 72 * 60),
    quiet=st.builds(QuietHours, start=st.integers(17 * 60, 1439), end=st.integers(0, 9 * 60)),
)
@settings(max_examples=300, deadline=None)
def test_no_marketing_is_sent_within_the_quiet_hours_of_any_zone_that_the_user_may_be_in(
    traits: dict[str, Any], start: str, gap: int, quiet: QuietHours
) -> None:
    using, who = configuration(rule(expires_after=5 * DAY), quiet=quiet), customer(**traits)
    now = berlin_ms(start) + gap * MINUTE
    decision = plan(using, who, now)
    if decision.outcome == "deferred":
        assert now < decision.until <= now + 2 * DAY
        now = decision.until
        (decision,) = release(using, who, now, 4)

    assert decision.message is not None, "a deferred message is sent when the quiet hours end"
    answer = zone_of(who.facts.traits, using.timezone)
    shared = [
        at
        for at in range(now, now + DAY, 15 * MINUTE)
        if not any(is_quiet(quiet, zones.zone(name), at) for name in answer.zones)
    ]
    for moment in (now, decision.message.expires - 1):
        wrong = [name for name in answer.zones if is_quiet(quiet, zones.zone(name), moment)]
        assert not wrong or (not shared and answer.name not in wrong)


def test_a_message_that_would_expire_during_quiet_hours_does_not_wait() -> None:
    using, who = configuration(rule(expires_after=HOUR), quiet=NIGHT), customer(timezone="Europe/Berlin")

    decision = plan(using, who, berlin_ms("2024-06-01T23:00"))

    assert (decision.outcome, decision.reason) == ("dropped", "expired")


def test_a_message_sent_in_the_evening_expires_when_quiet_hours_begin() -> None:
    using, who = configuration(rule(), quiet=NIGHT), customer(timezone="Europe/Berlin")

    decision = plan(using, who, berlin_ms("2024-06-01T20:59"))

    assert decision.message is not None
    assert decision.message.expires == berlin_ms("2024-06-01T21:00")


def test_an_unknown_zone_is_replaced_by_the_zone_of_the_phone_and_otherwise_quiet_hours_are_lengthened() -> None:
    using = msgspec.structs.replace(configuration(rule(), quiet=NIGHT), timezone="Asia/Tokyo")
    midnight = NOW // DAY * DAY  # the time is 22:13 UTC: 23:13 in Germany, after seven in Tokyo

    german = plan(using, customer(timezone="../../etc/passwd"))
    unknown = plan(using, customer(timezone="../../etc/passwd", phone=None))

    assert german.until == midnight + DAY + 7 * HOUR, "eight o'clock in Germany"
    assert unknown.until == midnight + DAY + HOUR, "ten o'clock in Tokyo, two hours after the quiet hours end"
