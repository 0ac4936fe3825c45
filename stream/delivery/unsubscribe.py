"""Signed links to the unsubscribe page (RFC 8058): made when a message leaves, verified by the HTTP door.

A token is opaque: its content is encrypted and authenticated (AES-SIV) with a key that follows from the secret. So a
reader of a link learns nothing about the user, and no one can make or change a link without the secret. The same
content gives the same token, so every attempt of a message has the same bytes. A token can always withdraw consent.
For 30 days it may also show the user's choices. Several secrets can be in use: the first one makes tokens, and all
read them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from models.delivery.messages import Message
from models.delivery.suppression import parse_key
from models.encoding import without_mark
from models.events import Channel
from models.units import DAY, SECOND

PATH = "/v1/unsubscribe"
"""Path at the HTTP door. ``GET`` shows a page with a button, because scanners of mail follow links. ``POST`` withdraws
consent."""
PARAMETER = "token"

SHOWS_FOR_MS = 30 * DAY
"""Time for which a link shows the user's choices and can ask for a grant, milliseconds. It withdraws at any age."""

Scope = Literal["channel", "purpose"]
"""The extent of one click: it withdraws all marketing on the channel, or only the purpose of the message."""

_PURPOSE = b"perennial unsubscribe 1\0"
_CIPHER_KEY = b"perennial opaque link 1"
_MAC_BYTES = 16
_SECRET_BYTES = 16
_SIV_BYTES = 16
_MAX_TOKEN = 4096


class InvalidToken(ValueError):
    """A link was altered, or was made with another secret."""


class Unsubscription(msgspec.Struct, frozen=True):
    """The content of a token.

    Attributes
    ----------
    user, channel
        The user who withdraws consent, and the channel.
    address
        The address that got the message, as :meth:`models.delivery.address_hashes.AddressHashes.newest` returns it.
        Empty in a token of an earlier release, or of a message that was not live. Such a token withdraws for the user
        alone.
    message
        Id of the message with the link; empty if it is not known.
    purpose
        The purpose of the message; empty if it is not marketing.
    scope
        See :data:`Scope`.
    shows_until
        Time from which the link can only withdraw, milliseconds; 0 in a token of an earlier release.
    """

    user: str
    channel: Channel
    address: str = ""
    message: str = ""
    purpose: str = ""
    scope: Scope = "channel"
    shows_until: int = 0


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    """The content of a token in as few bytes as possible, because a link in an SMS costs money."""

    user: str
    channel: Channel
    address: bytes
    message: bytes
    purpose: str
    is_for_purpose: bool
    shows_until_s: int


class _Earlier(msgspec.Struct, array_like=True, frozen=True):
    """The content of a token of an earlier release, which was signed and not encrypted."""

    user: str
    channel: Channel
    expires: int = 0
    address: str = ""


