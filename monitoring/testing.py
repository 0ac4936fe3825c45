"""Helpers for tests: read metrics, and capture what a block of code adds to them.

They work for any code that counts through :mod:`monitoring.metrics`, in this project and in others. They read the
metrics of the process, so tests that share a process should compare increments and not totals.

Examples
--------
>>> from monitoring.metrics import gauge, increment, observe
>>> with capture_metrics() as captured:
...     increment("events_accepted", "http")
...     increment("events_accepted", "http", by=2)
...     observe("commit_seconds", 0.02, "events")
>>> captured
MetricsCapture({('commit_seconds', 'events'): 1.0, ('events_accepted', 'http'): 3.0})
>>> captured == {("events_accepted", "http"): 3, ("commit_seconds", "events"): 1}
True
>>> captured["events_accepted", "kafka"]
0.0
>>> gauge("users", 7, "3")
>>> value("users", partition="3")
7.0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from monitoring.declarations import DECLARED, Declared
from monitoring.metrics import REGISTRY, UnknownMetric

__all__ = ["MetricsCapture", "capture_metrics", "value"]

_BY_NAME: Mapping[str, Declared] = {declared.name: declared for declared in DECLARED}
_BY_SAMPLE: Mapping[str, Declared] = {
    declared.exposed + ("_count" if declared.kind == "histogram" else ""): declared
    for declared in DECLARED
    if declared.kind != "gauge"
}


class MetricsCapture(Mapping[tuple[str, ...], float]):
    """Increments since the capture began, by ``(short name, label values...)``.

    It contains only metrics that have changed: the increment of a counter, and the number of values that a histogram
    observed. Any other declared metric has the increment 0. Inside the block, the capture is up to date. After the
    block, it no longer changes.

    Parameters
    ----------
    registry
        Registry to read.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._before = _totals(registry)
        self._after: dict[tuple[str, ...], float] | None = None

    def __getitem__(self, key: tuple[str, ...]) -> float:
        declared = _BY_NAME.get(key[0])
        if declared is None or declared.kind == "gauge" or len(key) != 1 + len(declared.labels):
            raise UnknownMetric(f"{key} is not a declared counter or histogram with its labels")
        return self._increments().get(key, 0.0)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(sorted(self._increments()))

    def __len__(self) -> int:
        return len(self._increments())

    def __repr__(self) -> str:
        """Show the increments."""
        return f"MetricsCapture({dict(self)})"

    def end(self) -> None:
        """Keep the increments as they are now."""
        self._after = _totals(self._registry)

    def _increments(self) -> dict[tuple[str, ...], float]:
        after = _totals(self._registry) if self._after is None else self._after
        changes = {key: total - self._before.get(key, 0.0) for key, total in after.items()}
        return {key: change for key, change in changes.items() if change}


@contextmanager
def capture_metrics(registry: CollectorRegistry = REGISTRY) -> Iterator[MetricsCapture]:
    """Capture what a block adds to counters and histograms.

    Parameters
    ----------
    registry
        Registry to read; by default, that of this process.

    Yields
    ------
    MetricsCapture
        The increments, as a mapping.
    """
    captured = MetricsCapture(registry)
    try:
        yield captured
    finally:
        captured.end()


def value(name: str, registry: CollectorRegistry = REGISTRY, /, **labels: str) -> float | None:
    """Return the present value of a metric, or ``None`` if it has none for these labels.

    The value of a histogram is the sum of all values that it observed.

    Parameters
    ----------
    name
        Short name, as declared.
    registry
        Registry to read; by default, that of this process.
    **labels
        Values of all labels of the metric.

    Raises
    ------
    UnknownMetric
        The name is not declared, or the metric has other labels.
    """
    declared = _BY_NAME.get(name)
    if declared is None:
        raise UnknownMetric(f"metric {name!r} is not declared in monitoring/declarations.py")
    if labels.keys() != set(declared.labels):
        raise UnknownMetric(f"metric {name!r} has the labels {declared.labels}; found: {tuple(labels)}")
    return registry.get_sample_value(declared.exposed + ("_sum" if declared.kind == "histogram" else ""), labels)


def _totals(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    totals = {}
    for family in registry.collect():
        for sample in family.samples:
            declared = _BY_SAMPLE.get(sample.name)
            if declared is not None:
                totals[(declared.name, *(sample.labels[label] for label in declared.labels))] = sample.value
    return totals
