"""The stored state of a user, and how events change it.

It may import ``configuration``, ``recommend`` and ``wire``.
"""
