from __future__ import annotations

import pytest

from models.engage.consent import address, allowed
from models.profile.state import Consent, Facts


def test_marketing_needs_a_recorded_consent() -> None:
    assert not allowed(Facts(), "marketing", "email")


def test_consent_to_one_channel_is_not_consent_to_another() -> None:
    facts = Facts(consent={"sms": Consent(granted=True, at=1)})

    assert allowed(facts, "marketing", "sms")
    assert not allowed(facts, "marketing", "email")


def test_a_withdrawn_consent_does_not_allow_marketing() -> None:
    assert not allowed(Facts(consent={"email": Consent(granted=False, at=1)}), "marketing", "email")


def test_transactional_messages_need_no_consent() -> None:
    assert allowed(Facts(consent={"email": Consent(granted=False, at=1)}), "transactional", "email")


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
