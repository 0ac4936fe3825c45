"""Bodies of requests: read within a time and a size limit, and counted while they are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import web

from models.errors import InvalidEvent
from stream.collector.answers import CLOSING, counted_only, unavailable
from stream.collector.encodings import ALLOWED, DamagedBody, decompressed
from stream.lookup.refusals import HttpRefusal

READ_WITHIN_S = 30.0
"""How long a body may take to arrive, seconds."""
MAX_HELD_BYTES = 64 * 1024 * 1024
"""Maximum size of all bodies in memory, bytes. Above it the door answers 503, before memory runs out."""


class Memory:
    """A counter of the bytes of all bodies that are in memory.

    Parameters
    ----------
    most
        Maximum number of bytes. One body is always admitted.

    Attributes
    ----------
    held
        Number of bytes in memory now.
    """

    def __init__(self, most: int = MAX_HELD_BYTES) -> None:
        self._most = most
        self.held = 0

    def __repr__(self) -> str:
        return f"Memory({self.held} of {self._most} bytes)"

    def hold(self, size: int) -> None:
        """Add bytes; raise the refusal 503 if they are too many."""
        if self.held and self.held + size > self._most:
            raise unavailable("the door holds as many bodies as it can")
        self.held += size

    def release(self, size: int) -> None:
        """Subtract bytes."""
        self.held -= size

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Add bytes, and subtract them at the end of the block."""
        self.hold(size)
        try:
            yield
        finally:
            self.release(size)


class Body(NamedTuple):
    """A body that was read.

    Attributes
    ----------
    content
        The decompressed content; only its beginning, if the body is too large.
    length
        Length of the whole body, bytes; if it is not known, the length of the part that was read.
    """

    content: bytes
    length: int


class BodyReader:
    """The reader of the bodies of requests.

    Parameters
    ----------
    memory
        Counter of all bodies in memory.
    within_s
        Time in which a body must arrive, seconds.
    """

    def __init__(self, memory: Memory, within_s: float = READ_WITHIN_S) -> None:
        self.memory = memory
        self._within_s = within_s

    def __repr__(self) -> str:
        return f"BodyReader({self.memory}, within {self._within_s:g} s)"

    async def read(self, request: web.Request, most: int) -> Body:
        """Read a body, or a little more than ``most`` bytes of a longer one.

        Parameters
        ----------
        request
            A request whose body has not been read yet.
        most
            Maximum number of bytes after decompression.

        Raises
        ------
        HttpRefusal
            408, 400 or 503: the body arrives too slowly, is damaged, or does not fit into memory.
        """
        try:
            async with asyncio.timeout(self._within_s):
                raw = await self._beginning(request, most)
        except TimeoutError:
            error = InvalidEvent("too_slow", "", "an unfinished body", f"the whole body within {self._within_s:g} s")
            raise counted_only(408, error, CLOSING) from None
        except web.RequestPayloadError as broken:
            raise _damaged("a damaged body", f"a body that matches its headers ({broken})", CLOSING) from None
        encoding = request.headers.get("Content-Encoding", "")
        length = max(len(raw), request.content_length or 0)
        if len(raw) > most and encoding.strip().lower() not in ("", "identity"):
            return Body(b"", length)  # the compressed body alone is too large
        try:
            content = decompressed(raw, encoding, most)
        except DamagedBody as damage:
            raise _damaged(str(damage), ALLOWED, {"Accept-Encoding": "gzip, deflate, zstd"}) from None
        return Body(content, max(len(content), length))

    async def _beginning(self, request: web.Request, most: int) -> bytes:
        body = bytearray()
        try:
            async for part in request.content.iter_any():
                self.memory.hold(len(part))
                body += part
                if len(body) > most:
                    break
            return bytes(body)
        except HttpRefusal as refusal:
            raise refusal.with_headers(CLOSING) from None
        finally:
            self.memory.release(len(body))


def _damaged(found: str, allowed: str, headers: dict[str, str]) -> HttpRefusal:
    return counted_only(400, InvalidEvent("bad_body", "", found, allowed), headers)
