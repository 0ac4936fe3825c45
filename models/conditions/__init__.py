"""The language of conditions: written form, canonical form, and the incremental evaluation for one user.

This package may import ``places``. It has no clock and no I/O, because the time is an argument
everywhere.
"""
