"""Names, channels and values that are read as a withdrawal of consent, and grants, which are read strictly."""

from __future__ import annotations

from typing import Any

import pytest

from models.wire import withdrawals
from tests.support.wire_records import native, refused, said, track, warned


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("Unsubscribed", None),
        ("Consent Withdrawn", None),
        ("Marketing Opt Out", None),
        ("Opted Out", None),
        ("Email Unsubscribed", "email"),
        (" email_unsubscribed ", "email"),
        ("emailUnsubscribed", "email"),
        ("SMS Opt-Out", "sms"),
        ("Email Marked as Spam", "email"),
        ("Spam Reported", "email"),
    ],
)
def test_a_name_of_the_table_withdraws_in_both_forms_and_in_any_spelling(name: str, channel: str | None) -> None:
    assert said(warned(track(name))[0]) == ("consent", False, channel)
    assert said(warned(native("custom", name=name))[0]) == ("consent", False, channel)


@pytest.mark.parametrize("name", withdrawals.EVENTS)
def test_every_name_of_the_table_is_a_withdrawal_and_those_about_spam_are_complaints(name: str) -> None:
    event, warnings = warned(track(name))

    assert (event.type, event.granted) == ("consent", False)
    assert event.complaint == ("spam" in name.lower() or "compla" in name.lower())
    assert warnings == []


@pytest.mark.parametrize("name", ["Unsubscribe Link Clicked", "Subscription Cancelled", "Email Opened", "Opt In"])
def test_another_name_is_a_custom_event(name: str) -> None:
    assert warned(track(name))[0].type == "custom"


@pytest.mark.parametrize(
    ("channel", "read_as"),
    [
        ("email", "email"),
        ("EMAIL", "email"),
        ("Email ", "email"),
        ("e-mail", "email"),
        ("SMS", "sms"),
        ("text", "sms"),
        (["email"], "email"),
        ("push", "push"),
        ("fax", None),
        ("all", None),
        ("", None),
        (None, None),
        (7, None),
        ({"email": True}, None),
        (["email", "sms"], None),
    ],
)
def test_the_channel_of_a_withdrawal_is_read_leniently_and_an_unknown_channel_means_all(
    channel: Any, read_as: str | None
) -> None:
    assert said(warned(track("Unsubscribed", channel=channel))[0]) == ("consent", False, read_as)
    assert said(warned(native("consent", granted=False, channel=channel))[0]) == ("consent", False, read_as)


def test_a_channel_that_contradicts_the_name_withdraws_all() -> None:
    assert warned(track("Email Unsubscribed", channel="sms"))[0].channel is None


@pytest.mark.parametrize("granted", [False, "false", "False", "no", 0, "0", "off"])
def test_a_no_in_the_short_form_is_read_leniently(granted: Any) -> None:
    assert said(warned(native("consent", granted=granted, channel="EMAIL"))[0]) == ("consent", False, "email")


@pytest.mark.parametrize(
    "raw",
    [
        native("consent", granted="true", channel="email"),
        native("consent", granted=1, channel="email"),
        native("consent", granted="maybe", channel="email"),
        native("consent", granted=True, channel="Email"),
        native("consent", granted=True),
        native("consent", channel="email"),
        track("Consent Given", channel="EMAIL"),
        track("Consent Given", channel="fax"),
        track("Consent Given"),
    ],
)
def test_a_grant_is_read_strictly(raw: dict[str, Any]) -> None:
    assert refused(raw).withdrawal is None


def test_only_the_value_true_confirms_a_grant() -> None:
    assert warned(track("Consent Given", channel="email", confirmed=True))[0].confirmed
    assert warned(native("consent", granted=True, channel="email", confirmed=True))[0].confirmed
    assert not warned(track("Consent Given", channel="email", confirmed="true"))[0].confirmed


@pytest.mark.parametrize("granted", ["maybe", "pending", "true", 1, [], {}, "", None])
def test_only_the_value_true_is_a_grant(granted: Any) -> None:
    assert refused(track("Consent Given", channel="email", granted=granted)).field == "properties.granted"


@pytest.mark.parametrize("name", ["Push Unsubscribed", "Unsubscribes", "WhatsApp Opt-Out"])
def test_a_name_that_only_resembles_a_withdrawal_is_kept_with_a_warning(name: str) -> None:
    event, warnings = warned(track(name))

    assert (event.type, event.name) == ("custom", name)
    assert [(one.reason, one.field, one.rejected) for one in warnings] == [("no_withdrawal", "event", False)]
