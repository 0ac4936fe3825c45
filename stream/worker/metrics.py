"""What lanes did, as metrics."""

from __future__ import annotations

import asyncio
import time

import msgspec

from models.batch import Outputs
from models.fold.memo import read_memo
from models.log import EVENTS, Use, decode_control
from monitoring import metrics
from stream.cluster.errors import name_of
from stream.engine.lane import Lane
from stream.engine.lanes import Lanes

REPORT_EVERY_S = 2.0


class MetricsObserver:
    """Counts what lanes commit."""

    def opened(self, lane: Lane, seconds: float) -> None:
        """Note how long a partition took to be taken over and restored."""
        metrics.observe("restore_seconds", seconds, lane.topic)

    def committed(self, lane: Lane, records: int, seconds: float, outputs: Outputs) -> None:
        """Count a commit, what the agent counted in it, and the time it took."""
        metrics.count(outputs.counts)
        metrics.increment("transactions", lane.topic, "committed")
        metrics.observe("commit_seconds", seconds, lane.topic)
        if records:
            metrics.observe("batch_records", float(records), lane.topic)
            metrics.observe("think_seconds", lane.thought_s, lane.topic)
        if lane.oldest_stamp is not None:
            metrics.observe("event_to_commit_seconds", max(time.time() - lane.oldest_stamp / 1_000, 0.0), lane.topic)
        for _, value in outputs.after.broadcasts:
            _published(value)

    def failed(self, lane: Lane, error: BaseException) -> None:
        """Count the end of a lane's life."""
        metrics.increment("lane_failures", lane.topic, name_of(error))
        metrics.increment("transactions", lane.topic, "aborted")


class _Quality(msgspec.Struct):
    """What is told of every version of a model that can be graded."""

    quality: dict[str, float | None] = {}


def _published(value: bytes) -> None:
    """Note a version that a learner published, and how good the scores issued so far turned out to be."""
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


async def report(lanes: Lanes) -> None:
    """Keep the gauges of lanes up to date until cancelled."""
    shown: set[tuple[str, str]] = set()
    while True:
        now, owned, in_use = time.time(), {}, dict[str, int]()
        for lane in lanes.snapshot():
            labels = (lane.topic, str(lane.partition))
            owned[labels] = lane
            if lane.lag is not None:
                metrics.gauge("lane_lag_records", float(lane.lag), *labels)
            held = lanes.restored(lane.topic, lane.partition) if lane.topic == EVENTS else None
            if held is not None:
                metrics.gauge("users", float(len(held.records)), str(lane.partition))
                for name, number in read_memo(held).numbers.items():
                    in_use[name] = min(number, in_use.get(name, number))
            # A lane that has read everything is as good as one that has just committed: alerts watch this age.
            metrics.gauge("last_commit_timestamp_seconds", now - lane.waiting_s, *labels)
        for name, number in in_use.items():
            metrics.gauge("version_in_use", float(number), name)
        topics = {topic for topic, _ in owned} | {topic for topic, _ in shown}
        for topic in topics:
            metrics.gauge("partitions_assigned", float(sum(1 for other, _ in owned if other == topic)), topic)
        for labels in shown - owned.keys():
            metrics.forget("lane_lag_records", *labels)
            metrics.forget("last_commit_timestamp_seconds", *labels)
            if labels[0] == EVENTS:
                metrics.forget("users", labels[1])
        shown = set(owned)
        await asyncio.sleep(REPORT_EVERY_S)
