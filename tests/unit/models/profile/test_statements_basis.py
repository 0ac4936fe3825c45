"""The basis ``existing_customer``, in a folded log."""

from __future__ import annotations

from typing import Any

import pytest

from models.events import Event
from models.log import Tick
from models.units import DAY, HOUR
from tests.support.event_logs import START
from tests.support.statement_logs import StatementLog, event, given, taken, traits

CUSTOMERS = {"existing_customer": {"countries": ["DE"], "bought_within": "30d"}}
KNOWN = traits(START, email="ada@example.org", country="DE")
ASKS = event("custom", START + 9, name="Trial Started")


def customer(at: int, **said: Any) -> Event:
    """Make the statement that a user is an existing customer, as the router writes it."""
    return event("consent", at, channel="email", purpose="marketing", basis="existing_customer", **said)


def bought(at: int) -> Event:
    return event("purchase", at, amount=5_000_000, order=f"o{at}", currency="EUR")


def answer(*log: Event) -> tuple[str, str]:
    """Return the decision about a message of the purpose ``marketing`` after some events."""
    return StatementLog(KNOWN, *log, ASKS, consent=CUSTOMERS).decisions["welcome"]


@pytest.mark.parametrize("log", [(bought(START + 1), customer(START + 2)), (customer(START + 1), bought(START + 2))])
def test_the_statement_and_a_purchase_in_any_sequence_permit_an_e_mail(log: tuple[Event, ...]) -> None:
    assert answer(*log)[0] == "sent"


def test_without_a_purchase_or_the_statement_there_is_no_e_mail() -> None:
    assert answer(customer(START + 1)) == ("no_consent", "an existing customer without a purchase within 30d")
    assert answer(bought(START + 1)) == ("no_consent", "")


def test_the_purchase_must_be_recent_and_a_later_one_begins_the_time_again() -> None:
    def late(*log: Event) -> str:
        asks = event("custom", START + 31 * DAY, name="Trial Started")
        first = (KNOWN, bought(START + 1), customer(START + 2))
        return StatementLog(*first, *log, Tick(at=asks.at), asks, consent=CUSTOMERS).decisions["welcome"][0]

    assert late() == "no_consent"
    assert late(bought(START + 20 * DAY)) == "sent"


@pytest.mark.parametrize("at", [START - HOUR, START + 1, START + 8])
def test_any_withdrawal_ends_it_and_only_a_consent_counts_again(at: int) -> None:
    before = (bought(START + 1), customer(START + 2))

    assert answer(*before, taken(at, "email"))[0] == "no_consent"
    assert answer(taken(at, "email"), *before)[0] == "no_consent"
    assert answer(*before, taken(at, "email"), customer(START + 8))[0] == "no_consent"
    assert answer(*before, taken(at, "email"), given(START + 9, "email"))[0] == "sent"


def test_a_consent_is_stronger_and_is_not_replaced() -> None:
    state = StatementLog(given(START, "email"), customer(START + 5), consent=CUSTOMERS).facts.consent["email"]

    assert (state.granted, state.basis, state.at) == (True, "", START)


def test_a_browser_key_states_nothing_and_without_the_setting_the_statement_is_a_dead_letter() -> None:
    assert StatementLog(customer(START, trust="public"), consent=CUSTOMERS).granted == {}
    log = StatementLog(customer(START))
    assert log.granted == {}
    assert [letter.reason for letter in log.rejected] == ["unknown_basis"]


def test_conditions_see_the_basis_and_not_a_consent() -> None:
    segments = [
        {"name": name, "when": {"consent": {"purpose": "marketing", "channel": "email"}, "is": name}}
        for name in ("granted", "existing_customer")
    ]
    found = StatementLog(KNOWN, bought(START + 1), customer(START + 2), consent=CUSTOMERS, segments=segments)

    signals = b" ".join(found.records("signals"))
    assert b'"name":"existing_customer"' in signals
    assert b'"name":"granted"' not in signals
