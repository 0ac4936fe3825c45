"""The entries of the suppression list: the addresses that must get no messages, the reasons, and their ends.

The key of an entry holds a keyed hash of channel and address, so the list reveals no address. An address has one entry
for each reason, so two writers with different reasons never overwrite each other. The end of a reason is a
separate entry with a separate time. So a writer that read an old list cannot remove anything newer.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import msgspec

from models.events import Channel

TOPIC = "suppressions"

Scope = Literal["marketing", "all", "watch"]
"""Messages that an entry stops: marketing, all, or none. An entry of scope ``watch`` only records a time."""

Stopping = Literal["complaint", "unsubscribe", "stop", "bounce", "manual", "import"]
"""Reasons that stop messages. If several apply to an address, the first one in this list is reported."""
Reason = Literal[Stopping, "bounce_suspected", "confirmed", "start", "delivered"]
"""All reasons.

``bounce_suspected``: an answer that counts as a bounce when it comes again. ``confirmed``: a grant that the owner of
the address confirmed. ``start``: START by SMS. ``delivered``: the provider reported a delivery.
"""

STOPPING: tuple[Reason, ...] = get_args(Stopping)
REASONS: tuple[Reason, ...] = (*STOPPING, "bounce_suspected", "confirmed", "start", "delivered")
SCOPES: tuple[Scope, ...] = get_args(Scope)

SCOPE_OF: dict[Reason, Scope] = {
    "complaint": "marketing",
    "unsubscribe": "marketing",
    "stop": "all",
    "bounce": "all",
    "manual": "marketing",
    "import": "marketing",
    "bounce_suspected": "watch",
    "confirmed": "watch",
    "start": "watch",
    "delivered": "watch",
}
"""Scope of an entry if none is given."""

ENDED_BY: dict[str, Reason] = {
    "unsubscribe": "confirmed",
    "stop": "start",
    "bounce": "delivered",
    "bounce_suspected": "delivered",
}
"""The ending reason, by the reason that it ends.

The entry of the ending reason must have the later time. All reasons that are not listed are ended only by a person.
"""

ANNOUNCED = "secret"
"""Reason of the entry that only says that a secret is in use; the hash in its key is all zeros."""
LOST = "lost"
"""Reason of the entry that says that a secret is lost permanently; the hash in its key is all zeros."""

KEY_ID_DIGITS = 8
"""Number of hex digits in the id of a secret."""
_NO_HASH = "0" * 64


class SuppressionEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One reason why one address is on the list.

    Attributes
    ----------
    scope, reason, channel
        See :data:`Scope` and :data:`Reason`.
    source
        Origin of the entry, such as ``unsubscribe link`` or ``smtp: 550 5.1.1 no such user``; without an address.
    at
        Time when it happened, milliseconds.
    domain
        Domain of a bounced e-mail address, so that the bounces of a domain can be found again.
    """

    scope: Scope
    reason: str
    channel: Channel
    source: str = ""
    at: int
    domain: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SuppressionEntry)


def encode_entry(entry: SuppressionEntry) -> bytes:
    """Write an entry as JSON, the value of its record in ``suppressions``."""
    return _encoder.encode(entry)


def decode_entry(value: bytes) -> SuppressionEntry:
    """Read what :func:`encode_entry` wrote.

    Raises
    ------
    msgspec.DecodeError
        The value is not an entry.
    """
    return _decoder.decode(value)


class SuppressionKey(NamedTuple):
    """The parts of an entry's key.

    Attributes
    ----------
    secret
        Id of the secret that made the hash, 8 hex digits.
    hash
        Hash of channel and address, 64 hex digits.
    reason
        See :data:`Reason`.
    """

    secret: str
    hash: str
    reason: str

    @property
    def address(self) -> str:
        """The address in the form of the list: id of the secret, and hash."""
        return f"{self.secret}:{self.hash}"

    def key(self) -> bytes:
        """Return the key of the entry in ``suppressions``."""
        return f"{self.address}:{self.reason}".encode()


def key_of(address: str, reason: Reason) -> bytes:
    """Return the key of an entry.

    Parameters
    ----------
    address
        The address as ``AddressHashes.newest`` returns it.
    reason
        See :data:`Reason`.
    """
    return f"{address}:{reason}".encode()


def parse_key(key: bytes) -> SuppressionKey:
    """Read the key of an entry.

    Raises
    ------
    ValueError
        It is not the key of an entry.

    Examples
    --------
    >>> parse_key(b"0a1b2c3d:" + b"ab" * 32 + b":bounce").reason
    'bounce'
    """
    parts = key.decode("ascii").split(":")
    if len(parts) != 3 or len(parts[0]) != KEY_ID_DIGITS or len(bytes.fromhex(parts[1])) != 32 or not parts[2]:
        raise ValueError(f"{key!r} is no key of the suppression list")
    return SuppressionKey(*parts)


def announcement(secret: str) -> tuple[bytes, bytes]:
    """Return key and value of the entry that says that a secret is in use, by the secret's id.

    Examples
    --------
    >>> announcement("e08c2772")[0].decode().replace("0" * 64, "...")
    'e08c2772:...:secret'
    """
    return _about(secret, ANNOUNCED)


def given_up(secret: str) -> tuple[bytes, bytes]:
    """Return key and value of the entry that gives a secret up, by the secret's id.

    Entries that were made with this secret then stop nothing. Unsubscribe links with its hashes never expire. A click
    on such a link writes an entry that no process can use. Without the entry of this function, all messages would then
    be held again.

    Examples
    --------
    >>> given_up("e08c2772")[0].decode().replace("0" * 64, "...")
    'e08c2772:...:lost'
    """
    return _about(secret, LOST)


def _about(secret: str, reason: str) -> tuple[bytes, bytes]:
    entry = SuppressionEntry(scope="watch", reason=reason, channel="email", at=0)
    return f"{secret}:{_NO_HASH}:{reason}".encode(), encode_entry(entry)
