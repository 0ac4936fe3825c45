"""Metrics of lanes: counters of their commits, and gauges of their state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable

import msgspec

from models.fold.memo import read_memo
from models.log import EVENTS, Use, decode_control
from monitoring import metrics
from stream.cluster.errors import name_of
from stream.engine.lanes import Lanes
from stream.engine.reports import CommitReport, LaneReport
from stream.worker.health import WaitingTimes

SHOW_EVERY_S = 2.0
"""Time between two updates of the gauges, seconds."""


class MetricsObserver:
    """Observer that counts what lanes do."""

    def opened(self, topic: str, seconds: float) -> None:
        """Record how long it took to take a partition over and to restore its state."""
        metrics.observe("restore_seconds", seconds, topic)

    def committed(self, report: CommitReport) -> None:
        """Record a commit, the counts of its agent, and the time that it took."""
        metrics.count(report.counts)
        metrics.increment("transactions", report.topic, "committed")
        metrics.observe("commit_seconds", report.seconds, report.topic)
        if report.records:
            metrics.observe("batch_records", float(report.records), report.topic)
            metrics.observe("think_seconds", report.compute_seconds, report.topic)
        if report.oldest_stamp is not None:
            age_s = max(time.time() - report.oldest_stamp / 1_000, 0.0)
            metrics.observe("event_to_commit_seconds", age_s, report.topic)
        for _, value in report.broadcasts:
            _show_version(value)

    def failed(self, topic: str, error: BaseException) -> None:
        """Count the end of a run of a lane."""
        metrics.increment("lane_failures", topic, name_of(error))
        metrics.increment("transactions", topic, "aborted")


class _Quality(msgspec.Struct):
    """The figures of a model's version; the other fields of the version are not read."""

    quality: dict[str, float | None] = {}


def _show_version(value: bytes) -> None:
    """Show a version that a learner has published, and the quality of the scores issued so far."""
    control = decode_control(value)
    if not isinstance(control, Use):
        return
    metrics.gauge("learner_version", float(control.version), control.name)
    metrics.gauge("learner_publish_timestamp_seconds", time.time(), control.name)
    quality = msgspec.json.decode(control.content, type=_Quality).quality
    for figure in ("auc", "log_loss"):
        said = quality.get(figure)
        if said is not None:
            metrics.gauge(f"learner_{figure}", said, control.name)


async def show_lanes(lanes: Lanes, waiting: WaitingTimes) -> None:
    """Keep the gauges of lanes up to date until cancelled.

    Parameters
    ----------
    lanes
        The lanes of this process.
    waiting
        How long records have waited for them.
    """
    shown: set[tuple[str, str]] = set()
    while True:
        reports = lanes.snapshot()
        for lane in reports:
            _show_lane(lane, time.time() - waiting.seconds(lane))
        _show_states(lanes, reports)
        labels = {(lane.topic, str(lane.partition)) for lane in reports}
        _show_partitions(labels, shown)
        for gone in shown - labels:
            _forget_lane(*gone)
        shown = labels
        await asyncio.sleep(SHOW_EVERY_S)


def _show_lane(lane: LaneReport, committed_at: float) -> None:
    labels = lane.topic, str(lane.partition)
    if lane.lag is not None:
        metrics.gauge("lane_lag_records", float(lane.lag), *labels)
    # Alerts watch the age of this time. A lane that has read everything must look like one that has just committed.
    metrics.gauge("last_commit_timestamp_seconds", committed_at, *labels)


def _show_states(lanes: Lanes, reports: Iterable[LaneReport]) -> None:
    """Show the users of the fold's partitions, and the oldest version in use in any of them."""
    in_use = dict[str, int]()
    for lane in reports:
        state = lanes.restored(lane.topic, lane.partition) if lane.topic == EVENTS else None
        if state is None:
            continue
        metrics.gauge("users", float(len(state.records)), str(lane.partition))
        for name, number in read_memo(state).numbers.items():
            in_use[name] = min(number, in_use.get(name, number))
    for name, number in in_use.items():
        metrics.gauge("version_in_use", float(number), name)


def _show_partitions(labels: Collection[tuple[str, str]], shown: Collection[tuple[str, str]]) -> None:
    for topic in {topic for topic, _ in (*labels, *shown)}:
        metrics.gauge("partitions_assigned", float(sum(1 for other, _ in labels if other == topic)), topic)


def _forget_lane(topic: str, partition: str) -> None:
    metrics.forget("lane_lag_records", topic, partition)
    metrics.forget("last_commit_timestamp_seconds", topic, partition)
    if topic == EVENTS:
        metrics.forget("users", partition)
