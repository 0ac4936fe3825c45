"""The fold turns the events of one partition of users into their state and outputs.

It may import ``engage``, ``identity``, ``delivery``, ``profile``, ``lifecycle``, ``conditions``, ``configuration``,
``wire``, ``learning``, ``recommend`` and ``places``.
"""
