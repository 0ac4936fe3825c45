"""Metrics: declarations, values, exposition, alerts and dashboards.

The package imports nothing of ``stream``, ``agents`` and ``models``. Tests, also those of other projects, read metrics
with :mod:`monitoring.testing`.
"""
