"""Rules of ``perennial import``: what a line of a file states, what it would change, and what a run was.

This package may import ``profile``, ``delivery``, ``wire``.
"""
