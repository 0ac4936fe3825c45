"""Connections to Kafka: admin, topics, writing, reading.

It imports nothing else of ``stream``.
"""
