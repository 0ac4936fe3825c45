"""The marketing configuration: its written form, how that is read and checked, and the compiled form for the fold.

It may import ``wire``, ``liquid`` and ``places``.
"""
