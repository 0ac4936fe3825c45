"""Every metric of every process, declared once with its meaning and its unit.

A metric has a short name (``events_folded``), which the code and :attr:`Outputs.counts` use, and the exposed name that
follows from it (``perennial_events_folded_total``). Units are Prometheus' base units: seconds, bytes, plain counts.
What is not in :data:`DECLARED` does not exist: every function here raises :class:`UnknownMetric` for it, and a test
fails when a dashboard or an alert names it.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, NamedTuple
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

PREFIX = "perennial_"
Metric = Counter | Gauge | Histogram

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Buckets for what is milliseconds when all is well."""
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Buckets for what is seconds or minutes when all is well."""
SIZES = (1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0)
"""Buckets for records in a batch."""


class UnknownMetric(KeyError):
    """A name that is not declared, a kind that does not fit, or labels that do not fit: a mistake in the code."""

    def __str__(self) -> str:
        """Show the message without the quotes of :class:`KeyError`."""
        return str(self.args[0])


class Declared(NamedTuple):
    """One metric: what is measured, in which unit, by which labels.

    Attributes
    ----------
    name
        Short name.
    kind
        ``counter`` only grows, ``gauge`` is the latest value, ``histogram`` counts values by size.
    meaning
        One sentence, with the unit; shown by Prometheus and Grafana.
    labels
        Label names; each has few values (never a user, a message or an item).
    buckets
        Of a histogram.
    initial
        Label values that are there from the start, at 0: Prometheus' ``increase`` does not see the first event of a
        counter that appears with it.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: Sequence[float] = FAST
    initial: Sequence[tuple[str, ...]] = ()

    @property
    def exposed(self) -> str:
        """The name that Prometheus sees."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")


DECLARED: tuple[Declared, ...] = (
    # Doors: `door` is `http` or `kafka` (the router of events.in).
    Declared("events_accepted", "counter", "Events that a door validated and Kafka acknowledged.", ("door",)),
    Declared(
        "events_rejected", "counter", "What was refused, by reason; nearly all of it became a dead letter.", ("reason",)
    ),
    Declared("event_warnings", "counter", "Details of accepted events that did not count, by reason.", ("reason",)),
    Declared(
        "withdrawals_salvaged",
        "counter",
        "Withdrawals of consent that counted although their record was refused, by the reason of the refusal.",
        ("reason",),
    ),
    Declared("http_requests", "counter", "Requests that the HTTP door answered.", ("path", "status")),
    Declared("http_request_seconds", "histogram", "From a request's first byte to its answer, seconds.", ("path",)),
    # The fold.
    Declared("events_folded", "counter", "Events applied to a user's state.", ("type",)),
    Declared("events_duplicate", "counter", "Events ignored because the user's state has seen their messageId."),
    Declared(
        "orders_repeated",
        "counter",
        "Whole orders ignored because the user's state has counted them, by content: same, different, updated since.",
        ("content",),
    ),
    Declared("events_late", "counter", "Of those folded, events too old to find their place in the user's order."),
    Declared(
        "ids_forgotten",
        "counter",
        "Ids forgotten before the horizon was over, because a user sent more than are remembered.",
    ),
    Declared("timers_fired", "counter", "Timers that came due, by name.", ("timer",)),
    Declared("signals", "counter", "Signals emitted, by kind (segment_entered, churn_risk ...).", ("kind",)),
    Declared(
        "decisions", "counter", "Decisions on a message: sent, deferred or dropped, and why.", ("outcome", "reason")
    ),
    Declared("messages", "counter", "Messages decided and handed to delivery.", ("channel", "rule")),
    Declared("template_fallbacks", "counter", "Of those, messages whose template failed, by rule.", ("rule",)),
    Declared("interactions", "counter", "User-item interactions emitted for the retrainer."),
    Declared("examples_emitted", "counter", "Training examples emitted with their label.", ("model",)),
    Declared("examples_ungraded", "counter", "Of those, examples taken before any version was in use.", ("model",)),
    Declared("users", "gauge", "Users held in memory, and the few records of the lane itself.", ("partition",)),
    Declared(
        "version_in_use",
        "gauge",
        "Version in use, the lowest of the partitions, by name (configuration, churn ...).",
        ("name",),
    ),
    # Lanes: `topic` is the logical name of what the lane reads.
    Declared("transactions", "counter", "Transactions of a lane: committed or aborted.", ("topic", "outcome")),
    Declared(
        "commit_seconds", "histogram", "From the first output to the commit's acknowledgement, seconds.", ("topic",)
    ),
    Declared("think_seconds", "histogram", "From a batch handed to the agent to what it yielded, seconds.", ("topic",)),
    Declared("batch_records", "histogram", "Records committed in one transaction.", ("topic",), SIZES),
    Declared(
        "event_to_commit_seconds",
        "histogram",
        "From the broker's stamp of a batch's oldest record to its commit, seconds.",
        ("topic",),
    ),
    Declared(
        "lane_lag_records",
        "gauge",
        "Records between the lane's position and the high watermark.",
        ("topic", "partition"),
    ),
    Declared(
        "last_commit_timestamp_seconds",
        "gauge",
        "When the lane last committed, or found nothing to do; Unix time.",
        ("topic", "partition"),
    ),
    Declared("partitions_assigned", "gauge", "Partitions that this process owns.", ("topic",)),
    Declared(
        "restore_seconds", "histogram", "From a partition's assignment to its first read, seconds.", ("topic",), SLOW
    ),
    Declared("lane_failures", "counter", "Lanes that failed and were rebuilt, by error class.", ("topic", "error")),
    # Delivery.
    Declared(
        "deliveries",
        "counter",
        "Outcomes of delivery: sent, rejected, expired, withdrawn, suppressed, unknown, resolved (an unknown one), "
        "duplicate.",
        ("channel", "status"),
        initial=[
            (channel, status)
            for channel in ("email", "sms")
            for status in ("sent", "rejected", "expired", "suppressed", "unknown", "resolved")
        ],
    ),
    Declared(
        "bounces",
        "counter",
        "Refusals by what they say of the address: hard, second (hard when said again), stop, soft, or our own fault "
        "(sender).",
        ("channel", "class"),
        initial=[(channel, kind) for channel in ("email", "sms") for kind in ("hard", "soft", "sender")],
    ),
    Declared(
        "bounce_storms",
        "gauge",
        "Domains, and the whole channel, with so many hard bounces that messages wait and no entry is written.",
        ("channel",),
    ),
    # The suppression list.
    Declared("suppressions", "gauge", "Entries of the suppression list that this process holds in memory."),
    Declared("suppressions_written", "counter", "Entries that delivery or the HTTP door wrote.", ("channel", "reason")),
    Declared("suppressions_unreadable", "counter", "Records of the list that are no entry and were passed over."),
    Declared("suppression_watch_failures", "counter", "Times that the list could not be followed.", ("error",)),
    Declared(
        "delivery_retries",
        "counter",
        "Attempts that the provider clearly did not take, to be made again.",
        ("channel",),
    ),
    Declared("deliveries_waiting", "gauge", "Messages that wait for their turn or their next attempt.", ("channel",)),
    Declared(
        "delivery_held",
        "gauge",
        "Whether a channel sends nothing for this reason, and its messages wait (1), or no longer (0).",
        ("channel", "reason"),
    ),
    Declared("provider_seconds", "histogram", "One call of a provider, seconds.", ("channel",), SLOW),
    Declared(
        "provider_breaker",
        "gauge",
        "Circuit breaker of the provider: 0 closed, 1 half open, 2 open (nobody is called).",
        ("channel",),
    ),
    Declared(
        "breaker_openings",
        "counter",
        "Times that a provider was left alone because it failed.",
        ("channel",),
        initial=[("email",), ("sms",)],
    ),
    # Learners.
    Declared("examples_learned", "counter", "Examples that a learner has learned from.", ("model",)),
    Declared("learner_version", "gauge", "Newest version that the learner published.", ("model",)),
    Declared("learner_publish_timestamp_seconds", "gauge", "When the learner last published; Unix time.", ("model",)),
    Declared("learner_log_loss", "gauge", "Log loss of the probabilities issued, over a recent window.", ("model",)),
    Declared("learner_auc", "gauge", "AUC of the probabilities issued, over a recent window.", ("model",)),
    # Retrainer and recommender.
    Declared(
        "retrains",
        "counter",
        "Training runs: published, kept (no better), failed.",
        ("outcome",),
        initial=[("published",), ("kept",), ("failed",)],
    ),
    Declared("retrain_seconds", "histogram", "One training run, validation included, seconds.", (), SLOW),
    Declared("retrain_rows", "gauge", "Interactions in the newest run's window."),
    Declared("retrain_recall", "gauge", "Recall@10 of the newest run on its held-out tail, 0 to 1."),
    Declared("retrain_popularity_recall", "gauge", "Recall@10 of popularity on the same tail, 0 to 1."),
    Declared("retrain_version", "gauge", "Newest version that the retrainer published."),
    Declared("retrain_timestamp_seconds", "gauge", "When the newest run ended; Unix time."),
    Declared("recommendations", "counter", "Recommendations answered, by what they came from.", ("source",)),
    Declared("recommend_seconds", "histogram", "Recommending to one user, seconds."),
    Declared("artifacts_refused", "counter", "Published recommenders that were damaged, missing or unreadable."),
    Declared(
        "model_watch_failures",
        "counter",
        "Times that following recommenders and catalogue failed and began anew, by error class.",
        ("error",),
    ),
    # The house.
    Declared("process_ends", "counter", "Ends of supervised processes that nobody had asked for.", ("program", "why")),
    Declared("build_info", "gauge", "Always 1; says what runs.", ("version", "python")),
)


def declare(registry: CollectorRegistry) -> dict[str, Metric]:
    """Create every declared metric in a registry.

    Parameters
    ----------
    registry
        Where they are exposed; one registry takes them once.

    Returns
    -------
    dict
        Short name to metric.
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


