"""An installation on this machine: start it and check it.

It may import ``collector``, ``delivery``, ``log``, ``settings``, ``processes`` and ``cluster``.
"""
