"""Settings from ``perennial.yaml`` and the environment.

This package may import ``cluster``.
"""
