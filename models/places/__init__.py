"""Time zones and countries.

This package imports no other package of ``models``.
"""
