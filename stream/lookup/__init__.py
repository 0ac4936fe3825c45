"""Answers about a user over HTTP on loopback, from the worker that owns the user.

This package may import ``recommender``, ``log``, ``settings`` and ``cluster``.
"""
