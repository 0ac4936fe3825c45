"""The event log, and the versions and orders that are published in it.

It may import ``cluster``.
"""
