"""The committed state of a lane: its position record, and the restore of a whole state partition."""

from __future__ import annotations

import asyncio
import struct

from models.batch import Restored
from models.errors import StateMismatch
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection

__all__ = ["POSITION_KEY", "decode_position", "encode_position", "restore"]

POSITION_KEY = b"\x00position"
"""Key of the position record of a state partition; no user id can be equal to it."""

_SCHEMA = 1
_HEADER = struct.Struct(">BQ")


def encode_position(position: int, memo: bytes) -> bytes:
    r"""Encode the value of a position record: schema, offset of the next record to read, memo.

    Examples
    --------
    >>> encode_position(7, b"memo")
    b'\x01\x00\x00\x00\x00\x00\x00\x00\x07memo'
    """
    return _HEADER.pack(_SCHEMA, position) + memo


def decode_position(value: bytes) -> tuple[int, bytes]:
    """Decode the position and the memo of a position record.

    Raises
    ------
    StateMismatch
        The record has another schema.

    Examples
    --------
    >>> decode_position(encode_position(7, b"memo"))
    (7, b'memo')
    """
    if len(value) < _HEADER.size or value[0] != _SCHEMA:
        raise StateMismatch("position", value[0] if value else 0, _SCHEMA)
    _, position = _HEADER.unpack_from(value)
    return position, value[_HEADER.size :]


async def restore(
    connection: Connection,
    topic: str,
    partition: int,
    *,
    silence_s: float = 60,
    in_use: bool = False,
    slots: asyncio.Semaphore | None = None,
) -> Restored:
    """Read a state partition to its end.

    An owner calls this only after it has fenced the previous owner. Otherwise the previous owner could still write
    after the end of this reading.

    Parameters
    ----------
    connection
        The cluster.
    topic
        Logical name of the compacted topic.
    partition
        Number of the partition; the result contains it as :attr:`Restored.partition`.
    silence_s, in_use, slots
        See :func:`~stream.cluster.compacted.read_compacted`.

    Raises
    ------
    StateMismatch
        The position record has another schema.
    BrokerUnavailable
        The partition cannot be read.
    BrokerSilent
        The broker gave no answer for ``silence_s`` seconds.
    """
    records = await read_compacted(connection, topic, partition, silence_s=silence_s, in_use=in_use, slots=slots)
    value = records.pop(POSITION_KEY, None)
    position, memo = (0, b"") if value is None else decode_position(value)
    return Restored(partition=partition, position=position, memo=memo, records=records)
