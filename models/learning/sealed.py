"""A learner's state at rest: plain numbers in msgpack behind a checksum and a schema version. Never pickle."""

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
    """Bytes of a state: mark, schema version, checksum (BLAKE2b, 128 bits, over schema and content), content."""
    content = _encode(state)
    return _HEADER.pack(_MAGIC, schema, _checksum(schema, content)) + content


def unseal(data: bytes, kind: type[_T], schema: int, what: str) -> _T:
    """Read what :func:`seal` wrote.

    Parameters
    ----------
    data
        The bytes.
    kind
        Struct that was sealed.
    schema
        The version that this code reads.
    what
        For the error: whose state it is.

    Raises
    ------
    StateDamaged
        The bytes are not what was written.
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
