"""A setting of the C library's allocator, with which freed buffers do not stay in the process."""

from __future__ import annotations

import ctypes

LARGE_BYTES = 256 << 10
"""Size from which a buffer is mapped separately."""

_M_MMAP_THRESHOLD = -3
"""Number of the parameter in glibc's ``malloc.h``."""


def map_large_buffers() -> bool:
    """Map each buffer of ``LARGE_BYTES`` or more separately, so that its memory returns to the system when it is freed.

    By default, glibc raises this bound up to 32 MiB as soon as larger buffers are freed. After that, it takes buffers
    from the heap, and small objects that live longer keep the gaps between them in the process. The fetches and batches
    of a fold that catches up leave about 35 MiB of such gaps.

    Returns
    -------
    bool
        Whether the allocator has this setting; only glibc has it.

    Examples
    --------
    >>> map_large_buffers() in (True, False)
    True
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) == 1
