"""The parts of Kafka's requests and answers that the relay in front of the embedded broker reads.

A frame is one request or answer without its length. Only the versions are read in which topics have names; frames of
later versions are :data:`None` here, and the relay passes them on unchanged.
"""

from __future__ import annotations

import struct
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = [
    "FetchAnswer",
    "FetchRequest",
    "Place",
    "ProduceRequest",
    "RequestHead",
    "read_answer",
    "read_fetch",
    "read_head",
    "read_produce",
    "read_produced",
]

Found: TypeAlias = Literal["nothing", "records", "error"]
"""Content of an answer to a fetch."""

PRODUCE: Final = 0
FETCH: Final = 1
MAX_PRODUCE_VERSION: Final = 12
MAX_FETCH_VERSION: Final = 12
FLEXIBLE_PRODUCE: Final = 9
"""First version of a produce request with compact arrays and tagged fields."""
FLEXIBLE_FETCH: Final = 12
"""First version of fetch requests and answers with compact arrays and tagged fields."""

_HEAD = struct.Struct(">hhi")
_INT16, _INT32, _INT64 = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")


class RequestHead(NamedTuple):
    """Beginning of a request.

    Attributes
    ----------
    api, version
        Kind of the request, and the version of its layout.
    correlation
        Number that the answer repeats.
    """

    api: int
    version: int
    correlation: int


class Place(NamedTuple):
    """A partition of a topic."""

    topic: bytes
    partition: int


class ProduceRequest(NamedTuple):
    """Content of a produce request.

    Attributes
    ----------
    is_answered
        Whether the producer wants an answer.
    places
        Partitions that it writes to.
    """

    is_answered: bool
    places: frozenset[Place]


class FetchRequest(NamedTuple):
    """Content of a fetch request.

    Attributes
    ----------
    wait_at
        Position of the field with the maximum wait in the frame.
    wait_ms
        How long the broker may wait for records, milliseconds.
    offsets
        Partitions that are read, with the first offset that is wanted.
    """

    wait_at: int
    wait_ms: int
    offsets: dict[Place, int]


class FetchAnswer(NamedTuple):
    """Content of an answer to a fetch.

    Attributes
    ----------
    found
        ``error`` if there is an error in any partition; otherwise, ``records`` if there are records in any.
    ends
        Offset after the last record of each partition that was read here.
    """

    found: Found
    ends: dict[Place, int]


class _Cursor:
    """Reading position in a frame.

    Parameters
    ----------
    frame
        The frame.
    at
        First position to read.
    flexible
        Whether lengths are compact and structures end with tagged fields.
    """

    def __init__(self, frame: bytes, at: int, *, flexible: bool) -> None:
        self.frame = frame
        self.at = at
        self.flexible = flexible

    def skip(self, count: int) -> None:
        """Skip bytes."""
        self.at += count

    def number(self, kind: struct.Struct) -> int:
        """Read a number."""
        (found,) = kind.unpack_from(self.frame, self.at)
        self.at += kind.size
        return int(found)

    def length(self, plain: struct.Struct = _INT32) -> int:
        """Read the length of an array, a text or bytes; 0 for none."""
        return max(self._compact() - 1 if self.flexible else self.number(plain), 0)

    def text(self) -> bytes:
        """Read a text, undecoded."""
        size = self.length(_INT16)
        self.at += size
        return self.frame[self.at - size : self.at]

    def tags(self) -> None:
        """Skip the tagged fields at the end of a structure, if there are such fields."""
        if self.flexible:
            for _ in range(self._compact()):
                self._compact()
                self.at += self._compact()

    def _compact(self) -> int:
        found = shift = 0
        while True:
            byte = self.frame[self.at]
            self.at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
            shift += 7


def read_head(frame: bytes) -> RequestHead:
    """Return the beginning of a request."""
    return RequestHead(*_HEAD.unpack_from(frame))


def read_produce(frame: bytes, version: int) -> ProduceRequest | None:
    """Return the content of a produce request; ``None`` for a version that is not known here."""
    if version > MAX_PRODUCE_VERSION:
        return None
    cursor = _after_head(frame, flexible=version >= FLEXIBLE_PRODUCE)
    if version >= 3:
        cursor.text()  # transactional id
    answered = cursor.number(_INT16) != 0
    cursor.skip(4)  # timeout
    places = []
    for _ in range(cursor.length()):
        topic = cursor.text()
        for _ in range(cursor.length()):
            places.append(Place(topic, cursor.number(_INT32)))
            cursor.skip(cursor.length())  # records
            cursor.tags()
        cursor.tags()
    return ProduceRequest(answered, frozenset(places))