class Signer:
    """A maker of links, which also reads them.

    Parameters
    ----------
    keys
        Secrets of at least 16 bytes; the first one makes tokens, and all read them.
    base_url
        Public URL of the HTTP door, such as ``https://events.example.com``.
    scope
        What one click on an unsubscribe link withdraws.

    Examples
    --------
    >>> signer = Signer([b"0123456789abcdef"], "https://events.example.com")
    >>> signer.verify(signer.token(Unsubscription("u1", "email"))).user
    'u1'
    """

    def __init__(self, keys: Sequence[bytes], base_url: str, scope: Scope = "channel") -> None:
        if not keys or any(len(key) < _SECRET_BYTES for key in keys):
            raise ValueError(f"a secret of at least {_SECRET_BYTES} bytes is needed to sign unsubscribe links")
        self._keys = tuple(keys)
        self._ciphers = tuple(AESSIV(hmac.new(key, _CIPHER_KEY, hashlib.sha512).digest()) for key in keys)
        self._base = base_url.rstrip("/")
        self._scope: Scope = scope

    def link(self, message: Message, address: str = "") -> str:
        """Return the link of a message to the unsubscribe page. It is ASCII without ``&``, so HTML need not escape it.

        Nothing in it depends on the time, so every attempt of a message has the same bytes.
        """
        is_marketing = message.category == "marketing"
        said = Unsubscription(
            message.user,
            message.channel,
            address=address,
            message=message.id,
            purpose=message.purpose if is_marketing else "",
            scope=self._scope if is_marketing else "channel",
            shows_until=message.at + SHOWS_FOR_MS,
        )
        return self.link_to(PATH, self.token(said))

    def token(self, said: Unsubscription) -> str:
        """Return a token with this content."""
        packed = _Packed(
            said.user,
            said.channel,
            bytes.fromhex(said.address.replace(":", "")),
            bytes.fromhex(said.message),
            said.purpose,
            said.scope == "purpose",
            said.shows_until // SECOND,
        )
        return self.sealed(_PURPOSE, msgspec.msgpack.encode(packed))

    def verify(self, token: str) -> Unsubscription:
        """Read a token of any age.

        Raises
        ------
        InvalidToken
            The token was not made here, or was altered.
        """
        content = self.content_of(_PURPOSE, token)
        try:
            if _is_earlier(token):
                earlier = msgspec.msgpack.decode(content, type=_Earlier)
                return Unsubscription(earlier.user, earlier.channel, address=_checked(earlier.address))
            packed = msgspec.msgpack.decode(content, type=_Packed)
        except (msgspec.DecodeError, ValueError) as error:
            raise InvalidToken("the content of this link cannot be read") from error
        address = packed.address.hex()
        return Unsubscription(
            packed.user,
            packed.channel,
            address=_checked(f"{address[:8]}:{address[8:]}" if address else ""),
            message=packed.message.hex(),
            purpose=packed.purpose,
            scope="purpose" if packed.is_for_purpose else "channel",
            shows_until=packed.shows_until_s * SECOND,
        )

    def link_to(self, path: str, token: str) -> str:
        """Return a link to a path of the HTTP door, with a token."""
        return f"{self._base}{path}?{PARAMETER}={token}"

    def sealed(self, made_for: bytes, content: bytes) -> str:
        """Return an opaque token of a content, for one kind of link."""
        return _text(self._ciphers[0].encrypt(content, [made_for]))

    def content_of(self, made_for: bytes, token: str) -> bytes:
        """Return the content of a token that was made for one kind of link, here or by an earlier release.

        Raises
        ------
        InvalidToken
            The token was not made here for this, or was altered.
        """
        if _is_earlier(token):
            content, mac = map(_bytes, token.split(".", 1))
            if any(hmac.compare_digest(mac, _mac(key, made_for + content)) for key in self._keys):
                return content
            raise InvalidToken("this link was not made here, or was altered")
        sealed = _bytes(token)
        if len(sealed) > _SIV_BYTES:
            for cipher in self._ciphers:
                try:
                    return cipher.decrypt(sealed, [made_for])
                except InvalidTag:
                    continue  # it may be of another secret
        raise InvalidToken("this link was not made here, or was altered")


def secret_of(path: Path) -> bytes:
    """Read the secret in a file. If there is no file, make one that only its owner can read.

    Several processes may ask for the same new file at the same time. All of them get the secret that the first one
    wrote.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(32) + "\n")
            stream.flush()
            os.fsync(descriptor)  # links and entries made with it must stay valid after a power failure
        try:
            os.link(draft, path)  # unlike a rename, it fails if another process was first
        except FileExistsError:
            pass  # the secret of the other process is used
        finally:
            draft.unlink()
    return without_mark(path.read_bytes()).strip()


def _checked(address: str) -> str:
    """Return a hashed address of a token; raise ``ValueError`` if it is none."""
    if address:
        parse_key(f"{address}:unsubscribe".encode())
    return address


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()[:_MAC_BYTES]


def _is_earlier(token: str) -> bool:
    """Return whether a token has the form of an earlier release: a content in clear text, a dot, and its signature."""
    return "." in token


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    # Strict, because otherwise a token would have many spellings.
    try:
        data = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (NotBase64, ValueError) as error:
        raise InvalidToken("this is not a link of ours") from error
    if len(text) > _MAX_TOKEN or _text(data) != text:
        raise InvalidToken("this is not a link of ours")
    return data
