"""Content and signatures of webhooks (https://www.standardwebhooks.com, version 1)."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from models.delivery.messages import Message
from models.units import SECOND

PREFIX = "whsec_"
MIN_KEY_BYTES = 24
MAX_KEY_BYTES = 64
TYPE = "message"
"""Type of the event in the content."""

RETRY_DELAYS_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Delays between the attempts, seconds, as the specification recommends them."""


def read_key(secret: str) -> bytes:
    """Read a secret.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> len(read_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    24
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"it does not begin with {PREFIX}")
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except NotBase64:
        raise ValueError(f"the part after {PREFIX} is not base64") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"it has {len(key)} bytes, and needs {MIN_KEY_BYTES} to {MAX_KEY_BYTES}")
    return key


def webhook_content(message: Message) -> bytes:
    """Write the body of a webhook. Each attempt of a message has the same bytes.

    Raises
    ------
    UnicodeEncodeError
        A text cannot be written.
    """
    data = {
        "id": message.id,
        "user": message.user,
        "rule": message.rule,
        "category": message.category,
        "subject": message.subject,
        "text": message.text,
    }
    if message.html is not None:
        data["html"] = message.html
    decided = datetime.fromtimestamp(message.at / SECOND, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode({"type": TYPE, "timestamp": decided.replace("+00:00", "Z"), "data": data})


def webhook_headers(message_id: str, content: bytes, keys: Iterable[bytes], now: int) -> dict[str, str]:
    """Return the headers of an attempt: the id, the time, and one signature for each key.

    Parameters
    ----------
    message_id, content
        The message's id, which is the same at each attempt, and the body.
    keys
        Keys of the endpoint. There are two while one replaces the other.
    now
        Time of the attempt, milliseconds.
    """
    at = str(now // SECOND)
    signed = b".".join((message_id.encode(), at.encode(), content))
    signatures = (b64encode(hmac.digest(key, signed, sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
        "Content-Type": "application/json",
    }
