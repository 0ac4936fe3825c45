"""An installation on this machine: start it, check it, and split profiles.

This package may import ``collector``, ``delivery``, ``rebuild``, ``lookup``, ``log``, ``settings``, ``processes`` and
``cluster``.
"""
