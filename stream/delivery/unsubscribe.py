"""Signed one-click unsubscribe links (RFC 8058): made when a message leaves, verified by the HTTP door.

A token names the user, the channel and the address (as a keyed hash). It cannot be altered or forged without the
secret. It can only withdraw consent, so it never expires. Several secrets can be in use: the first one signs, and all
verify.
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

import msgspec

from models.encoding import without_mark
from models.events import Channel

PATH = "/v1/unsubscribe"
"""Path at the HTTP door. ``GET`` shows a page with a button, because scanners of mail follow links. ``POST`` withdraws
consent."""
PARAMETER = "token"

_NEVER = 253_402_300_799_000
"""The end of the year 9999. A door of an earlier release checks whether a token is too old."""
_PURPOSE = b"perennial unsubscribe 1\0"
_MAC_BYTES = 16
_SECRET_BYTES = 16


class InvalidToken(ValueError):
    """An unsubscribe link was altered, or was signed with another secret."""


class Unsubscription(msgspec.Struct, array_like=True, frozen=True):
    """The content of a token.

    Attributes
    ----------
    user, channel
        The user who withdraws consent, and the channel.
    expires
        Expiry, which only doors of earlier releases read.
    address
        The address that got the message, as :meth:`models.delivery.address_hashes.AddressHashes.newest` returns it.
        Empty in a token of an earlier release, or of a message that was not live. Such a token withdraws for the user
        alone.
    """

    user: str
    channel: Channel
    expires: int = _NEVER
    address: str = ""


class Signer:
    """A signer of links, which also verifies them.

    Parameters
    ----------
    keys
        Secrets of at least 16 bytes; the first one signs, and all verify.
    base_url
        Public URL of the HTTP door, such as ``https://events.example.com``.

    Examples
    --------
    >>> signer = Signer([b"0123456789abcdef"], "https://events.example.com")
    >>> signer.verify(signer.token("u1", "email")).user
    'u1'
    """

    def __init__(self, keys: Sequence[bytes], base_url: str) -> None:
        if not keys or any(len(key) < _SECRET_BYTES for key in keys):
            raise ValueError(f"a secret of at least {_SECRET_BYTES} bytes is needed to sign unsubscribe links")
        self._keys = tuple(keys)
        self._base = base_url.rstrip("/")

    def link(self, user: str, channel: Channel, address: str = "") -> str:
        """Return the link that withdraws this user's consent. It is ASCII without ``&``, so HTML need not escape it."""
        return self.link_to(PATH, self.token(user, channel, address))

    def token(self, user: str, channel: Channel, address: str = "") -> str:
        """Return a signed token of a user, a channel and a hashed address."""
        content = msgspec.msgpack.encode(Unsubscription(user, channel, address=address))
        return self.signed(_PURPOSE, content)

    def verify(self, token: str) -> Unsubscription:
        """Read a token of any age.

        Raises
        ------
        InvalidToken
            The token was not signed here, or was altered.
        """
        content = self.content_of(_PURPOSE, token)
        try:
            return msgspec.msgpack.decode(content, type=Unsubscription)
        except msgspec.DecodeError as error:
            raise InvalidToken("the content of this link cannot be read") from error

    def link_to(self, path: str, token: str) -> str:
        """Return a link to a path of the HTTP door, with a token."""
        return f"{self._base}{path}?{PARAMETER}={token}"

    def signed(self, signed_for: bytes, content: bytes) -> str:
        """Return a token of a content, signed for one kind of link."""
        return f"{_text(content)}.{_text(_mac(self._keys[0], signed_for + content))}"

    def content_of(self, signed_for: bytes, token: str) -> bytes:
        """Return the content of a token that was signed for one kind of link.

        Raises
        ------
        InvalidToken
            The token was not signed here for this, or was altered.
        """
        content, mac = _parts(token)
        if not any(hmac.compare_digest(mac, _mac(key, signed_for + content)) for key in self._keys):
            raise InvalidToken("this link was not made here, or was altered")
        return content


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


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()[:_MAC_BYTES]


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _parts(token: str) -> tuple[bytes, bytes]:
    content, dot, mac = token.partition(".")
    if not dot or len(token) > 4096:
        raise InvalidToken("this is not a link of ours")
    try:
        return _bytes(content), _bytes(mac)
    except (NotBase64, ValueError) as error:
        raise InvalidToken("this is not a link of ours") from error


def _bytes(text: str) -> bytes:
    # Strict, because otherwise other characters would be ignored, and a token would have many spellings.
    return b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
