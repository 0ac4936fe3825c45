"""Time zones and countries.

It imports nothing else of ``models``.
"""
