"""The event log, and the versions and instructions that are published in it.

This package may import ``cluster``.
"""
