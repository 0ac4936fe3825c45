"""The layout of a user in schema 4, in which each decayed count was a struct of its own.

Facts had five structs ``[time, [count at each half-life]]`` where there are bytes now, and not the last five fields:
two follow from ``hours``, and three belong to conditions. Consent had no proof besides its source. The ledger had
neither the fields of conditions and the lifecycle, nor the scores of buyers, features, runs and marks. All other fields
are the same.
"""

from __future__ import annotations

import struct

import msgspec

from models.profile.numbers import EVENING_HOUR
from models.profile.state import UNKNOWN_TIME, Customer
from models.units import DAY

DICTIONARY = 1
"""Number of the newest dictionary that the code with this schema has, see :mod:`models.profile.compression`."""
_PLACE = 13
"""Place of the decayed counts among the facts."""
_STRUCTS = 5
_HOURS = 16
"""Place of the counts by hour among the facts of schema 5."""
_FACTS, _LEDGER = 34, 12
"""Number of fields of the facts, and of the ledger, in schema 4."""
_CONSENT, _CONSENT_FIELDS = 24, 4
"""Place of the consent by channel among the facts of schema 5, and number of fields of a channel in schema 4."""
_NO_CONSENT = (False, 0, "", 0, b"", "", 0, False, UNKNOWN_TIME, "", "", 0)
"""The fields of a channel in schema 5. They are stored encoded until they are read, so all of them must be there."""
_WIDTH = 4
_DORMANT_AFTER_MS = DAY
"""Inactivity after which the code with this schema compresses a user, milliseconds."""
_DOUBLES = struct.Struct(f"<{_STRUCTS * _WIDTH}d")
_ZERO = b"\0"


def is_dormant(customer: Customer) -> bool:
    """Return whether the code with this schema would compress a dormant user."""
    return customer.ledger.assessed_at - customer.facts.last_seen >= _DORMANT_AFTER_MS


def upgraded(packed: bytes | memoryview) -> bytes:
    """Return facts and ledger of schema 4 in the layout of schema 5."""
    facts, ledger = msgspec.msgpack.decode(packed)
    numbers: list[float] = []
    for at, values in facts[_PLACE : _PLACE + _STRUCTS]:
        numbers += [at, *values] if values else [0.0] * _WIDTH
    facts[_PLACE : _PLACE + _STRUCTS] = [_DOUBLES.pack(*numbers).rstrip(_ZERO)]
    for channel, state in facts[_CONSENT].items():
        facts[_CONSENT][channel] = [*state, *_NO_CONSENT[len(state) :]]
    hours = facts[_HOURS]
    facts += [sum(hours), sum(hours[EVENING_HOUR:])]
    return msgspec.msgpack.encode([facts, ledger])


def downgraded(packed: bytes | memoryview) -> bytes:
    """Return facts and ledger of schema 5 in the layout of schema 4, which has no links to other profiles."""
    facts, ledger, *_ = msgspec.msgpack.decode(packed)
    # There were no other purposes than marketing, whose entries have the name of their channel.
    facts[_CONSENT] = {key: state[:_CONSENT_FIELDS] for key, state in facts[_CONSENT].items() if "@" not in key}
    numbers = _DOUBLES.unpack(facts[_PLACE].ljust(_DOUBLES.size, _ZERO))
    rows = (numbers[begin : begin + _WIDTH] for begin in range(0, len(numbers), _WIDTH))
    facts[_PLACE : _PLACE + 1] = [[int(at), values if at else ()] for at, *values in rows]
    del facts[_FACTS:], ledger[_LEDGER:]
    return msgspec.msgpack.encode([facts, ledger])
