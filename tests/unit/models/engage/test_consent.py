from __future__ import annotations

from typing import Any

import pytest

from models.configuration.compiled import ConsentSettings, ExistingCustomers
from models.engage.consent import address, obstacle
from models.events import Channel
from models.profile.state import Consent, Facts
from models.units import DAY

CUSTOMERS = ConsentSettings(existing_customer=ExistingCustomers(("DE", "AT"), 365 * DAY))
NOW = 1_000 * DAY


def why_not(facts: Facts, channel: Channel, settings: ConsentSettings = CUSTOMERS, purpose: str = "marketing") -> Any:
    return obstacle(facts, purpose, channel, settings, NOW)


def allowed(facts: Facts, channel: Channel) -> bool:
    return obstacle(facts, "marketing", channel, ConsentSettings(), NOW) is None


def customer(bought: int, key: str = "email", **traits: Any) -> Facts:
    state = Consent(granted=True, at=NOW - 500 * DAY, basis="existing_customer", bought=bought)
    return Facts(traits=traits, consent={key: state})


def test_an_existing_customer_gets_e_mails_in_the_listed_countries_for_some_time_after_a_purchase() -> None:
    assert why_not(customer(NOW - 364 * DAY, country="DE"), "email") is None
    assert why_not(customer(NOW - 364 * DAY, address={"country": "Austria"}), "email") is None
    assert why_not(customer(NOW - 364 * DAY, "news@email", country="DE"), "email", purpose="news") is None


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (customer(NOW - 365 * DAY, country="DE"), "without a purchase within 365d"),
        (customer(0, country="DE"), "without a purchase within 365d"),
        (customer(NOW - DAY, country="FR"), "in FR, which the settings do not list"),
        (customer(NOW - DAY), "an unknown country"),
    ],
)
def test_an_existing_customer_elsewhere_or_without_a_purchase_gets_no_marketing(facts: Facts, says: str) -> None:
    assert says in why_not(facts, "email")


def test_only_e_mail_has_this_basis_and_only_if_the_settings_allow_it() -> None:
    assert "do not allow" in why_not(customer(NOW - DAY, "sms", country="DE"), "sms")
    assert "do not allow" in why_not(customer(NOW - DAY, country="DE"), "email", ConsentSettings())
    assert why_not(customer(NOW - DAY, country="DE"), "email", purpose="news") == "for the purpose news"
    assert why_not(Facts(), "email") == ""


def test_marketing_needs_a_recorded_consent() -> None:
    assert not allowed(Facts(), "email")


def test_consent_to_one_channel_is_not_consent_to_another() -> None:
    facts = Facts(consent={"sms": Consent(granted=True, at=1)})

    assert allowed(facts, "sms")
    assert not allowed(facts, "email")


def test_a_withdrawn_consent_does_not_allow_marketing() -> None:
    assert not allowed(Facts(consent={"email": Consent(granted=False, at=1)}), "email")


@pytest.mark.parametrize(
    ("traits", "found"),
    [
        ({"email": "ada@example.com"}, "ada@example.com"),
        ({"email": " ada+x@mail.example.co.uk "}, "ada+x@mail.example.co.uk"),
        ({"email": "ada@bücher.example"}, "ada@xn--bcher-kva.example"),
        ({"email": "ada@faß.de"}, "ada@xn--fa-hia.de"),
        ({"email": "ada@straße.example"}, "ada@xn--strae-oqa.example"),
        ({"email": "ada@i\u2764.example"}, None),
        ({"email": "ada"}, None),
        ({"email": "a@b@c"}, None),
        ({"email": "ada@example.com\r\nBcc: eve@example.com"}, None),
        ({"email": "ada@example.com,eve@example.com"}, None),
        ({"email": "<ada@example.com>"}, None),
        ({"email": "a..b@example.com"}, None),
        ({"email": f"{'a' * 65}@example.com"}, None),
        ({"email": "ada@exa..mple.com"}, None),
        ({"email": 7}, None),
        ({}, None),
    ],
)
def test_an_e_mail_trait_is_used_only_if_it_is_exactly_one_address(
    traits: dict[str, object], found: str | None
) -> None:
    assert address(Facts(traits=traits), "email") == found


@pytest.mark.parametrize(
    ("traits", "found"),
    [
        ({"phone": "+49 30 901820"}, "+4930901820"),
        ({"phone": "030 901820", "country": "de"}, "+4930901820"),
        ({"phone": "(415) 555-2671", "address": {"country": "US"}}, "+14155552671"),
        ({"phone": "030 901820"}, None),
        ({"phone": "call me"}, None),
        ({"phone": "+49"}, None),
        ({"phone": "+1234567890123456789"}, None),
        ({}, None),
    ],
)
def test_a_phone_number_is_written_in_e164(traits: dict[str, object], found: str | None) -> None:
    assert address(Facts(traits=traits), "sms") == found
