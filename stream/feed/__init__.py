"""Feeders: programs that write a replay or a simulation into a log, with the clock of the feeder.

This package may import ``engine``, ``log``, ``settings`` and ``cluster``.
"""
