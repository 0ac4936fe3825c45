"""Twilio's status callbacks: the address that each message names, and the signature that proves who calls it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlencode

from models.delivery.messages import Message

TWILIO_PATH = "/v1/callbacks/twilio"
"""Path of the callbacks at the HTTP door."""
SIGNATURE = "X-Twilio-Signature"


def twilio_address(public_url: str, message: Message) -> str:
    """Return the address to which Twilio reports the states of a message.

    The address names the user and the message, because Twilio's id is not known before Twilio has answered. No one
    can call an address with other names, because Twilio signs the whole address.
    """
    query = urlencode({"user": message.user, "message": message.id})
    return f"{public_url.rstrip('/')}{TWILIO_PATH}?{query}"


def twilio_signature(token: str, address: str, form: Iterable[tuple[str, str]]) -> str:
    """Sign a callback as Twilio does (https://www.twilio.com/docs/usage/security).

    Parameters
    ----------
    token
        The account's auth token.
    address
        The whole address, as Twilio got it.
    form
        Fields of the body.

    Examples
    --------
    The example of Twilio's documentation:

    >>> form = {"CallSid": "CA1234567890ABCDE", "Caller": "+12349013030", "Digits": "1234", "From": "+12349013030",
    ...         "To": "+18005551212"}
    >>> twilio_signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form.items())
    '0/KCTR6DLpKmkAf8muzZqo1nDgQ='
    """
    text = address + "".join(name + value for name, value in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode("ascii")
