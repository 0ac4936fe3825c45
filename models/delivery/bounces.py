"""Classes of a provider's refusals: they say whether the address is the reason, or something else.

Only an answer that names the recipient's address as the reason counts against the address. Otherwise a refusal that we
caused, such as that of a blocked sender, would suppress every recipient.
"""

from __future__ import annotations

import re
from typing import Literal

from models.units import DAY

Bounce = Literal["", "hard", "gone", "second", "sender", "stop", "soft"]
"""``hard``: no such recipient. ``gone``: the address of a device has ended, which is usual for push. ``second``: hard
if the same answer comes at least :data:`MIN_APART_MS` later. ``sender``: our fault. ``stop``: the recipient asked the
provider to stop. ``soft``: it says nothing about the address. Empty: no refusal."""

Stage = Literal["sender", "recipient", "content"]
"""Step of an SMTP conversation that was refused: MAIL FROM, RCPT TO, or the content after DATA."""

MIN_APART_MS = DAY
"""Minimum time between two answers of class ``second`` that count as a hard bounce, milliseconds."""

HARD = frozenset({"5.1.1", "5.1.3", "5.1.6", "5.1.10"})
SECOND = frozenset({"5.1.2", "5.2.1"})
SENDER = frozenset({"5.1.7", "5.1.8"})
SENDER_PREFIX = "5.7."

# RFC 2034: the code is at the beginning of the text; some servers write a number sign before it.
_ENHANCED = re.compile(r"\s*#?([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_NO_MAILBOX = frozenset({550, 551, 553})

# https://www.twilio.com/docs/api/errors
TWILIO: dict[str, Bounce] = {
    "21610": "stop",  # The recipient sent STOP to this sender.
    "21211": "hard",  # Not a valid phone number.
    "21614": "hard",  # Not a mobile number.
    "30005": "hard",  # The number is unknown, inactive or out of service.
    "30006": "second",  # Either a landline, or a carrier that cannot be reached.
    "21212": "sender",  # 'From' is not a valid number.
    "21408": "sender",  # The account is not allowed to send to this region.
    "21606": "sender",  # 'From' cannot send SMS.
    "30007": "sender",  # Filtered as spam.
    "30034": "sender",  # Not registered with the carriers.
}
"""Twilio's error codes that say something about the recipient or about us.

All others say nothing about the address. These include 30003 (unreachable) and 30004 (blocked), because a phone may be
switched off.
"""

# https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
FCM: dict[str, Bounce] = {
    "UNREGISTERED": "gone",  # The app was removed, or its token was replaced.
    "INVALID_ARGUMENT": "sender",  # A field of the message is wrong; if it is the token, the class is ``gone``.
    "SENDER_ID_MISMATCH": "sender",  # The token belongs to another project.
    "THIRD_PARTY_AUTH_ERROR": "sender",  # The project lacks a valid key for Apple's service or for web push.
}
"""FCM's error codes that say something about the device or about us."""

WEB_PUSH: dict[int, Bounce] = {
    404: "gone",  # The subscription has ended (RFC 8030, section 7.3).
    410: "gone",  # The same.
    400: "sender",  # The request is wrong.
    401: "sender",  # The signature is wrong.
    403: "sender",  # The subscription was made with another key.
    413: "sender",  # The message is too long.
}
"""Answers of web push services that say something about the subscription or about us."""


def enhanced_code(text: str) -> str:
    """Return the enhanced status code (RFC 3463) at the beginning of an SMTP answer; empty without one.

    Examples
    --------
    >>> enhanced_code("5.1.10 RESOLVER.ADR.RecipientNotFound"), enhanced_code("no such user"), enhanced_code("5.1.1.9")
    ('5.1.10', '', '')
    """
    found = _ENHANCED.match(text)
    return found[1] if found else ""


def of_smtp(code: int, text: str, stage: Stage) -> Bounce:
    """Return the class of an SMTP refusal.

    A bare 550, 551 or 553 to RCPT TO usually means that there is no such mailbox. But servers use these codes for
    policies, too. So without an enhanced code only the second such answer counts.

    Parameters
    ----------
    code
        Code of three digits; only 5xx can be a bounce.
    text
        Text of the answer, after the code.
    stage
        The step that was refused.

    Examples
    --------
    >>> of_smtp(550, "5.1.1 no such user", "recipient"), of_smtp(550, "5.7.1 blocked", "content")
    ('hard', 'sender')
    >>> of_smtp(550, "no such user", "recipient"), of_smtp(550, "no such user", "content")
    ('second', 'soft')
    >>> of_smtp(450, "4.2.1 try later", "recipient")
    'soft'
    """
    if not 500 <= code < 600:
        return "soft"
    if stage == "sender":
        return "sender"
    enhanced = enhanced_code(text)
    if enhanced in HARD:
        return "hard"
    if enhanced in SECOND:
        return "second"
    if enhanced in SENDER or enhanced.startswith(SENDER_PREFIX):
        return "sender"
    if not enhanced and stage == "recipient" and code in _NO_MAILBOX:
        return "second"
    return "soft"


def of_twilio(code: str) -> Bounce:
    """Return the class of one of Twilio's error codes.

    Examples
    --------
    >>> of_twilio("21610"), of_twilio("30003"), of_twilio("")
    ('stop', 'soft', '')
    """
    return TWILIO.get(code, "soft") if code else ""


def of_fcm(code: str, *, names_token: bool = False) -> Bounce:
    """Return the class of one of FCM's error codes.

    Parameters
    ----------
    code
        Value of ``errorCode``; empty without one.
    names_token
        Whether the answer says that the token is what is wrong.

    Examples
    --------
    >>> of_fcm("UNREGISTERED"), of_fcm("INVALID_ARGUMENT"), of_fcm("INVALID_ARGUMENT", names_token=True)
    ('gone', 'sender', 'gone')
    >>> of_fcm("QUOTA_EXCEEDED"), of_fcm("")
    ('soft', '')
    """
    if names_token and code == "INVALID_ARGUMENT":
        return "gone"
    return FCM.get(code, "soft") if code else ""


def of_web_push(status: int) -> Bounce:
    """Return the class of a push service's answer, by its status.

    Examples
    --------
    >>> of_web_push(410), of_web_push(403), of_web_push(429)
    ('gone', 'sender', 'soft')
    """
    return WEB_PUSH.get(status, "soft")
