"""Child processes, their supervision and their logs.

This package imports no other package of ``stream``.
"""
