from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.configuration.compiled import Cap, Configuration, QuietHours
from models.configuration.templates import Template
from models.delivery.messages import encode_message
from models.engage.caps import MIN_KEPT
from models.engage.decisions import Decision, encode_decision
from models.engage.planner import MAX_HELD, Planner
from models.engage.proposal import MAX_WAITING_BYTES
from models.engage.quiet_hours import is_quiet
from models.engage.recipient import Recipient
from models.engage.user_zone import zone_of
from models.events import Channel
from models.places import zones
from models.profile.codec import pack, unpack
from models.profile.signals import Signal
from models.profile.state import CartLine, Consent, Customer
from models.units import DAY, HOUR, MINUTE
from tests.support.people import NOW, configuration, customer, rule, signal

NIGHT = QuietHours(21 * 60, 8 * 60)


def _release(using: Configuration, who: Customer, now: int, version: int) -> tuple[Decision, ...]:
    return Planner(using, version).release(Recipient("u1", who, now))


def _plan(using: Configuration, who: Customer, now: int = NOW, cause: str = "m1", at: int | None = None) -> Decision:
    triggered = signal(at=now if at is None else at, cause=cause)
    return Planner(using, 3).plan(using.rules[0], triggered, Recipient("u1", who, now))


def test_a_message_that_nothing_blocks_is_sent_and_says_why() -> None:
    who = customer()
    who.facts.cart = {"sku1": CartLine(quantity=2, price=5_000_000)}

    decision = _plan(configuration(rule()), who)

    message = decision.message
    assert message is not None
    assert (decision.outcome, decision.reason, decision.channel) == ("sent", "", "email")
    assert (message.to, message.subject, message.origin) == ("ada@example.com", "You left 2 items", "live")
    assert message.text.startswith("Hello Ada, 10.00 waits.")
    assert (message.at, message.expires) == (NOW, NOW + DAY)
    assert message.why == "cart_left (configuration 3): cart left with 1 item"
    assert [(sent.id, sent.rule, sent.at) for sent in who.ledger.sent] == [(message.id, "cart_left", NOW)]
    assert who.ledger.fired == {"cart_left": NOW}


def test_the_least_live_origin_of_a_user_stands_on_the_message() -> None:
    who = customer()
    who.facts.origin = "replay"

    decision = _plan(configuration(rule()), who)

    assert decision.message is not None
    assert decision.message.origin == "replay"


@pytest.mark.parametrize(
    ("who", "reason", "blocked"),
    [
        (customer(consent=()), "no_consent", {"email": "no_consent", "sms": "no_consent"}),
        (customer(consent=("email",), email="nowhere"), "no_address", {"email": "no_address", "sms": "no_consent"}),
    ],
)
def test_what_blocked_each_channel_is_told(who: Customer, reason: str, blocked: dict[str, str]) -> None:
    decision = _plan(configuration(rule()), who)

    assert (decision.outcome, decision.reason, decision.blocked) == ("dropped", reason, blocked)
    assert decision.message is None
    assert [(one.rule, one.reason, one.at) for one in who.ledger.withheld] == [("cart_left", reason, NOW)]
    assert who.ledger.sent == []
    assert who.ledger.fired == {}


def test_the_next_channel_is_taken_where_the_preferred_one_cannot_be_used() -> None:
    decision = _plan(configuration(rule()), customer(consent=("sms",)))

    assert decision.message is not None
    assert (decision.message.channel, decision.message.to) == ("sms", "+4930901820")


def test_the_next_channel_is_taken_where_the_preferred_one_is_capped() -> None:
    using, who = configuration(rule(), caps=(Cap(1, DAY, "email"),)), customer()

    channels = [_plan(using, who, NOW + i, cause=f"m{i}").channel for i in range(2)]

    assert channels == ["email", "sms"]


def test_the_next_channel_is_taken_where_the_preferred_one_is_paused() -> None:
    using = configuration(rule())

    decision = Planner(using, 3, {"email"}).plan(using.rules[0], signal(), Recipient("u1", customer(), NOW))

    assert decision.channel == "sms"


def test_a_receipt_needs_no_consent_and_knows_no_cap_and_no_night() -> None:
    using = configuration(rule(category="transactional"), caps=(Cap(0, DAY),), quiet=QuietHours(0, 1439))

    assert _plan(using, customer(consent=())).outcome == "sent"


