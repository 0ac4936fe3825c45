"""The suppression list: which addresses must not be written to, why, and until when.

The key of an entry holds a keyed hash of channel and address, so the list reveals no address. Each address
has one entry for each reason: two writers with different reasons never overwrite each other. What ends a reason is an
entry of its own, with its time; so a writer that read an old list cannot take away what is newer than it knows.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import msgspec

from models.configuration.compiled import Category
from models.errors import PerennialError
from models.events import Channel

TOPIC = "suppressions"

Scope = Literal["marketing", "all", "watch"]
"""Messages that an entry stops: marketing, all, or none. An entry of scope ``watch`` only remembers a time."""

Stopping = Literal["complaint", "unsubscribe", "stop", "bounce", "manual", "import"]
"""Reasons that stop messages, in the order in which the first one is named."""
Reason = Literal[Stopping, "bounce_suspected", "confirmed", "start", "delivered"]
"""All reasons. ``bounce_suspected``: a first answer that becomes a bounce at its second time. ``confirmed``: a grant
that the owner of the address confirmed. ``start``: START by SMS. ``delivered``: the provider reported a delivery."""

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
"""Scope of an entry for which none is given."""

ENDED_BY: dict[str, Reason] = {
    "unsubscribe": "confirmed",
    "stop": "start",
    "bounce": "delivered",
    "bounce_suspected": "delivered",
}
"""The reason that ends another one where its time is later. All others end only by a person."""

MIN_SECRET_BYTES = 16
_KEY_ID = b"perennial suppression key 1"
_KEY_ID_DIGITS = 8
_KEPT_BYTES = 16
"""Bytes of a hash that are kept in memory: enough to distinguish billions of addresses."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One reason for which one address is on the list.

    Attributes
    ----------
    scope, reason, channel
        See :data:`Scope` and :data:`Reason`.
    source
        Who wrote it, such as ``unsubscribe link`` or ``smtp: 550 5.1.1 no such user``; without an address.
    at
        When it happened, milliseconds.
    domain
        Of a bounced e-mail address, so that the bounces of a domain can be found again.
    """

    scope: Scope
    reason: str
    channel: Channel
    source: str = ""
    at: int
    domain: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """Write an entry as JSON, the value of its record in ``suppressions``."""
    return _encoder.encode(entry)


def decode_entry(value: bytes) -> Entry:
    """Read what :func:`encode_entry` wrote; raises ``msgspec.DecodeError`` where it is none."""
    return _decoder.decode(value)


def normalised(channel: Channel, address: str) -> str:
    """Return the form of a delivery address that is hashed: lower case for e-mail, E.164 for SMS.

    Examples
    --------
    >>> normalised("email", "Ada.Lovelace@Example.COM")
    'ada.lovelace@example.com'
    """
    address = address.strip()
    return address.lower() if channel == "email" else address


def domain_of(channel: Channel, address: str) -> str:
    """Return the domain of an e-mail address in lower case; nothing for other channels."""
    return normalised(channel, address).rpartition("@")[2] if channel == "email" else ""


class Place(NamedTuple):
    """The parts of an entry's key.

    Attributes
    ----------
    secret
        Id of the secret that made the hash, 8 hex digits.
    hash
        Of channel and address, 64 hex digits.
    reason
        See :data:`Reason`.
    """

    secret: str
    hash: str
    reason: str

    @property
    def address(self) -> str:
        """The address as the list knows it: id of the secret, and hash."""
        return f"{self.secret}:{self.hash}"

    def key(self) -> bytes:
        """Key of the entry in ``suppressions``."""
        return f"{self.address}:{self.reason}".encode()


def key_of(address: str, reason: Reason) -> bytes:
    """Key of an entry.

    Parameters
    ----------
    address
        As :meth:`AddressHashes.newest` gives it.
    reason
        See :data:`Reason`.
    """
    return f"{address}:{reason}".encode()


def place_of(key: bytes) -> Place:
    """Read the key of an entry; raises ``ValueError`` where it is none.

    Examples
    --------
    >>> place_of(b"0a1b2c3d:" + b"ab" * 32 + b":bounce").reason
    'bounce'
    """
    parts = key.decode("ascii").split(":")
    if len(parts) != 3 or len(parts[0]) != _KEY_ID_DIGITS or len(bytes.fromhex(parts[1])) != 32 or not parts[2]:
        raise ValueError(f"{key!r} is no key of the suppression list")
    return Place(*parts)


def is_address_hash(text: str) -> bool:
    """Return whether a text has the form of :meth:`AddressHashes.newest`."""
    try:
        place_of(f"{text}:bounce".encode())
    except ValueError:
        return False
    return True


class SecretMissing(PerennialError):
    """An address cannot be hashed: a secret of the suppression list cannot be read."""


class AddressHashes:
    """Hashes addresses with the list's secrets.

    Parameters
    ----------
    secrets
        The first makes new entries, all of them find entries. At least 16 bytes each.
    missing
        Why there is none: then whatever asks for a hash gets :class:`SecretMissing`.

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
        self._ids = [hmac.new(secret, _KEY_ID, hashlib.sha256).hexdigest()[:_KEY_ID_DIGITS] for secret in secrets]

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