# Not prometheus-client's own default registry: importing this module adds nothing to anybody else's.
REGISTRY = CollectorRegistry()
"""What this process exposes; its memory, CPU and open files among it."""
ProcessCollector(registry=REGISTRY)
METRICS: Mapping[str, Metric] = declare(REGISTRY)
"""Short name to metric, of :data:`REGISTRY`."""


def _find(metrics: Mapping[str, Metric], name: str, labels: tuple[str, ...]) -> Metric:
    metric = metrics.get(name)
    if metric is None:
        raise UnknownMetric(f"metric {name!r} is not declared in monitoring/metrics.py")
    if not labels:
        # Without its labels a labelled metric fails inside prometheus-client with a message that names neither.
        if metric._labelnames:
            raise UnknownMetric(f"metric {name!r} wants the labels {metric._labelnames}, got none")
        return metric
    try:
        return metric.labels(*labels)
    except ValueError as error:
        raise UnknownMetric(f"metric {name!r} wants the labels {metric._labelnames}, got {labels}") from error


def count(counts: Mapping[tuple[str, ...], float], metrics: Mapping[str, Metric] = METRICS) -> None:
    """Apply the increments that an agent yielded.

    Parameters
    ----------
    counts
        ``(short name, label values...)`` to increment, as in ``Outputs.counts``.
    metrics
        Of another registry than this process's.

    Raises
    ------
    UnknownMetric
        Where a name is not a declared counter, or its labels do not fit; nothing is applied then.
    """
    found: list[tuple[Counter, float]] = []
    for (name, *labels), amount in counts.items():
        metric = _find(metrics, name, tuple(labels))
        if not isinstance(metric, Counter):
            raise UnknownMetric(f"metric {name!r} is no counter")
        found.append((metric, amount))
    for counter, amount in found:
        counter.inc(amount)


