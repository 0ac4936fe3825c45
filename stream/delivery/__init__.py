"""Delivery of messages to providers, one file per channel.

It may import ``log``, ``settings`` and ``cluster``.
"""
