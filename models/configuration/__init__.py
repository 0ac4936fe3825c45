"""The marketing configuration: the written form, its reading and its checks, and the compiled form for the fold.

This package may import ``lifecycle``, ``conditions``, ``wire``, ``liquid`` and ``places``.
"""
