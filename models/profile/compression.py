"""Compress the stored state of dormant users with Zstandard and a shared dictionary.

On any day most users are inactive and cost only memory. Dictionary files are numbered, so state that was compressed
with an older one stays readable. ``python -m tests.benchmarks.dictionary`` makes one.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import resources
from typing import NamedTuple

import zstandard

DICTIONARY = 2
"""Number of the dictionary used to compress in the newest schema. All of the package are used to decompress."""


class _Form(NamedTuple):
    """Settings for compression with a dictionary. They never change, so that a state has the same bytes again.

    Attributes
    ----------
    level
        Level of compression. With dictionary 2, level 3 takes half as much time again and saves 1% more; level 6 takes
        five times as long and saves 5%.
    frame
        Format of the frame. Without the magic number, which says that the bytes are Zstandard's, it is 4 bytes shorter.
    """

    level: int
    frame: int


_FORMS = {1: _Form(3, zstandard.FORMAT_ZSTD1), 2: _Form(2, zstandard.FORMAT_ZSTD1_MAGICLESS)}


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    content = resources.files("models.profile").joinpath(f"dormant_{number}.zdict").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(content)
    dictionary.precompute_compress(level=_FORMS[number].level)
    return dictionary


def _parameters(number: int) -> zstandard.ZstdCompressionParameters:
    form = _FORMS[number]
    return zstandard.ZstdCompressionParameters.from_level(
        form.level, format=form.frame, write_content_size=1, write_checksum=0, write_dict_id=0
    )


class _Tools(threading.local):
    """The compressors and decompressors of one thread, because two threads must not use one at the same time."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def compressor(self, number: int) -> zstandard.ZstdCompressor:
        found = self.compressors.get(number)
        if found is None:
            found = self.compressors[number] = zstandard.ZstdCompressor(
                compression_params=_parameters(number), dict_data=_dictionary(number)
            )
        return found

    def decompressor(self, number: int) -> zstandard.ZstdDecompressor:
        found = self.decompressors.get(number)
        if found is None:
            found = self.decompressors[number] = zstandard.ZstdDecompressor(
                dict_data=_dictionary(number), format=_FORMS[number].frame
            )
        return found


_tools = _Tools()


def compress(body: bytes, dictionary: int = DICTIONARY) -> bytes:
    """Compress an encoded state with the dictionary of this number; the same input always gives the same bytes."""
    return _tools.compressor(dictionary).compress(body)


def decompress(compressed: bytes, dictionary: int) -> bytes:
    """Decompress a state that was compressed with the dictionary of this number.

    Examples
    --------
    >>> decompress(compress(b"product_view" * 30), DICTIONARY) == b"product_view" * 30
    True
    """
    return _tools.decompressor(dictionary).decompress(compressed)