def test_receipts_do_not_use_up_the_caps_of_marketing() -> None:
    using = configuration(rule(), caps=(Cap(1, DAY),))
    receipts = configuration(rule(category="transactional"))
    who = customer()

    outcomes = [_plan(receipts, who, cause="m1").outcome, _plan(using, who, cause="m2").outcome]

    assert outcomes == ["sent", "sent"]


def test_a_stale_trigger_is_dropped() -> None:
    decision = _plan(configuration(rule(expires_after=HOUR)), customer(), at=NOW - HOUR)

    assert (decision.outcome, decision.reason) == ("dropped", "expired")


def test_a_rule_rests_for_its_cooldown() -> None:
    using, who = configuration(rule(cooldown=DAY)), customer()

    decisions = [_plan(using, who, NOW + after, cause=f"m{after}") for after in (0, DAY - 1, DAY)]

    assert [decision.reason or decision.outcome for decision in decisions] == ["sent", "cooldown", "sent"]


def test_of_somebody_who_said_no_that_is_told_and_not_the_cooldown() -> None:
    using, who = configuration(rule(cooldown=DAY)), customer()
    _plan(using, who)
    who.facts.consent = {}

    assert _plan(using, who, NOW + 1, cause="m2").reason == "no_consent"


def test_the_same_trigger_twice_is_one_message() -> None:
    using, who = configuration(rule()), customer()

    decisions = [_plan(using, who) for _ in range(2)]

    assert [decision.reason or decision.outcome for decision in decisions] == ["sent", "duplicate"]


def test_a_template_that_fails_withholds_the_message_and_reserves_nothing() -> None:
    using = msgspec.structs.replace(
        configuration(rule()), templates={"cart_left": Template("Hi", "{{ orders | divided_by: 0 }}")}
    )
    who = customer()

    decision = _plan(using, who)

    assert (decision.outcome, decision.reason) == ("dropped", "template_error")
    assert decision.detail
    assert who.ledger.sent == []


# Transactional messages whose template fails.

BROKEN = "Hello {{ orders | divided_by: 0 }}"
FALLBACK = "Subject: Your order\n\nThank you, {{ user }}.\n"


def _receipts(text: str, fallback: str | None) -> Configuration:
    receipt = rule(category="transactional", expires_after=HOUR)
    return msgspec.structs.replace(
        configuration(receipt), templates={"cart_left": Template("Hi", text, fallback=fallback)}
    )


def test_a_receipt_whose_template_fails_goes_out_with_its_fallback_and_says_why() -> None:
    who = customer()

    decision = _plan(_receipts(BROKEN, FALLBACK), who)

    assert decision.message is not None
    assert (decision.message.subject, decision.message.text) == ("Your order", "Thank you, u1.\n")
    assert (decision.outcome, decision.fallback) == ("sent", True)
    assert decision.detail == "templates/cart_left/text.liquid:1: divided_by: can't divide by 0"
    assert who.ledger.sent[0].detail == f"the fallback: {decision.detail}"


def test_a_receipt_whose_template_works_does_not_use_the_fallback() -> None:
    decision = _plan(_receipts("Thank you.", FALLBACK), customer())

    assert decision.message is not None
    assert (decision.message.text, decision.fallback, decision.detail) == ("Thank you.\n", False, "")


@pytest.mark.parametrize("fallback", [None, "Subject: Hi\n\n{{ 1 | divided_by: 0 }}"])
def test_a_receipt_that_cannot_be_rendered_at_all_waits_for_the_next_configuration(fallback: str | None) -> None:
    broken, who = _receipts(BROKEN, fallback), customer()

    held = _plan(broken, who)
    same = _release(broken, who, held.until, 3)
    mended = _release(_receipts("Thank you.", FALLBACK), who, held.until + 5 * MINUTE, 4)

    assert (held.outcome, held.reason, held.until) == ("deferred", "template_error", NOW + 5 * MINUTE)
    assert "templates/cart_left/text.liquid:1: divided_by" in held.detail
    assert "templates/cart_left/fallback.liquid" in held.detail
    assert same == ()
    assert [(decision.outcome, decision.id) for decision in mended] == [("sent", held.id)]
    assert who.ledger.pending == []


