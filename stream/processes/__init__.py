"""Child processes, their supervision and their logs.

It imports nothing else of ``stream``.
"""
