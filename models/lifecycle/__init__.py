"""The lifecycle of a user: a state machine whose moves are conditions.

This package may import ``conditions``. It has no clock and no I/O.
"""
