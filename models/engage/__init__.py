"""Rules, consent, caps and quiet hours: who gets which message.

This package may import ``profile``, ``delivery``, ``configuration``, ``conditions`` and ``places``.
"""
