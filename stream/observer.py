"""What lanes did, as metrics."""

from __future__ import annotations

import asyncio
import time

from models.batch import Outputs
from monitoring import metrics
from stream.lane import Lane
from stream.lanes import Lanes

REPORT_EVERY_S = 2.0


class MetricsObserver:
    """Counts what lanes commit."""

    def committed(self, lane: Lane, records: int, seconds: float, outputs: Outputs) -> None:
        """Count a commit, what the agent counted in it, and the time it took."""
        metrics.count(outputs.counts)
        metrics.increment("transactions", lane.topic, "committed")
        metrics.observe("commit_seconds", seconds, lane.topic)
        if records:
            metrics.observe("batch_records", float(records), lane.topic)

    def failed(self, lane: Lane, error: BaseException) -> None:
        """Count the end of a lane's life."""
        metrics.increment("lane_failures", lane.topic, type(error).__name__)
        metrics.increment("transactions", lane.topic, "aborted")


async def report(lanes: Lanes) -> None:
    """Keep the gauges of lanes up to date until cancelled."""
    shown: set[tuple[str, str]] = set()
    while True:
        now, owned = time.time(), {}
        for lane in lanes.snapshot():
            labels = (lane.topic, str(lane.partition))
            owned[labels] = lane
            if lane.lag is not None:
                metrics.gauge("lane_lag_records", float(lane.lag), *labels)
            # A lane that has read everything is as good as one that has just committed: alerts watch this age.
            age = 0.0 if lane.lag == 0 else lane.seconds_since_commit
            metrics.gauge("last_commit_timestamp_seconds", now - age, *labels)
        topics = {topic for topic, _ in owned} | {topic for topic, _ in shown}
        for topic in topics:
            metrics.gauge("partitions_assigned", float(sum(1 for other, _ in owned if other == topic)), topic)
        for labels in shown - owned.keys():
            metrics.forget("last_commit_timestamp_seconds", *labels)
        shown = set(owned)
        await asyncio.sleep(REPORT_EVERY_S)
