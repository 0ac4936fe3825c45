"""Bytes of a user who rests, squeezed: Zstandard with a dictionary of what every state has in common.

Most users of any day are silent, and one who is costs memory and nothing else. The dictionary stands in a numbered
file, so that what an older one has squeezed can be read beside a newer one; ``python -m tests.benchmarks.dictionary``
makes it.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import resources

import zstandard

DICTIONARY = 1
"""Number of the dictionary that is written with; all there are can be read."""

LEVEL = 3
"""6 takes three times as long, for 3% fewer bytes."""


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    content = resources.files("models.profile").joinpath(f"resting_{number}.zdict").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(content)
    dictionary.precompute_compress(level=LEVEL)
    return dictionary


class _Tools(threading.local):
    """One pair a thread, since neither may be used by two at once."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=_dictionary(DICTIONARY), write_dict_id=False, write_checksum=False
        )
        self.decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def decompressor(self, number: int) -> zstandard.ZstdDecompressor:
        found = self.decompressors.get(number)
        if found is None:
            found = self.decompressors[number] = zstandard.ZstdDecompressor(dict_data=_dictionary(number))
        return found


_tools = _Tools()


def squeeze(body: bytes) -> bytes:
    """Make bytes of a state smaller, with :data:`DICTIONARY`; the same bytes always give the same."""
    return _tools.compressor.compress(body)


def unsqueeze(squeezed: bytes, dictionary: int) -> bytes:
    """Give back what was squeezed with the dictionary of that number.

    Examples
    --------
    >>> unsqueeze(squeeze(b"product_view" * 30), DICTIONARY) == b"product_view" * 30
    True
    """
    return _tools.decompressor(dictionary).decompress(squeezed)
