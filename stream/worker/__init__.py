"""The worker process.

It may import ``transport``, ``delivery``, ``suppressions``, ``lookup``, ``engine``, ``settings``,
``processes`` and ``cluster``.
"""