def read_produced(frame: bytes, version: int) -> dict[Place, int]:
    """Return the offset of the first written record of each partition, from the answer to a produce request."""
    cursor = _Cursor(frame, 4, flexible=version >= FLEXIBLE_PRODUCE)  # after the correlation
    cursor.tags()
    found = {}
    for _ in range(cursor.length()):
        topic = cursor.text()
        for _ in range(cursor.length()):
            place = Place(topic, cursor.number(_INT32))
            error, offset = cursor.number(_INT16), cursor.number(_INT64)
            if not error:
                found[place] = offset
            cursor.skip(8 * (version >= 2) + 8 * (version >= 5))  # time, beginning of the log
            if version >= 8:
                _skip_errors(cursor)
            cursor.tags()
        cursor.tags()
    return found


def read_fetch(frame: bytes, version: int) -> FetchRequest | None:
    """Return the content of a fetch request; ``None`` for a version that is not known here."""
    if not 4 <= version <= MAX_FETCH_VERSION:
        return None
    cursor = _after_head(frame, flexible=version >= FLEXIBLE_FETCH)
    cursor.skip(4)  # replica
    wait_at = cursor.at
    wait_ms = cursor.number(_INT32)
    cursor.skip(4 + 4 + 1)  # minimum and maximum of bytes, isolation
    if version >= 7:
        cursor.skip(4 + 4)  # session and its epoch
    offsets = {}
    for _ in range(cursor.length()):
        topic = cursor.text()
        for _ in range(cursor.length()):
            place = Place(topic, cursor.number(_INT32))
            cursor.skip(4 * (version >= 9))  # epoch
            offsets[place] = cursor.number(_INT64)
            cursor.skip(4 * (version >= 12) + 8 * (version >= 5) + 4)  # epoch, beginning of the log, maximum of bytes
            cursor.tags()
        cursor.tags()
    return FetchRequest(wait_at, wait_ms, offsets)


def read_answer(frame: bytes, version: int) -> FetchAnswer:
    """Return the content of the answer to a fetch; ``version`` is that of the request."""
    cursor = _Cursor(frame, 4, flexible=version >= FLEXIBLE_FETCH)  # after the correlation
    cursor.tags()
    cursor.skip(4)  # throttling
    if version >= 7:
        if cursor.number(_INT16):
            return FetchAnswer("error", {})
        cursor.skip(4)  # session
    found: Found = "nothing"
    ends: dict[Place, int] = {}
    for _ in range(cursor.length()):
        topic = cursor.text()
        for _ in range(cursor.length()):
            place = Place(topic, cursor.number(_INT32))
            if cursor.number(_INT16):
                return FetchAnswer("error", {})
            ends[place] = cursor.number(_INT64)
            if _skip_rest(cursor, version):
                found = "records"
        cursor.tags()
    return FetchAnswer(found, ends)


def _skip_rest(cursor: _Cursor, version: int) -> bool:
    """Skip a partition's part of an answer after its end; return whether it has records."""
    cursor.skip(8 + 8 * (version >= 5))  # end of the committed records, beginning of the log
    for _ in range(cursor.length()):  # aborted transactions
        cursor.skip(8 + 8)
        cursor.tags()
    if version >= 11:
        cursor.skip(4)  # preferred replica
    size = cursor.length()
    cursor.skip(size)
    cursor.tags()
    return size > 0


def _skip_errors(cursor: _Cursor) -> None:
    """Skip the errors of single records, and the words about them."""
    for _ in range(cursor.length()):
        cursor.skip(4)
        cursor.text()
        cursor.tags()
    cursor.text()


def _after_head(frame: bytes, *, flexible: bool) -> _Cursor:
    cursor = _Cursor(frame, _HEAD.size, flexible=False)
    cursor.text()  # client id, which has a plain length in every version
    cursor.flexible = flexible
    cursor.tags()
    return cursor
