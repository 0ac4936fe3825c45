"""Lanes: exactly-once processing of a partition.

It may import ``cluster``.
"""