def test_a_configuration_that_fails_too_is_told_and_the_receipt_waits_on() -> None:
    who = customer()
    held = _plan(_receipts(BROKEN, None), who)

    again = _release(_receipts("{{ 1 | modulo: 0 }}", None), who, held.until, 4)

    assert [(decision.outcome, decision.reason) for decision in again] == [("deferred", "template_error")]
    assert "modulo" in again[0].detail
    assert [pending.configuration for pending in who.ledger.pending] == [4]


def test_a_receipt_is_given_up_only_when_its_time_is_over_and_says_what_failed() -> None:
    broken, who = _receipts(BROKEN, None), customer()
    held = _plan(broken, who)

    decisions = [d for after in range(0, HOUR + 1, MINUTE) for d in _release(broken, who, NOW + after, 3)]

    assert [(decision.outcome, decision.reason, decision.at) for decision in decisions] == [
        ("dropped", "template_error", NOW + HOUR)
    ]
    assert decisions[0].detail == held.detail == who.ledger.withheld[0].detail
    assert who.ledger.pending == []


def test_no_receipt_displaces_another_that_waits() -> None:
    broken, who = _receipts(BROKEN, None), customer()

    held = [_plan(broken, who, cause=f"m{i}") for i in range(MAX_HELD)]
    one_more = _plan(broken, who, cause="one more")
    sent = _release(_receipts("Thank you.", None), who, held[0].until, 4)

    assert {decision.outcome for decision in held} == {"deferred"}
    assert (one_more.outcome, one_more.reason) == ("dropped", "already_waiting")
    assert [decision.id for decision in sent] == [decision.id for decision in held]


def _with(cause: str, properties: dict[str, str]) -> Signal:
    return msgspec.structs.replace(signal(cause=cause), properties=properties)


def test_what_waits_for_one_user_fits_into_the_record_of_their_state() -> None:
    broken, who = _receipts(BROKEN, None), customer()
    large = {"note": "x" * 30_000}

    held = [
        Planner(broken, 3).plan(broken.rules[0], _with(f"m{i}", large), Recipient("u1", who, NOW))
        for i in range(MAX_HELD)
    ]

    assert [decision.reason for decision in held] == ["template_error"] * 13 + ["already_waiting"] * 87
    assert len(pack(who)) < MAX_WAITING_BYTES + 10_000


def test_the_same_receipt_waits_once() -> None:
    broken, who = _receipts(BROKEN, None), customer()

    decisions = [_plan(broken, who) for _ in range(2)]

    assert [decision.reason for decision in decisions] == ["template_error", "duplicate"]
    assert len(who.ledger.pending) == 1


def test_a_receipt_that_waits_is_the_same_after_a_restart() -> None:
    who = customer()
    held = _plan(_receipts(BROKEN, None), who)

    sent = _release(_receipts("Thank you.", None), unpack(pack(who)), held.until, 4)

    assert [decision.id for decision in sent] == [held.id]


def test_a_receipt_whose_rule_is_gone_is_told_as_transactional() -> None:
    who = customer()
    held = _plan(_receipts(BROKEN, None), who)

    (gone,) = _release(configuration(), who, held.until, 4)

    assert (gone.reason, gone.category) == ("rule_gone", "transactional")


def _berlin(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zones.zone("Europe/Berlin")).timestamp() * 1000)


def _deferred() -> tuple[Configuration, Customer, Decision]:
    using, who = configuration(rule(), quiet=NIGHT), customer(timezone="Europe/Berlin")
    return using, who, _plan(using, who, _berlin("2024-06-01T23:00"))


def test_marketing_waits_for_the_morning_of_the_user() -> None:
    using, who, evening = _deferred()

    morning = _release(using, who, evening.until, 4)

    assert (evening.outcome, evening.reason) == ("deferred", "quiet_hours")
    assert evening.until == _berlin("2024-06-02T08:00")
    assert [decision.outcome for decision in morning] == ["sent"]
    assert morning[0].id == evening.id
    assert who.ledger.pending == []


def test_nothing_is_released_before_its_time() -> None:
    using, who, evening = _deferred()

    assert _release(using, who, evening.until - 1, 4) == ()
    assert len(who.ledger.pending) == 1


def test_consent_withdrawn_in_the_night_blocks_the_morning() -> None:
    using, who, evening = _deferred()
    who.facts.consent = {channel: Consent(granted=False, at=evening.at + 1) for channel in ("email", "sms")}

    morning = _release(using, who, evening.until, 4)

    assert [(decision.outcome, decision.reason) for decision in morning] == [("dropped", "no_consent")]
    assert who.ledger.pending == []


