"""The HTTP door: it accepts events, callbacks of providers, and unsubscription links.

This package may import ``suppressions``, ``delivery``, ``lookup``, ``log``, ``settings``, ``processes`` and
``cluster``.
"""
