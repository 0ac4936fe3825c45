"""Stored form of a user: a fixed header, then msgpack of the facts and the ledger.

The header answers two questions without decoding the rest: which record the user's state has seen last, and when the
next timer is due. The rest has one of two forms. The form follows from the state alone, so the bytes are the same
however a log is cut into batches:

- An active user is an array of two: facts and ledger. A user with links to other profiles has a third element.
- A dormant user is a :class:`_DormantUser`: the fields that the daily assessment changes, and all others compressed.
"""

from __future__ import annotations

import struct
from itertools import accumulate, pairwise

import msgspec
from msgspec.structs import replace

from models.errors import StateMismatch
from models.profile import compression, schema_4
from models.profile.ledger import Ledger, Timer
from models.profile.links import ProfileIdentity
from models.profile.seen_ids import SeenIds
from models.profile.state import Customer, Facts

SCHEMA = 5
"""Version of the layout of a stored user."""
PREVIOUS_SCHEMA = 4
"""Version of the older layout that can still be read and written, see :mod:`models.profile.schema_4`."""
HEADER = struct.Struct("<Bqq")
"""Layout of the header: schema, offset of the newest record seen, and due time of the next timer."""

_READABLE = (SCHEMA, PREVIOUS_SCHEMA)
_MAX_ACTIVE = 0x93
"""Maximum of the first byte of an active user's msgpack, an array of up to three elements. A dormant user has eight."""
_NO_IDS = SeenIds()


class _ActiveUser(msgspec.Struct, array_like=True, gc=False):
    facts: Facts
    ledger: Ledger


class _LinkedUser(msgspec.Struct, array_like=True, gc=False):
    facts: Facts
    ledger: Ledger
    identity: ProfileIdentity | None = None


class _DormantUser(msgspec.Struct, array_like=True, gc=False):
    """Stored form of a dormant user: the fields that the daily assessment changes, uncompressed, and all others.

    Attributes
    ----------
    assessed_at, risk
        ``Ledger.assessed_at`` and ``Ledger.risk``.
    risk_age
        How long before ``assessed_at`` the risk was computed, milliseconds.
    timers
        Names of the timers; the due time of the first one is in the header.
    waits
        Time from each timer to the next one, milliseconds.
    seen_ids
        Digests of seen message ids. They are uncompressed, because hashes do not compress and the daily assessment
        prunes them.
    compressed
        All other fields, see :func:`dormant_body`.
    dictionary
        Number of the dictionary with which they were compressed.
    """

    assessed_at: int
    risk: float | None
    risk_age: int
    timers: list[str]
    waits: list[int]
    seen_ids: SeenIds
    compressed: bytes
    dictionary: int = compression.DICTIONARY


_encode = msgspec.msgpack.Encoder().encode
_decode_active = msgspec.msgpack.Decoder(_LinkedUser).decode
_decode_dormant = msgspec.msgpack.Decoder(_DormantUser).decode


def pack(customer: Customer, schema: int = SCHEMA) -> bytes:
    """Encode a user in a schema: ``SCHEMA`` or ``PREVIOUS_SCHEMA``."""
    head = HEADER.pack(schema, customer.seen, customer.next_due)
    if customer.is_dormant and (schema == SCHEMA or schema_4.is_dormant(customer)):
        return head + _encode(_to_dormant(customer, schema))
    body = _encode_active(customer.facts, customer.ledger, customer.identity)
    return head + (body if schema == SCHEMA else schema_4.downgraded(body))


def unpack(data: bytes) -> Customer:
    """Decode a user that :func:`pack` encoded.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the previous one wrote it.
    """
    schema, seen, due = HEADER.unpack_from(data)
    if schema not in _READABLE:
        raise StateMismatch("profile", schema, SCHEMA)
    packed = memoryview(data)[HEADER.size :]
    if packed[0] > _MAX_ACTIVE:
        return _from_dormant(_decode_dormant(packed), schema, seen, due)
    body = _decode_active(packed if schema == SCHEMA else schema_4.upgraded(packed))
    return Customer(body.facts, body.ledger, seen, identity=body.identity)


def header(data: bytes) -> tuple[int, int]:
    """Return ``(seen, next due)`` of an encoded user, without decoding the rest.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the previous one wrote it.

    Examples
    --------
    >>> from models.profile.state import NEVER
    >>> header(pack(Customer(seen=7))) == (7, NEVER)
    True
    """
    schema, seen, due = HEADER.unpack_from(data)
    if schema not in _READABLE:
        raise StateMismatch("profile", schema, SCHEMA)
    return seen, due


def dormant_body(customer: Customer) -> bytes:
    """Encode the compressed part of a dormant user: all fields except those that the daily assessment changes."""
    facts = replace(customer.facts, seen_ids=_NO_IDS)
    unchanged = replace(customer.ledger, timers=[], assessed_at=0, risk=None, risk_at=0)
    return _encode_active(facts, unchanged, customer.identity)


def _encode_active(facts: Facts, ledger: Ledger, identity: ProfileIdentity | None) -> bytes:
    return _encode(_ActiveUser(facts, ledger) if identity is None else _LinkedUser(facts, ledger, identity))


def _to_dormant(customer: Customer, schema: int) -> _DormantUser:
    ledger, body, known = customer.ledger, dormant_body(customer), customer.compressed
    if schema == SCHEMA:
        dictionary = compression.DICTIONARY
    else:
        body, known, dictionary = schema_4.downgraded(body), None, schema_4.DICTIONARY
    return _DormantUser(
        assessed_at=ledger.assessed_at,
        risk=ledger.risk,
        risk_age=ledger.assessed_at - ledger.risk_at,
        timers=[timer.name for timer in ledger.timers],
        waits=[after.due - before.due for before, after in pairwise(ledger.timers)],
        seen_ids=customer.facts.seen_ids,
        compressed=known[1] if known is not None and known[0] == body else compression.compress(body, dictionary),
        dictionary=dictionary,
    )


def _from_dormant(stored: _DormantUser, schema: int, seen: int, due: int) -> Customer:
    packed = compression.decompress(stored.compressed, stored.dictionary)
    body = _decode_active(packed if schema == SCHEMA else schema_4.upgraded(packed))
    body.facts.seen_ids, ledger = stored.seen_ids, body.ledger
    ledger.assessed_at, ledger.risk = stored.assessed_at, stored.risk
    ledger.risk_at = stored.assessed_at - stored.risk_age
    ledger.timers = [
        Timer(at, name) for at, name in zip(accumulate(stored.waits, initial=due), stored.timers, strict=False)
    ]
    is_current = schema == SCHEMA and stored.dictionary == compression.DICTIONARY
    return Customer(body.facts, ledger, seen, (packed, stored.compressed) if is_current else None, body.identity)
