"""Stored form of a user: a fixed header, what a daily assessment needs, and the rest as bytes.

The header answers two questions without decoding anything: which record the user's state has seen last, and when the
next timer is due. A daily assessment decodes the core of a user and copies the rest, see :mod:`models.profile.core`.
Only events and decisions decode the rest.

An active user is an array of two, core and ledger. A dormant user is stored as :mod:`models.profile.dormant` describes.
The form follows from the state alone, so the bytes are the same however a log is cut into batches.
"""

from __future__ import annotations

import struct
from typing import cast

import msgspec

from models.errors import StateMismatch
from models.profile import dormant, stored_4
from models.profile.core import CoreFacts, FullCore, core_of, full_facts, numbers_from, put_together
from models.profile.ledger import Ledger
from models.profile.numbers import Numbers, numbers_of, put_back
from models.profile.state import Customer, Facts

SCHEMA = 5
"""Version of the layout of a stored user."""
PREVIOUS_SCHEMA = 4
"""Version of the older layout that can still be read and written, see :mod:`models.profile.stored_4`."""
HEADER = struct.Struct("<Bqq")
"""Layout of the header: schema, offset of the newest record seen, and due time of the next timer."""

_READABLE = (SCHEMA, PREVIOUS_SCHEMA)
_ACTIVE = 0x92
"""First byte of an active user's msgpack, an array of two elements. A dormant user is a longer array."""


class _ActiveUser(msgspec.Struct, array_like=True, gc=False):
    core: CoreFacts
    ledger: Ledger


class _FullUser(msgspec.Struct, array_like=True, gc=False):
    core: FullCore
    ledger: Ledger


_encode = msgspec.msgpack.Encoder().encode
_decode_active = msgspec.msgpack.Decoder(_ActiveUser).decode
_decode_full = msgspec.msgpack.Decoder(_FullUser).decode


def pack(customer: Customer, schema: int = SCHEMA, numbers: Numbers | None = None) -> bytes:
    """Encode a user.

    Parameters
    ----------
    customer
        The user.
    schema
        ``SCHEMA`` or ``PREVIOUS_SCHEMA``.
    numbers
        The numbers of a user whose facts do not have the newest ones yet.
    """
    head = HEADER.pack(schema, customer.seen, customer.next_due)
    if schema == PREVIOUS_SCHEMA:
        if numbers is not None and not isinstance(customer.facts, CoreFacts):
            put_back(numbers, customer.facts)
        return head + stored_4.encode(complete(customer))
    facts: object = customer.facts
    core = facts if type(facts) is CoreFacts else core_of(customer.facts, numbers)
    if customer.is_dormant:
        return head + dormant.encode(core, customer.ledger)
    return head + _encode((core, customer.ledger))


def unpack(data: bytes) -> Customer:
    """Decode a user that :func:`pack` encoded.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the previous one wrote it.
    """
    return unpack_all(data)[0]


def unpack_all(data: bytes) -> tuple[Customer, Numbers]:
    """Decode a user, and return the numbers of the features, too.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the previous one wrote it.
    """
    schema, seen, _ = HEADER.unpack_from(data)
    packed = memoryview(data)[HEADER.size :]
    if schema == SCHEMA and packed[0] == _ACTIVE:
        full = _decode_full(packed)
        core = full.core
        numbers = numbers_from(core.block)
        return Customer(put_together(core, core.others, numbers), full.ledger, seen), numbers
    customer = complete(unpack_core(data))
    return customer, numbers_of(customer.facts)


def unpack_core(data: bytes) -> Customer:
    """Decode what a daily assessment needs of a user.

    The facts of the result are :class:`~models.profile.core.CoreFacts`. They and the ledger decode the rest when it is
    read. :func:`complete` decodes everything, so that it can be changed.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the previous one wrote it.
    """
    schema, seen, due = HEADER.unpack_from(data)
    packed = memoryview(data)[HEADER.size :]
    if schema != SCHEMA:
        if schema != PREVIOUS_SCHEMA:
            raise StateMismatch("profile", schema, SCHEMA)
        return stored_4.decode(packed, seen, due)
    if packed[0] == _ACTIVE:
        active = _decode_active(packed)
        return Customer(cast("Facts", active.core), active.ledger, seen)
    core, ledger = dormant.decode(packed, due)
    return Customer(cast("Facts", core), ledger, seen)


def complete(customer: Customer) -> Customer:
    """Decode all facts of a user in place, and return the user."""
    core: object = customer.facts
    if type(core) is CoreFacts:
        dormant.let_go(customer.ledger)
        customer.facts = full_facts(core)
    return customer


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
