"""Kafka's default partitioner: murmur2 of the key. So every client computes the same partition for a user."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["murmur2", "partition_of"]

MAX_CACHED_KEYS = 1 << 17
"""Maximum number of keys whose partition is cached. Murmur2 costs microseconds here, and the same users return."""


def murmur2(data: bytes) -> int:
    """Hash bytes with murmur2 and Kafka's seed; the result has the same bits as Kafka's signed 32-bit hash.

    Parameters
    ----------
    data
        Key bytes.

    Returns
    -------
    int
        0 to 2**32 - 1.

    References
    ----------
    Apache Kafka, ``org.apache.kafka.common.utils.Utils.murmur2``; Kafka's test vectors are in the doctest.

    Examples
    --------
    >>> [murmur2(key) - (1 << 32) for key in (b"21", b"foobar")]
    [-973932308, -790332482]
    """
    length = len(data)
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ length) & mask
    for i in range(0, length & ~3, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    tail = length & 3
    if tail:
        rest = data[length & ~3 :]
        if tail == 3:
            h ^= rest[2] << 16
        if tail >= 2:
            h ^= rest[1] << 8
        h ^= rest[0]
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    h ^= h >> 15
    return h


@lru_cache(maxsize=MAX_CACHED_KEYS)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the number of the partition, out of ``partitions``, that a key belongs to.

    Examples
    --------
    >>> partition_of(b"u1", 12)
    4
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
