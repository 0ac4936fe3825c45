"""``perennial import``: files are compared with the profiles, written into the log, listed and undone.

This package may import ``suppressions``, ``feed``, ``log`` and ``cluster``.
"""