ANNOUNCED = "secret"
"""Reason of the entry that only says that a secret is in use; the hash in its key is all zeros."""
_NO_HASH = "0" * 64


def announcement(hashes: AddressHashes) -> tuple[bytes, bytes]:
    """Key and value of the entry that says that the newest secret is in use.

    Examples
    --------
    >>> announcement(AddressHashes([b"0123456789abcdef"]))[0].decode().replace("0" * 64, "...")
    'e08c2772:...:secret'
    """
    entry = Entry(scope="watch", reason=ANNOUNCED, channel="email", at=0)
    return f"{hashes.newest_id}:{_NO_HASH}:{ANNOUNCED}".encode(), encode_entry(entry)


LOST = "lost"
"""Reason of the entry that says that a secret is lost for good; the hash in its key is all zeros."""


def given_up(secret: str) -> tuple[bytes, bytes]:
    """Key and value of the entry that gives up a secret, by its id: entries that it made stop nothing from then on.

    Unsubscribe links that carry its hashes never expire. A click on one would otherwise write an entry that nobody can
    find, and hold all messages again.

    Examples
    --------
    >>> given_up("e08c2772")[0].decode().replace("0" * 64, "...")
    'e08c2772:...:lost'
    """
    entry = Entry(scope="watch", reason=LOST, channel="email", at=0)
    return f"{secret}:{_NO_HASH}:{LOST}".encode(), encode_entry(entry)


class Mark(NamedTuple):
    """An entry in memory: its scope, and its time in milliseconds."""

    scope: Scope
    at: int


class Stop(NamedTuple):
    """The entry that stops a message."""

    reason: str
    scope: Scope
    at: int


