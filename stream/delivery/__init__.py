"""Delivery of messages to providers, one file per channel.

This package may import ``log``, ``settings`` and ``cluster``.
"""
