"""The stored form of a user in schema 4: an array of facts and ledger, or a :class:`_DormantUser`."""

from __future__ import annotations

from copy import copy
from itertools import accumulate, pairwise

import msgspec

from models.profile import compression, schema_4
from models.profile.ledger import Ledger, Timer
from models.profile.seen_ids import SeenIds
from models.profile.state import Customer, Facts

_ACTIVE = 0x92
"""First byte of an active user's msgpack, an array of two elements. A dormant user is an array of eight elements."""
_NO_IDS = SeenIds()


class _User(msgspec.Struct, array_like=True, gc=False):
    facts: Facts
    ledger: Ledger


class _DormantUser(msgspec.Struct, array_like=True, gc=False):
    """A dormant user: the fields that the daily assessment changes, uncompressed, and all others.

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
        Digests of seen message ids.
    compressed
        All other fields, see :func:`_body`.
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
    dictionary: int


_encode = msgspec.msgpack.Encoder().encode
_decode_user = msgspec.msgpack.Decoder(_User).decode
_decode_dormant = msgspec.msgpack.Decoder(_DormantUser).decode


def encode(customer: Customer) -> bytes:
    """Encode a completely decoded user, without the header."""
    if not customer.is_dormant:
        return schema_4.downgraded(_encode(_User(customer.facts, customer.ledger)))
    ledger = customer.ledger
    dormant = _DormantUser(
        assessed_at=ledger.assessed_at,
        risk=ledger.risk,
        risk_age=ledger.assessed_at - ledger.risk_at,
        timers=[timer.name for timer in ledger.timers],
        waits=[after.due - before.due for before, after in pairwise(ledger.timers)],
        seen_ids=customer.facts.seen_ids,
        compressed=compression.compress(schema_4.downgraded(_body(customer)), schema_4.DICTIONARY),
        dictionary=schema_4.DICTIONARY,
    )
    return _encode(dormant)


def decode(packed: bytes | memoryview, seen: int, due: int) -> Customer:
    """Decode a user.

    Parameters
    ----------
    packed
        The stored bytes after the header.
    seen, due
        Offset and due time from the header.
    """
    if packed[0] == _ACTIVE:
        body = _decode_user(schema_4.upgraded(packed))
        return Customer(body.facts, body.ledger, seen)
    stored = _decode_dormant(packed)
    body = _decode_user(schema_4.upgraded(compression.decompress(stored.compressed, stored.dictionary)))
    body.facts.seen_ids, ledger = stored.seen_ids, body.ledger
    ledger.assessed_at, ledger.risk = stored.assessed_at, stored.risk
    ledger.risk_at = stored.assessed_at - stored.risk_age
    times = accumulate(stored.waits, initial=due)
    ledger.timers = [Timer(at, name) for at, name in zip(times, stored.timers, strict=False)]
    return Customer(body.facts, ledger, seen)


def _body(customer: Customer) -> bytes:
    """Encode all fields of a dormant user except those that the daily assessment changes."""
    facts, ledger = copy(customer.facts), customer.ledger
    facts.seen_ids = _NO_IDS
    unchanged = Ledger(
        segment=ledger.segment,
        segment_version=ledger.segment_version,
        risk_version=ledger.risk_version,
        examples=ledger.examples,
        sent=ledger.sent,
        withheld=ledger.withheld,
        pending=ledger.pending,
        fired=ledger.fired,
    )
    return _encode(_User(facts, unchanged))
