"""Answers about a user over HTTP on loopback, from the worker that owns the user.

It may import ``recommender``, ``settings`` and ``cluster``.
"""