def in_force(marks: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the reasons of one address that have not ended.

    At the same time the reason wins over what would end it.

    Examples
    --------
    >>> in_force({"unsubscribe": Mark("marketing", 5), "confirmed": Mark("watch", 5)})
    {'unsubscribe': Mark(scope='marketing', at=5)}
    >>> in_force({"unsubscribe": Mark("marketing", 5), "confirmed": Mark("watch", 6)})
    {}
    """
    ends = set(ENDED_BY.values())
    found = {}
    for reason, mark in marks.items():
        end = marks.get(ENDED_BY.get(reason, ""))
        if reason not in ends and (end is None or end.at <= mark.at):
            found[reason] = mark
    return found


def stops(marks: Mapping[str, Mark], category: Category) -> Stop | None:
    """Return why a message to an address is stopped; ``None`` where it may go.

    Examples
    --------
    >>> marks = {"unsubscribe": Mark("marketing", 5)}
    >>> stops(marks, "marketing"), stops(marks, "transactional")
    (Stop(reason='unsubscribe', scope='marketing', at=5), None)
    """
    wanted = ("all",) if category == "transactional" else ("marketing", "all")
    valid = {reason: mark for reason, mark in in_force(marks).items() if mark.scope in wanted}
    if not valid:
        return None
    reason = next((reason for reason in STOPPING if reason in valid), min(valid))
    return Stop(reason, *valid[reason])


def time_in_force(marks: Mapping[str, Mark], reason: str, at: int) -> int:
    """Return the time to write of a reason that somebody states now, so that it holds whatever the list knows.

    Clocks of processes differ. The time of a reason never moves back, and what was stated before does not end it.

    Parameters
    ----------
    marks
        What is known of the address, by reason.
    reason
        That is stated.
    at
        When, by the clock of this process, milliseconds.

    Examples
    --------
    >>> time_in_force({"confirmed": Mark("watch", 9)}, "unsubscribe", 5)
    9
    """
    known = (marks.get(reason), marks.get(ENDED_BY.get(reason, "")))
    return max([at, *(mark.at for mark in known if mark is not None)])


class SuppressionList:
    """All entries in memory, about 150 bytes each.

    Parameters
    ----------
    hashes
        Of the installation's secrets.

    Attributes
    ----------
    hashes
        See there.
    announced
        Whether the newest secret is announced in the list.
    """

    def __init__(self, hashes: AddressHashes) -> None:
        self.hashes = hashes
        self._unknown: Counter[str] = Counter()
        self._lost: set[str] = set()
        self.announced = False
        self._marks: dict[bytes, int] = {}
        self._of_unknown: set[bytes] = set()
        self._reasons: dict[str, None] = dict.fromkeys(REASONS)  # and those that only a newer release knows

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def unknown(self) -> dict[str, int]:
        """Number of entries by the id of a secret that is not among ``hashes`` and was not given up.

        No address can be looked up there.
        """
        return {secret: count for secret, count in self._unknown.items() if secret not in self._lost}

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of ``suppressions`` over; without a value the entry is gone.

        Raises
        ------
        ValueError, msgspec.DecodeError
            The record is no entry.
        """
        place = place_of(key)
        if place.reason == LOST:
            (self._lost.discard if value is None else self._lost.add)(place.secret)
            return
        if place.secret not in self.hashes.ids:
            self._note_unknown(place.secret, key, gone=value is None)
            return
        if place.reason == ANNOUNCED:
            self.announced = self.announced or place.secret == self.hashes.newest_id
            return
        kept = bytes.fromhex(place.hash)[:_KEPT_BYTES] + place.reason.encode()
        if value is None:
            self._marks.pop(kept, None)
        else:
            entry = decode_entry(value)
            self._reasons[place.reason] = None
            self._marks[kept] = entry.at << 2 | SCOPES.index(entry.scope)

    def marks(self, channel: Channel, address: str) -> dict[str, Mark]:
        """Return what is known of an address, by reason; of several secrets' entries the later one."""
        return self._marks_of(self.hashes.digests(channel, address))

    def marks_of_hash(self, address: str) -> dict[str, Mark]:
        """Return what is known of an address that was hashed already, as :meth:`AddressHashes.newest` gives it.

        Entries that another secret made of the same address are not found.
        """
        return self._marks_of([bytes.fromhex(place_of(f"{address}:bounce".encode()).hash)])

    def _marks_of(self, digests: Iterable[bytes]) -> dict[str, Mark]:
        found: dict[str, Mark] = {}
        for digest in digests:
            for reason in self._reasons:
                packed = self._marks.get(digest[:_KEPT_BYTES] + reason.encode())
                if packed is not None and (reason not in found or packed >> 2 > found[reason].at):
                    found[reason] = Mark(SCOPES[packed & 3], packed >> 2)
        return found

    def stops(self, channel: Channel, address: str, category: Category) -> Stop | None:
        """Return why a message is stopped; see :func:`stops`."""
        return stops(self.marks(channel, address), category)

    def _note_unknown(self, secret: str, key: bytes, *, gone: bool) -> None:
        if gone and key in self._of_unknown:
            self._of_unknown.discard(key)
            self._unknown -= Counter([secret])
        elif not gone and key not in self._of_unknown:
            self._of_unknown.add(key)
            self._unknown[secret] += 1


def read_list(hashes: AddressHashes, records: Iterable[tuple[bytes, bytes | None]]) -> SuppressionList:
    """Make a list of records of ``suppressions`` in their order."""
    made = SuppressionList(hashes)
    for key, value in records:
        made.apply(key, value)
    return made
