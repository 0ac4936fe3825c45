from __future__ import annotations

import copy

import msgspec
import pytest

from models.configuration.compiled import Cap, QuietHours
from models.configuration.templates import Template
from models.engage.decisions import encode_decision
from models.engage.planner import Planner
from models.engage.recipient import Recipient
from models.profile.state import CartLine, Customer
from models.units import DAY, HOUR
from tests.support.people import NOW, configuration, customer, plan, rule, signal


def test_a_message_that_nothing_blocks_is_sent_with_its_reason() -> None:
    who = customer()
    who.facts.cart = {"sku1": CartLine(quantity=2, price=5_000_000)}

    decision = plan(configuration(rule()), who)

    message = decision.message
    assert message is not None
    assert (decision.outcome, decision.reason, decision.channel) == ("sent", "", "email")
    assert (message.to, message.subject, message.origin) == ("ada@example.com", "You left 2 items", "live")
    assert message.text.startswith("Hello Ada, 10.00 waits.")
    assert (message.at, message.expires) == (NOW, NOW + DAY)
    assert message.why == "cart_left (configuration 3): cart left with 1 item"
    assert [(sent.id, sent.rule, sent.at) for sent in who.ledger.sent] == [(message.id, "cart_left", NOW)]
    assert who.ledger.fired == {"cart_left": NOW}


def test_a_message_carries_the_least_live_origin_of_its_user() -> None:
    who = customer()
    who.facts.origin = "replay"

    decision = plan(configuration(rule()), who)

    assert decision.message is not None
    assert decision.message.origin == "replay"


@pytest.mark.parametrize(
    ("who", "reason", "blocked"),
    [
        (customer(consent=()), "no_consent", {"email": "no_consent", "sms": "no_consent"}),
        (customer(consent=("email",), email="nowhere"), "no_address", {"email": "no_address", "sms": "no_consent"}),
    ],
)
def test_a_dropped_message_gives_the_reason_for_each_blocked_channel(
    who: Customer, reason: str, blocked: dict[str, str]
) -> None:
    decision = plan(configuration(rule()), who)

    assert (decision.outcome, decision.reason, decision.blocked) == ("dropped", reason, blocked)
    assert decision.message is None
    assert [(one.rule, one.reason, one.at) for one in who.ledger.withheld] == [("cart_left", reason, NOW)]
    assert who.ledger.sent == []
    assert who.ledger.fired == {}


def test_the_next_channel_is_used_if_the_preferred_one_cannot_be_used() -> None:
    decision = plan(configuration(rule()), customer(consent=("sms",)))

    assert decision.message is not None
    assert (decision.message.channel, decision.message.to) == ("sms", "+4930901820")


def test_the_next_channel_is_used_if_the_preferred_one_is_capped() -> None:
    using, who = configuration(rule(), caps=(Cap(1, DAY, "email"),)), customer()

    channels = [plan(using, who, NOW + i, cause=f"m{i}").channel for i in range(2)]

    assert channels == ["email", "sms"]


def test_the_next_channel_is_used_if_the_preferred_one_is_paused() -> None:
    using = configuration(rule())

    decision = Planner(using, 3, {"email"}).plan(using.rules[0], signal(), Recipient("u1", customer(), NOW))

    assert decision.channel == "sms"


def test_a_receipt_ignores_consent_caps_and_quiet_hours() -> None:
    using = configuration(rule(category="transactional"), caps=(Cap(0, DAY),), quiet=QuietHours(0, 1439))

    assert plan(using, customer(consent=())).outcome == "sent"


def test_receipts_do_not_count_towards_the_caps_of_marketing() -> None:
    using = configuration(rule(), caps=(Cap(1, DAY),))
    receipts = configuration(rule("receipt", category="transactional"))
    who = customer()

    outcomes = [plan(receipts, who, cause="m1").outcome, plan(using, who, cause="m2").outcome]

    assert outcomes == ["sent", "sent"]


def test_a_stale_trigger_is_dropped() -> None:
    decision = plan(configuration(rule(expires_after=HOUR)), customer(), at=NOW - HOUR)

    assert (decision.outcome, decision.reason) == ("dropped", "expired")


def test_a_rule_sends_nothing_during_its_cooldown() -> None:
    using, who = configuration(rule(cooldown=DAY)), customer()

    decisions = [plan(using, who, NOW + after, cause=f"m{after}") for after in (0, DAY - 1, DAY)]

    assert [decision.reason or decision.outcome for decision in decisions] == ["sent", "cooldown", "sent"]


def test_a_withdrawn_consent_is_given_as_the_reason_before_the_cooldown() -> None:
    using, who = configuration(rule(cooldown=DAY)), customer()
    plan(using, who)
    who.facts.consent = {}

    assert plan(using, who, NOW + 1, cause="m2").reason == "no_consent"


def test_the_same_trigger_twice_is_one_message() -> None:
    using, who = configuration(rule()), customer()

    decisions = [plan(using, who) for _ in range(2)]

    assert [decision.reason or decision.outcome for decision in decisions] == ["sent", "duplicate"]


def test_a_failing_template_drops_the_message_and_reserves_no_place_under_a_cap() -> None:
    using = msgspec.structs.replace(
        configuration(rule()), templates={"cart_left": Template("Hi", "{{ orders | divided_by: 0 }}")}
    )
    who = customer()

    decision = plan(using, who)

    assert (decision.outcome, decision.reason) == ("dropped", "template_error")
    assert decision.detail
    assert who.ledger.sent == []


def test_an_encoded_decision_does_not_contain_the_message() -> None:
    said = msgspec.json.decode(encode_decision(plan(configuration(rule()), customer())))

    assert "message" not in said
    assert (said["outcome"], said["configuration"], said["signal"]["cause"]) == ("sent", 3, "m1")


def test_changes_to_a_working_copy_do_not_change_the_committed_ledger() -> None:
    committed = customer()
    working = copy.copy(committed)
    working.ledger = copy.copy(committed.ledger)

    plan(configuration(rule()), working)

    assert len(working.ledger.sent) == 1
    assert committed.ledger.sent == []
