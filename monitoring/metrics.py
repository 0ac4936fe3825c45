"""The metrics of this process, and the functions that change them.

All metrics are declared in :mod:`monitoring.declarations`; :mod:`monitoring.exposition` serves them to Prometheus, and
:mod:`monitoring.testing` reads them in tests. Every function here raises :class:`UnknownMetric` for a name that is not
declared, so the first test that uses a misspelt name fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from monitoring.declarations import DECLARED, PREFIX

__all__ = [
    "METRICS",
    "REGISTRY",
    "Metric",
    "UnknownMetric",
    "count",
    "declare",
    "forget",
    "gauge",
    "increment",
    "measured",
    "observe",
]

Metric = Counter | Gauge | Histogram


class UnknownMetric(KeyError):
    """Error for a name that is not declared, or for a wrong kind or wrong labels; it is a mistake in the code."""

    def __str__(self) -> str:
        """Show the message without the quotes that :class:`KeyError` adds."""
        return str(self.args[0])


def declare(registry: CollectorRegistry) -> dict[str, Metric]:
    """Create every declared metric in a registry.

    Parameters
    ----------
    registry
        Registry that exposes them. A registry accepts each name only once.

    Returns
    -------
    dict
        Metric by short name.
    """
    made: dict[str, Metric] = {}
    for declared in DECLARED:
        name = PREFIX + declared.name
        if declared.kind == "histogram":
            made[declared.name] = Histogram(
                name, declared.meaning, declared.labels, registry=registry, buckets=declared.buckets
            )
        else:
            kind = Counter if declared.kind == "counter" else Gauge
            made[declared.name] = kind(name, declared.meaning, declared.labels, registry=registry)
        for labels in declared.initial:
            made[declared.name].labels(*labels)
    return made


REGISTRY = CollectorRegistry()
"""Registry of this process, which also exposes its memory, CPU and open files.

It is not prometheus-client's default registry, so importing this module adds nothing to another program's metrics.
"""
ProcessCollector(registry=REGISTRY)
METRICS: Mapping[str, Metric] = declare(REGISTRY)
"""Metrics of :data:`REGISTRY`, by short name."""


_LABELS: Mapping[str, tuple[str, ...]] = {declared.name: declared.labels for declared in DECLARED}


def _find(metrics: Mapping[str, Metric], name: str, labels: tuple[str, ...]) -> Metric:
    metric = metrics.get(name)
    if metric is None:
        raise UnknownMetric(f"metric {name!r} is not declared in monitoring/declarations.py")
    # Check here, because the error of prometheus-client names neither the metric nor its labels.
    if len(labels) != len(_LABELS[name]):
        raise UnknownMetric(f"metric {name!r} has the labels {_LABELS[name]}; found: {labels}")
    return metric.labels(*labels) if labels else metric


def count(counts: Mapping[tuple[str, ...], float], metrics: Mapping[str, Metric] = METRICS) -> None:
    """Apply the increments that an agent yielded.

    Parameters
    ----------
    counts
        Increments by ``(short name, label values...)``, as in ``Outputs.counts``.
    metrics
        Metrics of the registry to change; by default, that of this process.

    Raises
    ------
    UnknownMetric
        A name is not a declared counter, or its labels do not fit. Then nothing is applied.
    """
    found: list[tuple[Counter, float]] = []
    for (name, *labels), amount in counts.items():
        metric = _find(metrics, name, tuple(labels))
        if not isinstance(metric, Counter):
            raise UnknownMetric(f"metric {name!r} is not a counter")
        found.append((metric, amount))
    for counter, amount in found:
        counter.inc(amount)


def increment(name: str, *labels: str, by: float = 1.0) -> None:
    """Increase one counter."""
    count({(name, *labels): by})


def observe(name: str, value: float, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Add one value to a histogram, in the unit of the metric."""
    metric = _find(metrics, name, labels)
    if not isinstance(metric, Histogram):
        raise UnknownMetric(f"metric {name!r} is not a histogram")
    metric.observe(value)


@contextmanager
def measured(name: str, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> Iterator[None]:
    """Observe the duration of the block, in seconds, even if the block raises an error."""
    began = time.perf_counter()
    try:
        yield
    finally:
        observe(name, time.perf_counter() - began, *labels, metrics=metrics)


def gauge(name: str, value: float, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Set a gauge to its newest value."""
    metric = _find(metrics, name, labels)
    if not isinstance(metric, Gauge):
        raise UnknownMetric(f"metric {name!r} is not a gauge")
    metric.set(value)


def forget(name: str, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Stop exposing one labelled value of a gauge, such as the lag of a partition that another worker now owns."""
    metric = _find(metrics, name, labels)
    if not isinstance(metric, Gauge):
        raise UnknownMetric(f"metric {name!r} is not a gauge")
    if labels:
        metrics[name].remove(*labels)
