"""Keyed hashes of addresses: the suppression list finds an address by its hash, and does not contain the address."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from models.delivery.push_address import push_identity
from models.delivery.suppression import KEY_ID_DIGITS
from models.errors import PerennialError
from models.events import Channel

MIN_SECRET_BYTES = 16
"""Minimum length of a secret, bytes."""
_KEY_ID = b"perennial suppression key 1"


class SecretMissing(PerennialError):
    """An address cannot be hashed, because a secret of the suppression list cannot be read."""


_NORMAL: dict[str, Callable[[str], str]] = {"email": str.lower, "push": push_identity}


def normalised(channel: Channel, address: str) -> str:
    """Return the form of a delivery address that is hashed.

    It is lower case for e-mail, E.164 for SMS, and for push the part that identifies the device. So a subscription has
    one hash, however its JSON is written.

    Examples
    --------
    >>> normalised("email", "Ada.Lovelace@Example.COM")
    'ada.lovelace@example.com'
    """
    return _NORMAL.get(channel, str)(address.strip())


def domain_of(channel: Channel, address: str) -> str:
    """Return the domain of an e-mail address in lower case; an empty text for other channels."""
    return normalised(channel, address).rpartition("@")[2] if channel == "email" else ""


class AddressHashes:
    """Hash functions of the suppression list, one for each of its secrets.

    Parameters
    ----------
    secrets
        Secrets, the newest first, at least 16 bytes each. New entries are made with the first one. All of them are used
        to find entries.
    missing
        Reason why there is no secret. Each request for a hash then raises :class:`SecretMissing`.

    Raises
    ------
    ValueError
        There is no secret, or one is too short.

    Examples
    --------
    >>> hashes = AddressHashes([b"0123456789abcdef"])
    >>> hashes.newest("email", "Ada@Example.com") == hashes.newest("email", "ada@example.com")
    True
    >>> hashes.newest("sms", "+4930901820")[:9]
    'e08c2772:'
    """

    def __init__(self, secrets: Sequence[bytes], *, missing: str = "") -> None:
        self.missing = missing
        if not (secrets or missing) or any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"the suppression list needs a secret of at least {MIN_SECRET_BYTES} bytes")
        self._keys = [hmac.new(secret, digestmod=hashlib.sha256) for secret in secrets]
        self._ids = [hmac.new(secret, _KEY_ID, hashlib.sha256).hexdigest()[:KEY_ID_DIGITS] for secret in secrets]

    def __repr__(self) -> str:
        return f"<AddressHashes {', '.join(self._ids) or self.missing}>"

    @property
    def ids(self) -> frozenset[str]:
        """Ids of all secrets."""
        return frozenset(self._ids)

    @property
    def newest_id(self) -> str:
        """Id of the secret that makes new entries."""
        self._require()
        return self._ids[0]

    def newest(self, channel: Channel, address: str) -> str:
        """Hash an address for a new entry: id of the newest secret, a colon, 64 hex digits."""
        self._require()
        return f"{self._ids[0]}:{self._digest(0, channel, address).hex()}"

    def every(self, channel: Channel, address: str) -> list[str]:
        """Hash an address with every secret, the newest first."""
        self._require()
        return [
            f"{self._ids[number]}:{self._digest(number, channel, address).hex()}" for number in range(len(self._keys))
        ]

    def digests(self, channel: Channel, address: str) -> list[bytes]:
        """Hash an address with every secret, as bytes."""
        self._require()
        return [self._digest(number, channel, address) for number in range(len(self._keys))]

    def _require(self) -> None:
        if self.missing:
            raise SecretMissing(self.missing)

    def _digest(self, number: int, channel: Channel, address: str) -> bytes:
        keyed = self._keys[number].copy()
        keyed.update(f"{channel}\0{normalised(channel, address)}".encode())
        return keyed.digest()
