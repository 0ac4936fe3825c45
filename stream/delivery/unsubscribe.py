"""Signed one-click unsubscribe links (RFC 8058): made when a message leaves, verified by the HTTP door.

A token says who, which channel and which address (as a keyed hash), and cannot be altered or made up without the
secret. It can only withdraw, so it never expires. Several secrets can be in use: the first signs, all verify.
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
"""Of the HTTP door: ``GET`` shows a page with a button (scanners of mail follow links), ``POST`` withdraws consent."""
PARAMETER = "token"

_NEVER = 253_402_300_799_000
"""The end of the year 9999: a door of an earlier release asks whether a token is too old."""
_PURPOSE = b"perennial unsubscribe 1\0"
_MAC_BYTES = 16
_SECRET_BYTES = 16


class InvalidToken(ValueError):
    """An unsubscribe link was altered, or was signed with another secret."""


class Unsubscription(msgspec.Struct, array_like=True, frozen=True):
    """What a token says.

    Attributes
    ----------
    user, channel
        Who wants nothing more, over which channel.
    expires
        Read by doors of earlier releases only.
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
    """Makes and verifies links.

    Parameters
    ----------
    keys
        Secrets of at least 16 bytes; the first signs, all verify.
    base_url
        Where the HTTP door is reached from outside, such as ``https://events.example.com``.

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
        """Address that withdraws this user's consent; plain ASCII without ``&``, so it is the same in HTML."""
        return f"{self._base}{PATH}?{PARAMETER}={self.token(user, channel, address)}"

    def token(self, user: str, channel: Channel, address: str = "") -> str:
        """Sign who, which channel and which hashed address."""
        content = msgspec.msgpack.encode(Unsubscription(user, channel, address=address))
        return f"{_text(content)}.{_text(_mac(self._keys[0], content))}"

    def verify(self, token: str) -> Unsubscription:
        """Read a token, however old it is.

        Raises
        ------
        InvalidToken
            It is not ours, or was altered.
        """
        content, mac = _parts(token)
        if not any(hmac.compare_digest(mac, _mac(key, content)) for key in self._keys):
            raise InvalidToken("this link was not made here, or was altered")
        try:
            return msgspec.msgpack.decode(content, type=Unsubscription)
        except msgspec.DecodeError as error:
            raise InvalidToken("this link says nothing that can be read") from error


def secret_of(path: Path) -> bytes:
    """Read the secret in a file; make the file, for its owner only, where there is none.

    Several processes may ask for the same new file at once: all get what the first one wrote.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(32) + "\n")
            stream.flush()
            os.fsync(descriptor)  # links and entries that were made with it outlive this machine's power
        try:
            os.link(draft, path)  # unlike a rename, it fails where somebody else was first
        except FileExistsError:
            pass  # and that one's secret is as good
        finally:
            draft.unlink()
    return without_mark(path.read_bytes()).strip()


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + content, hashlib.sha256).digest()[:_MAC_BYTES]


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _parts(token: str) -> tuple[bytes, bytes]:
    content, dot, mac = token.partition(".")
    if not dot or len(token) > 4096:
        raise InvalidToken("this is no unsubscribe link")
    try:
        return _bytes(content), _bytes(mac)
    except (NotBase64, ValueError) as error:
        raise InvalidToken("this is no unsubscribe link") from error


def _bytes(text: str) -> bytes:
    # Strictly: other characters would be passed over, and a token would have many spellings.
    return b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
