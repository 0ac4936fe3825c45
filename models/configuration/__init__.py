"""The marketing configuration: its definition, and its compiled form.

It may import ``wire``, ``liquid`` and ``places``.
"""
