"""The fold: one partition of users, from events to state and outputs.

It may import ``engage``, ``delivery``, ``profile``, ``configuration``, ``wire``, ``learning``, ``recommend`` and
``places``.
"""