def test_a_rule_that_was_deleted_in_the_night_sends_nothing() -> None:
    _, who, evening = _deferred()

    morning = _release(configuration(), who, evening.until, 4)

    assert [(decision.outcome, decision.reason) for decision in morning] == [("dropped", "rule_gone")]


def test_a_wait_that_survives_a_restart_is_the_same_message() -> None:
    using, who, evening = _deferred()

    morning = _release(using, unpack(pack(who)), evening.until, 4)

    assert [decision.id for decision in morning] == [evening.id]


def test_one_message_of_a_rule_waits_at_most() -> None:
    using, who, evening = _deferred()

    again = _plan(using, who, evening.at + MINUTE, cause="m2")

    assert (again.outcome, again.reason) == ("dropped", "already_waiting")


# zones of which nobody knows which is the user's: of the trait, of a country, of a phone, of nothing
SOMEWHERE = st.sampled_from(
    [
        {"timezone": "utc+5:30"},
        {"timezone": "PST", "country": "US"},
        {"country": "RU"},
        {"country": "australia"},
        {"country": "Brazil", "phone": None},
        {"phone": "+1 212 555 0100"},
        {"country": "FR", "phone": None},  # one zone in Europe
        {"country": "KI"},
        {"phone": None},
    ]
)
CLOCKS_CHANGE = ["2024-03-30T12:00", "2024-10-26T12:00", "2025-03-08T12:00", "2025-11-01T12:00", "2025-04-05T12:00"]
"""Days before a change of the clocks, in Europe, America and Australia."""


@given(
    traits=SOMEWHERE,
    start=st.sampled_from(CLOCKS_CHANGE),
    gap=st.integers(0, 72 * 60),
    quiet=st.builds(QuietHours, start=st.integers(17 * 60, 1439), end=st.integers(0, 9 * 60)),
)
@settings(max_examples=300, deadline=None)
def test_no_marketing_goes_out_within_the_quiet_hours_of_any_zone_that_the_user_may_be_in(
    traits: dict[str, Any], start: str, gap: int, quiet: QuietHours
) -> None:
    using, who = configuration(rule(expires_after=5 * DAY), quiet=quiet), customer(**traits)
    now = _berlin(start) + gap * MINUTE
    decision = _plan(using, who, now)
    if decision.outcome == "deferred":
        assert now < decision.until <= now + 2 * DAY
        now = decision.until
        (decision,) = _release(using, who, now, 4)

    assert decision.message is not None, "a deferred message goes at the end of its quiet hours"
    answer = zone_of(who.facts.traits, using.timezone)
    shared = [
        at
        for at in range(now, now + DAY, 15 * MINUTE)
        if not any(is_quiet(quiet, zones.zone(name), at) for name in answer.zones)
    ]
    for moment in (now, decision.message.expires - 1):
        wrong = [name for name in answer.zones if is_quiet(quiet, zones.zone(name), moment)]
        assert not wrong or (not shared and answer.name not in wrong)


def test_what_would_be_stale_in_the_morning_does_not_wait() -> None:
    using, who = configuration(rule(expires_after=HOUR), quiet=NIGHT), customer(timezone="Europe/Berlin")

    decision = _plan(using, who, _berlin("2024-06-01T23:00"))

    assert (decision.outcome, decision.reason) == ("dropped", "expired")


def test_a_message_of_the_evening_may_not_be_delivered_in_the_night() -> None:
    using, who = configuration(rule(), quiet=NIGHT), customer(timezone="Europe/Berlin")

    decision = _plan(using, who, _berlin("2024-06-01T20:59"))

    assert decision.message is not None
    assert decision.message.expires == _berlin("2024-06-01T21:00")


def test_a_zone_that_does_not_exist_gives_way_to_the_phone_and_then_to_longer_quiet_hours() -> None:
    using = msgspec.structs.replace(configuration(rule(), quiet=NIGHT), timezone="Asia/Tokyo")
    midnight = NOW // DAY * DAY  # it is 22:13 UTC: 23:13 in Germany, past seven in Tokyo

    german = _plan(using, customer(timezone="../../etc/passwd"))
    unknown = _plan(using, customer(timezone="../../etc/passwd", phone=None))

    assert german.until == midnight + DAY + 7 * HOUR, "eight o'clock in Germany"
    assert unknown.until == midnight + DAY + HOUR, "ten o'clock in Tokyo, two hours after the quiet hours end"


