"""The HTTP door: it accepts events, callbacks of providers, and unsubscription links.

It may import ``suppressions``, ``delivery``, ``lookup``, ``log``, ``settings``, ``processes`` and
``cluster``.
"""
