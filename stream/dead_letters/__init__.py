"""Dead letters: reading ``events.rejected``, repairing its records, and replaying each of them once.

This package may import ``log`` and ``cluster``.
"""
