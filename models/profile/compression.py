"""Compress the stored state of dormant users with Zstandard and a shared dictionary.

On any day most users are inactive and cost only memory. Dictionary files are numbered, so state that was compressed
with an older one stays readable. ``python -m tests.benchmarks.dictionary`` makes one.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import resources

import zstandard

DICTIONARY = 2
"""Number of the dictionary used to compress in the newest schema. All of the package are used to decompress."""

LEVEL = 3
"""Level of compression. Level 6 takes three times as long and saves 3% more."""


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    content = resources.files("models.profile").joinpath(f"dormant_{number}.zdict").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(content)
    dictionary.precompute_compress(level=LEVEL)
    return dictionary


class _Tools(threading.local):
    """The compressors and decompressors of one thread, because two threads must not use one at the same time."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def compressor(self, number: int) -> zstandard.ZstdCompressor:
        found = self.compressors.get(number)
        if found is None:
            found = self.compressors[number] = zstandard.ZstdCompressor(
                level=LEVEL, dict_data=_dictionary(number), write_dict_id=False, write_checksum=False
            )
        return found

    def decompressor(self, number: int) -> zstandard.ZstdDecompressor:
        found = self.decompressors.get(number)
        if found is None:
            found = self.decompressors[number] = zstandard.ZstdDecompressor(dict_data=_dictionary(number))
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
