"""Rules, consent, caps and quiet hours: who gets which message.

It may import ``profile``, ``delivery``, ``configuration`` and ``places``.
"""
