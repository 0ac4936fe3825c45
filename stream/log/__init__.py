"""The event log, and the versions and commands that are published in it.

This package may import ``cluster``.
"""
