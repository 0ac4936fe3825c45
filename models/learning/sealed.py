"""The stored form of a learner: a mark, a schema version and a checksum, then plain numbers in msgpack.

Pickle is never used, because reading a pickle can run any code.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import TypeVar

import msgspec

from models.errors import StateDamaged, StateMismatch

_HEADER = Struct("<4sH16s")
_MAGIC = b"PLRN"
_T = TypeVar("_T", bound=msgspec.Struct)
_encode = msgspec.msgpack.Encoder().encode


def seal(state: msgspec.Struct, schema: int) -> bytes:
    """Return the bytes of a state; the checksum is BLAKE2b with 128 bits, over schema version and content."""
    content = _encode(state)
    return _HEADER.pack(_MAGIC, schema, _checksum(schema, content)) + content


def unseal(data: bytes, kind: type[_T], schema: int, what: str) -> _T:
    """Read what :func:`seal` wrote.

    Parameters
    ----------
    data
        Bytes to read.
    kind
        Struct that was sealed.
    schema
        Schema version that this code reads.
    what
        Name of the state, for the error.

    Raises
    ------
    StateDamaged
        The bytes differ from the written ones.
    StateMismatch
        Another schema version wrote them.

    Examples
    --------
    >>> class Count(msgspec.Struct):
    ...     count: int
    >>> unseal(seal(Count(7), schema=1), Count, 1, "counter")
    Count(count=7)
    """
    if len(data) < _HEADER.size:
        raise StateDamaged(what, f"{len(data)} bytes are too few")
    magic, found, checksum = _HEADER.unpack_from(data)
    content = data[_HEADER.size :]
    if magic != _MAGIC:
        raise StateDamaged(what, "it does not begin with the mark")
    if checksum != _checksum(found, content):
        raise StateDamaged(what, "the checksum is wrong")
    if found != schema:
        raise StateMismatch(what, found, schema)
    return msgspec.msgpack.decode(content, type=kind)


def _checksum(schema: int, content: bytes) -> bytes:
    return blake2b(content, digest_size=16, salt=schema.to_bytes(2, "little")).digest()
