"""Messages that are ready to be delivered, their ids, and their form in ``messages.<channel>``."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

import msgspec

from models.configuration.categories import Category
from models.events import MARKETING, Channel, Origin


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message to one user over one channel.

    Attributes
    ----------
    id
        32 hex digits. The same user, rule, cause and time of the signal give the same id.
    user, rule, category, channel
        Ids of the user and of the rule that decided, the category of the rule, and the channel.
    to
        E-mail address, or phone number in E.164.
    subject
        One line; empty for an SMS.
    text, html
        Bodies; ``templates.UNSUBSCRIBE_PLACEHOLDER`` marks the place of the signed link.
    why
        A sentence for people: the reason for the decision.
    at, expires
        The message may be sent from ``at`` on, and only before ``expires``, milliseconds. For marketing, ``expires`` is
        not later than the beginning of quiet hours.
    origin
        The least live origin among the events of the user. Only ``live`` may reach a real provider.
    purpose
        For marketing: the purpose to which the user has consented.
    confirms, wording
        For an e-mail that asks to confirm a consent: the purpose, and the version of the text to which the user agreed.
    signal
        For marketing to an anonymous visitor: the signal that triggered it, as JSON. If the visitor logs in while the
        message waits, the known user's profile decides again about this signal. Empty for all other messages.
    """

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    user: str
    rule: str
    category: Category
    channel: Channel
    to: str
    subject: str = ""
    text: str
    html: str | None = None
    why: str
    at: int
    expires: int
    origin: Origin
    signal: bytes = b""
    purpose: str = MARKETING
    confirms: str = ""
    wording: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """Write a message as JSON, the value of its record in ``messages.<channel>``."""
    return _encoder.encode(message)


def decode_message(value: bytes) -> Message:
    """Read what :func:`encode_message` wrote.

    Raises
    ------
    msgspec.DecodeError
        The value is not a message.
    """
    return _decoder.decode(value)


def message_id(user: str, rule: str, cause: str, at: int) -> str:
    """Return the id of the message that a rule makes of a signal.

    Examples
    --------
    >>> message_id("u1", "win_back", "m1", 1_700_000_000_000)
    '02c75b5d33db8f4cac395fdd5056bf17'
    """
    named = msgspec.json.encode((user, rule, cause, at))
    return blake2b(named, digest_size=16, person=b"perennial msg").hexdigest()