def test_the_wire_of_a_decision_does_not_carry_the_message() -> None:
    said = msgspec.json.decode(encode_decision(_plan(configuration(rule()), customer())))

    assert "message" not in said
    assert (said["outcome"], said["configuration"], said["signal"]["cause"]) == ("sent", 3, "m1")


def test_a_working_copy_keeps_the_committed_ledger_as_it_was() -> None:
    committed = customer()
    working = copy.copy(committed)
    working.ledger = copy.copy(committed.ledger)

    _plan(configuration(rule()), working)

    assert len(working.ledger.sent) == 1
    assert committed.ledger.sent == []


# What must hold whatever happens.

moments = st.lists(st.integers(min_value=0, max_value=12 * 60), min_size=1, max_size=60)
consents = st.lists(st.sampled_from(["email", "sms", "none", "both"]), min_size=60, max_size=60)
all_caps = st.lists(
    st.builds(
        Cap,
        messages=st.integers(min_value=0, max_value=4),
        within=st.integers(min_value=1, max_value=60).map(lambda hours: hours * HOUR),
        channel=st.sampled_from([None, "email", "sms"]),
    ),
    max_size=3,
).map(tuple)
nights = st.none() | st.builds(
    QuietHours,
    start=st.integers(min_value=0, max_value=719),
    end=st.integers(min_value=720, max_value=1439),
)
some_zones = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"])
starts = st.sampled_from(["2024-03-30T12:00", "2024-10-26T12:00", "2011-12-29T12:00", "2023-09-30T12:00"])


def _given(said: str) -> tuple[Channel, ...]:
    both: tuple[Channel, ...] = ("email", "sms")
    return both if said == "both" else tuple(channel for channel in both if channel == said)


@given(gaps=moments, said=consents, caps=all_caps, quiet=nights, zone=some_zones, start=starts)
@settings(max_examples=150, deadline=None)
def test_caps_consent_and_the_night_hold_whatever_happens(
    gaps: list[int], said: list[str], caps: tuple[Cap, ...], quiet: QuietHours | None, zone: str, start: str
) -> None:
    using = configuration(rule("a", expires_after=3 * DAY), rule("b", cooldown=HOUR), caps=caps, quiet=quiet)
    who, where = customer(timezone=zone), zones.zone(zone)
    now = _berlin(start)
    sent: list[tuple[int, str]] = []
    for i, (gap, agreed) in enumerate(zip(gaps, said, strict=False)):
        now += gap * MINUTE
        who.facts.consent = {channel: Consent(granted=True, at=now) for channel in _given(agreed)}
        planner, recipient = Planner(using, 1), Recipient("u1", who, now)
        decisions = list(planner.release(recipient))
        decisions += [planner.plan(one, signal(now, f"m{i}", one.name), recipient) for one in using.rules]
        for decision in decisions:
            if decision.message is None:
                continue
            sent.append((now, decision.channel))
            assert decision.channel in _given(agreed)
            assert quiet is None or not is_quiet(quiet, where, now)
            assert quiet is None or not is_quiet(quiet, where, decision.message.expires - 1)

    for cap in caps:
        counted = [at for at, channel in sent if cap.channel in (None, channel)]
        for end in counted:
            assert sum(1 for at in counted if end - cap.within < at <= end) <= cap.messages
    assert len(who.ledger.sent) <= max(MIN_KEPT, len(sent))
    assert len(who.ledger.pending) <= len(using.rules)


@given(gaps=moments, quiet=nights)
@settings(max_examples=50, deadline=None)
def test_the_same_inputs_give_the_same_ids_and_the_same_bytes(gaps: list[int], quiet: QuietHours | None) -> None:
    def run() -> list[bytes]:
        using, who, now = configuration(rule(), caps=(Cap(2, DAY),), quiet=quiet), customer(), NOW
        written: list[bytes] = []
        for i, gap in enumerate(gaps):
            now += gap * MINUTE
            for decision in (
                *_release(using, who, now, 1),
                _plan(using, who, now, cause=f"m{i}"),
            ):
                written.append(encode_decision(decision))
                if decision.message is not None:
                    written.append(encode_message(decision.message))
        return [*written, pack(who)]

    assert run() == run()
