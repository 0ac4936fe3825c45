"""Signed links that confirm a consent (double opt-in): made when an e-mail leaves, verified by the HTTP door.

A token names the user, the purpose, the channel, the message and the version of the text. It expires, because it can
grant. It is opaque, and made with the secrets of the unsubscribe links, but neither link can be used as the other.
"""

from __future__ import annotations

import msgspec

from models.delivery.messages import Message
from models.events import Channel
from models.profile.pending_grants import VALID_MS
from stream.delivery.unsubscribe import InvalidToken, Signer

PATH = "/v1/confirm"
"""Path at the HTTP door. ``GET`` shows a page with a button, because scanners of mail follow links. ``POST`` grants."""

_SIGNED_FOR = b"perennial confirm 1\0"


class ExpiredToken(InvalidToken):
    """A link that confirms a consent is too old."""


class Confirmation(msgspec.Struct, array_like=True, frozen=True):
    """The content of a token.

    Attributes
    ----------
    user, purpose, channel
        The user who confirms, and the purpose and the channel of the consent.
    message
        Id of the message with the link.
    expires
        Time from which the link cannot confirm any more, milliseconds.
    text
        Version of the text to which the user agrees; empty if it is not known.
    """

    user: str
    purpose: str
    channel: Channel
    message: str
    expires: int
    text: str = ""


def confirm_link(signer: Signer, message: Message) -> str:
    """Return the link of a message that asks for a confirmation. It is ASCII without ``&``."""
    expires = message.at + VALID_MS
    said = Confirmation(message.user, message.confirms, message.channel, message.id, expires, message.wording)
    return signer.link_to(PATH, confirm_token(signer, said))


def confirm_token(signer: Signer, said: Confirmation) -> str:
    """Return a signed token of a confirmation.

    Examples
    --------
    >>> signer = Signer([b"0123456789abcdef"], "https://events.example.com")
    >>> token = confirm_token(signer, Confirmation("u1", "news", "email", "m1", expires=10))
    >>> read_confirmation(signer, token, now=9).purpose
    'news'
    """
    return signer.sealed(_SIGNED_FOR, msgspec.msgpack.encode(said))


def read_confirmation(signer: Signer, token: str, now: int) -> Confirmation:
    """Read a token.

    Raises
    ------
    InvalidToken
        The token was not signed here for this, or was altered.
    ExpiredToken
        It is too old.
    """
    content = signer.content_of(_SIGNED_FOR, token)
    try:
        said = msgspec.msgpack.decode(content, type=Confirmation)
    except msgspec.DecodeError as error:
        raise InvalidToken("the content of this link cannot be read") from error
    if now >= said.expires:
        raise ExpiredToken("this link is older than 7 days")
    return said
