"""The worker process.

This package may import ``transport``, ``delivery``, ``suppressions``, ``lookup``, ``engine``, ``settings``,
``processes`` and ``cluster``.
"""
