"""An installation on this machine: start it and check it.

This package may import ``collector``, ``delivery``, ``rebuild``, ``log``, ``settings``, ``processes`` and ``cluster``.
"""
