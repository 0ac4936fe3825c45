"""Bodies of requests: read within a time and a size, and counted as long as they are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from models.errors import InvalidEvent
from stream.collector.answers import CLOSING, HttpRefusal, counted_only, unavailable
from stream.collector.encodings import ALLOWED, DamagedBody, decompressed

READ_WITHIN_S = 30.0
"""How long a body may take to arrive."""
MAX_HELD_BYTES = 64 * 1024 * 1024
"""Maximum bytes of bodies in memory; beyond them the door answers 503 before memory runs out."""


class Memory:
    """Counts the bytes of bodies that are in memory at the same time.

    Parameters
    ----------
    most
        Maximum of them. One body is always admitted.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = MAX_HELD_BYTES if most is None else most
        self.held = 0

    def hold(self, size: int) -> None:
        """Count further bytes; raises the answer 503 where they are too many."""
        if self.held and self.held + size > self._most:
            raise unavailable("the door holds as many bodies as it can")
        self.held += size

    def release(self, size: int) -> None:
        """Count bytes no longer."""
        self.held -= size

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count bytes until the end of the block."""
        self.hold(size)
        try:
            yield
        finally:
            self.release(size)


class Body:
    """A body that was read.

    Attributes
    ----------
    content
        Decompressed; of one that is too large, its beginning.
    length
        Bytes of all of it, or as many as are known of.
    """

    def __init__(self, content: bytes, length: int) -> None:
        self.content = content
        self.length = length


async def read(request: web.Request, most: int, memory: Memory) -> Body:
    """Read a body, or a little more than ``most`` bytes of a longer one.

    Parameters
    ----------
    request
        Whose body has not been read yet.
    most
        Maximum bytes, after decompression.
    memory
        Counts the body while it arrives.

    Raises
    ------
    HttpRefusal
        408, 400 or 503: it comes too slowly, is damaged, or does not fit into memory.
    """
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            raw = await _beginning(request, most, memory)
    except TimeoutError:
        error = InvalidEvent("too_slow", "", "an unfinished body", f"a body within {READ_WITHIN_S:g} s")
        raise counted_only(408, error, CLOSING) from None
    except web.RequestPayloadError as broken:
        raise _damaged("a damaged body", f"what its headers say ({broken})", CLOSING) from None
    encoding = request.headers.get("Content-Encoding", "")
    length = max(len(raw), request.content_length or 0)
    if len(raw) > most and encoding.strip().lower() not in ("", "identity"):
        return Body(b"", length)  # even compressed it is too large
    try:
        content = decompressed(raw, encoding, most)
    except DamagedBody as damage:
        raise _damaged(str(damage), ALLOWED, {"Accept-Encoding": "gzip, deflate, zstd"}) from None
    return Body(content, max(len(content), length))


def _damaged(found: str, allowed: str, headers: dict[str, str]) -> HttpRefusal:
    return counted_only(400, InvalidEvent("bad_body", "", found, allowed), headers)


async def _beginning(request: web.Request, most: int, memory: Memory) -> bytes:
    body = bytearray()
    try:
        async for part in request.content.iter_any():
            memory.hold(len(part))
            body += part
            if len(body) > most:
                break
        return bytes(body)
    except HttpRefusal as refusal:
        raise HttpRefusal(refusal.status, refusal.error, {**(refusal.headers or {}), **CLOSING}) from None
    finally:
        memory.release(len(body))
