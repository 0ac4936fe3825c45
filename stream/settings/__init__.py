"""Settings from ``perennial.yaml`` and the environment.

It may import ``cluster``.
"""
