"""The choices of a user, described for the page behind an unsubscribe link."""

from __future__ import annotations

from typing import Any

from models.configuration.parsing import parse
from models.fold.consent_view import describe_choices
from models.fold.versions import Versions
from models.profile.codec import unpack
from tests.support.event_logs import START
from tests.support.statement_logs import StatementLog, given, taken, traits

SETTINGS: dict[str, Any] = {"confirm": ["email"], "purposes": ["tips"]}
KNOWN = traits(START, email="ada@example.org", locale="de-AT")


def described(*log: Any) -> dict[str, Any]:
    state = StatementLog(*log, consent=SETTINGS).state
    versions = Versions()
    versions.configuration = parse({"consent": SETTINGS}, {})
    return describe_choices(unpack(state.records[b"u1"]), versions)


def of(found: dict[str, Any], purpose: str, channel: str) -> dict[str, Any]:
    one: dict[str, Any]
    (one,) = [each for each in found["choices"] if (each["purpose"], each["channel"]) == (purpose, channel)]
    return one


def test_each_purpose_is_described_on_each_channel() -> None:
    found = described(KNOWN, given(START + 1, "email", confirmed=True))

    assert (found["owner"], found["language"], found["addresses"]) == (None, "de-AT", {"email": "ada@example.org"})
    assert of(found, "marketing", "email")["granted"] is True
    assert of(found, "tips", "email") == {
        "purpose": "tips", "channel": "email", "granted": False, "waits": False, "can_ask": True,
    }  # fmt: skip
    assert of(found, "tips", "sms")["can_ask"] is False


def test_a_grant_that_waits_is_described_until_a_withdrawal_ends_it() -> None:
    grant = given(START + 1, "email")

    assert of(described(KNOWN, grant), "marketing", "email")["waits"] is True
    assert of(described(KNOWN, grant, taken(START + 2, "email")), "marketing", "email")["waits"] is False


def test_without_an_address_nothing_can_be_confirmed() -> None:
    found = described(given(START + 1, "email", confirmed=True))

    assert of(found, "tips", "email")["can_ask"] is False
    assert found["addresses"] == {}
