"""Transactional messages whose template fails."""

from __future__ import annotations

import msgspec
import pytest

from models.configuration.compiled import Configuration
from models.configuration.templates import Template
from models.engage.planner import MAX_HELD, Planner
from models.engage.proposal import MAX_WAITING_BYTES
from models.engage.recipient import Recipient
from models.profile.codec import pack, unpack
from models.profile.signals import Signal
from models.units import HOUR, MINUTE
from tests.support.people import NOW, configuration, customer, plan, release, rule, signal

BROKEN = "Hello {{ orders | divided_by: 0 }}"
FALLBACK = "Subject: Your order\n\nThank you, {{ user }}.\n"


def _receipts(text: str, fallback: str | None) -> Configuration:
    receipt = rule(category="transactional", expires_after=HOUR)
    return msgspec.structs.replace(
        configuration(receipt), templates={"cart_left": Template("Hi", text, fallback=fallback)}
    )


def test_a_receipt_whose_template_fails_is_sent_as_its_fallback_with_the_error() -> None:
    who = customer()

    decision = plan(_receipts(BROKEN, FALLBACK), who)

    assert decision.message is not None
    assert (decision.message.subject, decision.message.text) == ("Your order", "Thank you, u1.\n")
    assert (decision.outcome, decision.fallback) == ("sent", True)
    assert decision.detail == "templates/cart_left/text.liquid:1: divided_by: can't divide by 0"
    assert who.ledger.sent[0].detail == f"the fallback: {decision.detail}"


def test_a_receipt_whose_template_works_does_not_use_the_fallback() -> None:
    decision = plan(_receipts("Thank you.", FALLBACK), customer())

    assert decision.message is not None
    assert (decision.message.text, decision.fallback, decision.detail) == ("Thank you.\n", False, "")


@pytest.mark.parametrize("fallback", [None, "Subject: Hi\n\n{{ 1 | divided_by: 0 }}"])
def test_a_receipt_that_cannot_be_rendered_at_all_waits_for_the_next_configuration(fallback: str | None) -> None:
    broken, who = _receipts(BROKEN, fallback), customer()

    held = plan(broken, who)
    same = release(broken, who, held.until, 3)
    mended = release(_receipts("Thank you.", FALLBACK), who, held.until + 5 * MINUTE, 4)

    assert (held.outcome, held.reason, held.until) == ("deferred", "template_error", NOW + 5 * MINUTE)
    assert "templates/cart_left/text.liquid:1: divided_by" in held.detail
    assert "templates/cart_left/fallback.liquid" in held.detail
    assert same == ()
    assert [(decision.outcome, decision.id) for decision in mended] == [("sent", held.id)]
    assert who.ledger.pending == []


def test_a_receipt_keeps_waiting_if_the_next_configuration_fails_too() -> None:
    who = customer()
    held = plan(_receipts(BROKEN, None), who)

    again = release(_receipts("{{ 1 | modulo: 0 }}", None), who, held.until, 4)

    assert [(decision.outcome, decision.reason) for decision in again] == [("deferred", "template_error")]
    assert "modulo" in again[0].detail
    assert [pending.configuration for pending in who.ledger.pending] == [4]


def test_a_receipt_is_dropped_only_when_it_expires_and_names_the_error() -> None:
    broken, who = _receipts(BROKEN, None), customer()
    held = plan(broken, who)

    decisions = [d for after in range(0, HOUR + 1, MINUTE) for d in release(broken, who, NOW + after, 3)]

    assert [(decision.outcome, decision.reason, decision.at) for decision in decisions] == [
        ("dropped", "template_error", NOW + HOUR)
    ]
    assert decisions[0].detail == held.detail == who.ledger.withheld[0].detail
    assert who.ledger.pending == []


def test_a_receipt_never_displaces_another_waiting_receipt() -> None:
    broken, who = _receipts(BROKEN, None), customer()

    held = [plan(broken, who, cause=f"m{i}") for i in range(MAX_HELD)]
    one_more = plan(broken, who, cause="one more")
    sent = release(_receipts("Thank you.", None), who, held[0].until, 4)

    assert {decision.outcome for decision in held} == {"deferred"}
    assert (one_more.outcome, one_more.reason) == ("dropped", "already_waiting")
    assert [decision.id for decision in sent] == [decision.id for decision in held]


def _with(cause: str, properties: dict[str, str]) -> Signal:
    return msgspec.structs.replace(signal(cause=cause), properties=properties)


def test_the_pending_messages_of_a_user_fit_into_one_record() -> None:
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

    decisions = [plan(broken, who) for _ in range(2)]

    assert [decision.reason for decision in decisions] == ["template_error", "duplicate"]
    assert len(who.ledger.pending) == 1


def test_a_waiting_receipt_is_the_same_after_a_restart() -> None:
    who = customer()
    held = plan(_receipts(BROKEN, None), who)

    sent = release(_receipts("Thank you.", None), unpack(pack(who)), held.until, 4)

    assert [decision.id for decision in sent] == [held.id]


def test_a_receipt_whose_rule_was_deleted_is_dropped_as_transactional() -> None:
    who = customer()
    held = plan(_receipts(BROKEN, None), who)

    (gone,) = release(configuration(), who, held.until, 4)

    assert (gone.reason, gone.category) == ("rule_gone", "transactional")