def increment(name: str, *labels: str, by: float = 1.0) -> None:
    """Add to one counter."""
    count({(name, *labels): by})


def observe(name: str, value: float, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Add a value, in the metric's unit, to a histogram."""
    metric = _find(metrics, name, labels)
    if not isinstance(metric, Histogram):
        raise UnknownMetric(f"metric {name!r} is no histogram")
    metric.observe(value)


@contextmanager
def measured(name: str, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> Iterator[None]:
    """Observe how long the block took, seconds, however it ends."""
    began = time.perf_counter()
    try:
        yield
    finally:
        observe(name, time.perf_counter() - began, *labels, metrics=metrics)


def gauge(name: str, value: float, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Set a gauge to its latest value."""
    metric = _find(metrics, name, labels)
    if not isinstance(metric, Gauge):
        raise UnknownMetric(f"metric {name!r} is no gauge")
    metric.set(value)


def forget(name: str, *labels: str, metrics: Mapping[str, Metric] = METRICS) -> None:
    """Stop exposing one labelled value, such as the lag of a partition that went to another worker."""
    metric = _find(metrics, name, labels)
    if not isinstance(metric, Gauge):
        raise UnknownMetric(f"metric {name!r} is no gauge")
    if labels:
        metrics[name].remove(*labels)


class Exposition:
    """The running HTTP server that Prometheus scrapes."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop it and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(port: int, host: str = "127.0.0.1", registry: CollectorRegistry = REGISTRY) -> Exposition:
    """Expose this process's metrics at ``http://host:port/metrics``, from a daemon thread.

    Parameters
    ----------
    port
        0 takes a free one; see :attr:`Exposition.port`.
    host
        Address to bind; loopback unless the settings say otherwise, because metrics tell about the business.
    registry
        What to expose.

    Raises
    ------
    OSError
        Where the port is taken.
    """
    # A `_created` series beside each counter doubles what is stored and answers no question here.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus-client leaves this one function untyped
    gauge("build_info", 1.0, _version(), platform.python_version())
    server, thread = start_http_server(port, addr=host, registry=registry)
    return Exposition(server, thread)


def _version() -> str:
    try:
        return version("perennial")
    except PackageNotFoundError:
        return "unknown"  # run from a checkout that was not installed
