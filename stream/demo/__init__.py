"""The demo: a simulated shop runs through every process, and every figure shown is counted from the topics.

This package may import ``installation``, ``log``, ``recommender``, ``settings``, ``processes``,
``presets`` and ``cluster``.
"""
