"""Compressed bodies of requests, decompressed within a bound."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ALLOWED = "Content-Encoding gzip, deflate or zstd, or a body that is not compressed"
MAX_MEMBERS = 128
"""Maximum number of gzip members or zstd frames in a body: each copies what follows it, so many would take minutes."""
MAX_ZSTD_WINDOW_LOG = 23
"""Windows up to 8 MiB, as RFC 9659 bounds them for HTTP; a frame may ask for gigabytes."""


class DamagedBody(ValueError):
    """A body is not what its ``Content-Encoding`` says."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decompressed(body: bytes, encoding: str, most: int) -> bytes:
    """Decompress a body.

    Parameters
    ----------
    body
        All of it.
    encoding
        Value of ``Content-Encoding``; empty and ``identity`` are not compressed.
    most
        Of a longer content only the first ``most`` + 1 bytes are returned: no more than that is ever in memory.

    Raises
    ------
    DamagedBody
        The encoding is none of the allowed ones, or the body is damaged or ends too early.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body[: most + 1]
    try:
        if name in ("gzip", "x-gzip"):
            return _all(body, lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), most)
        if name == "deflate":
            return _deflated(body, most)
        if name == "zstd":
            return _all(body, _zstd, most)
    except (zlib.error, zstd.ZstdError) as error:
        raise DamagedBody(f"no {name}: {error}") from error
    raise DamagedBody(f"Content-Encoding {name[:40]!a}")


def _all(body: bytes, decompressor: Callable[[], _Decompressor], most: int) -> bytes:
    """Decompress one member, or frame, after the other."""
    content = bytearray()
    rest = body
    members = 0
    while rest:
        members += 1
        if members > MAX_MEMBERS:
            raise DamagedBody(f"more than {MAX_MEMBERS} members")
        member = decompressor()
        content += member.decompress(rest, most + 1 - len(content))
        if len(content) > most:
            break
        if not member.eof:
            raise DamagedBody("it ends too early")
        rest = member.unused_data.lstrip(b"\0")  # gzip allows padding
    return bytes(content)


def _deflated(body: bytes, most: int) -> bytes:
    # RFC 9110 means zlib's format by it; some clients send a bare deflate stream
    try:
        return _all(body, zlib.decompressobj, most)
    except zlib.error:
        return _all(body, lambda: zlib.decompressobj(-zlib.MAX_WBITS), most)


def _zstd() -> _Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW_LOG})
