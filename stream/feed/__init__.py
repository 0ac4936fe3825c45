"""Feeders: programs that write a replay or a simulation into a log, with a clock of their own.

It may import ``engine``, ``log``, ``settings`` and ``cluster``.
"""
