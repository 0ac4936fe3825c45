"""Rules of ``perennial import``: what a line of a file states, what it would change, and what a run was.

This package may import ``engage``, ``profile``, ``delivery``, ``wire`` and ``places``.
"""
