"""Clients of Kafka: connections, topics, one writer and one reader.

It may import no other package of ``stream``.
"""
