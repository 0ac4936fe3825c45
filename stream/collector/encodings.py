"""Decompression of the bodies of requests, up to a maximum size."""

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
"""Maximum number of gzip members or zstd frames in a body; for each, the remaining body is copied, which takes time."""
MAX_ZSTD_WINDOW_LOG = 23
"""Maximum size of a zstd window, as an exponent of 2: 8 MiB, RFC 9659's limit for HTTP. A larger one is refused."""


class DamagedBody(ValueError):
    """The body does not match its ``Content-Encoding``."""


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
        The whole body.
    encoding
        Value of ``Content-Encoding``; empty and ``identity`` mean that the body is not compressed.
    most
        Maximum size, bytes. If the content is larger, only its first ``most`` + 1 bytes are decompressed and returned.

    Raises
    ------
    DamagedBody
        The encoding is not allowed, or the body is damaged, or it ends too early.
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
        raise DamagedBody(f"a body that is not {name}: {error}") from error
    raise DamagedBody(f"Content-Encoding {name[:40]!a}")


def _all(body: bytes, decompressor: Callable[[], _Decompressor], most: int) -> bytes:
    """Decompress one member or frame after the other."""
    content = bytearray()
    rest = body
    members = 0
    while rest:
        members += 1
        if members > MAX_MEMBERS:
            raise DamagedBody(f"more than {MAX_MEMBERS} members of gzip or frames of zstd")
        member = decompressor()
        content += member.decompress(rest, most + 1 - len(content))
        if len(content) > most:
            break
        if not member.eof:
            raise DamagedBody("a body that ends too early")
        rest = member.unused_data.lstrip(b"\0")  # gzip allows padding
    return bytes(content)


def _deflated(body: bytes, most: int) -> bytes:
    # RFC 9110 means the zlib format by this name, but some clients send a bare deflate stream.
    try:
        return _all(body, zlib.decompressobj, most)
    except zlib.error:
        return _all(body, lambda: zlib.decompressobj(-zlib.MAX_WBITS), most)


def _zstd() -> _Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW_LOG})
