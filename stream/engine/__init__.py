"""Lanes: exactly-once processing of a partition.

This package may import ``cluster``.
"""
