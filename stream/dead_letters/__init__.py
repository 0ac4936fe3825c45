"""Dead letters: reading ``events.rejected``, repairing its records, and replaying each of them once.

It may import ``log`` and ``cluster``.
"""
