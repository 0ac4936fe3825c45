"""Metrics and how they are watched: declarations, values, exposition, alerts and dashboards.

It imports nothing of ``stream``, ``agents`` and ``models``. Tests, also those of other projects, read metrics with
:mod:`monitoring.testing`.
"""
