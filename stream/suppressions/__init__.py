"""The suppression list in Kafka: delivery follows it, the HTTP door and the commands read and write it.

This package may import ``delivery``, ``log`` and ``cluster``.
"""
