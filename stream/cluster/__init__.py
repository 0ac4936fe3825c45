"""Clients of Kafka: connections, topics, one writer and one reader.

This package imports no other package of ``stream``.
"""
