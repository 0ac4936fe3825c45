"""Tests of the class that a provider's refusal gets."""

from __future__ import annotations

import pytest

from models.delivery.bounces import Bounce, Stage, of_fcm, of_smtp, of_twilio


@pytest.mark.parametrize(
    ("code", "text", "stage", "says"),
    [
        (550, "5.1.1 <ada@example.com>: Recipient address rejected: User unknown", "recipient", "hard"),
        (550, "5.1.1 The email account that you tried to reach does not exist.\n5.1.1 Try again", "recipient", "hard"),
        (550, "5.1.1 no such user", "content", "hard"),
        (553, "5.1.3 bad address syntax", "recipient", "hard"),
        (551, "5.1.6 mailbox has moved", "recipient", "hard"),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound", "recipient", "hard"),
        (550, "#5.1.1 unknown", "recipient", "hard"),
        (550, "5.1.2 bad destination system", "recipient", "second"),
        (550, "5.2.1 mailbox disabled", "recipient", "second"),
        (550, "no such user", "recipient", "second"),
        (550, "blocked, see http://example.com/5.1.1", "content", "soft"),
        (552, "mailbox full", "recipient", "soft"),
        (552, "5.2.2 mailbox full", "recipient", "soft"),
        (554, "5.0.0 something", "recipient", "soft"),
        (550, "5.1.0 address rejected", "recipient", "soft"),
        (550, "5.1.11 of tomorrow", "recipient", "soft"),
        (550, "5.1.1.9 an address of a machine", "content", "soft"),
        (550, "5.1.7 bad sender", "recipient", "sender"),
        (550, "5.1.8 bad sender domain", "recipient", "sender"),
        (550, "5.7.1 policy", "recipient", "sender"),
        (554, "5.7.26 unauthenticated", "content", "sender"),
        (553, "sender rejected", "sender", "sender"),
        (550, "5.1.1 sender unknown", "sender", "sender"),
        (450, "4.1.1 greylisted", "recipient", "soft"),
        (451, "5.1.1 contradicts itself", "recipient", "soft"),
        (550, "4.2.1 contradicts itself", "recipient", "soft"),
        (421, "4.7.0 too many connections", "recipient", "soft"),
    ],
)
def test_an_smtp_answer_has_the_class_that_it_states(code: int, text: str, stage: Stage, says: Bounce) -> None:
    assert of_smtp(code, text, stage) == says


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("21610", "stop"), ("21211", "hard"), ("21614", "hard"), ("30005", "hard"), ("30006", "second"),
        ("30003", "soft"), ("30004", "soft"), ("30007", "sender"), ("21408", "sender"), ("99999", "soft"), ("", ""),
    ],
)  # fmt: skip
def test_a_twilio_error_has_the_class_that_it_states(code: str, says: Bounce) -> None:
    assert of_twilio(code) == says


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("UNREGISTERED", "gone"), ("INVALID_ARGUMENT", "sender"), ("SENDER_ID_MISMATCH", "sender"),
        ("THIRD_PARTY_AUTH_ERROR", "sender"), ("QUOTA_EXCEEDED", "soft"), ("INTERNAL", "soft"), ("", ""),
    ],
)  # fmt: skip
def test_an_error_of_fcm_has_the_class_that_it_states(code: str, says: Bounce) -> None:
    assert of_fcm(code) == says
