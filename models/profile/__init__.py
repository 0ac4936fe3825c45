"""The stored state of a user, and how events change it.

It may import ``conditions``, ``configuration``, ``recommend`` and ``wire``.
"""
