"""The event log, and the versions and orders published in it.

It may import ``cluster``.
"""
