"""Cost of segments by rule: the CPU time of an event as their number grows, and the bytes of an idle user.

All numbers of segments are folded in one process, without a broker. They take turns with each batch, so that temporary
load on the machine affects all of them. The events touch the same five segments. The compilation of the segments does
not count: it happens once, when they are applied.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models.batch import Batch, Restored
from models.errors import PerennialError
from models.fold.partition import PartitionFold
from tests.benchmarks.load_choice import Workload, load_of
from tests.benchmarks.log import log_of
from tests.benchmarks.profiles import ProfileRecord
from tests.benchmarks.report import Grid, Spread
from tests.benchmarks.segment_mix import as_settings, bytes_of_idle_user, mixed_segments

COUNTS = (5, 50, 500)
"""Numbers of segments."""
MAX_RATIO = 1.15
"""Maximum CPU time of an event with the most segments, as a multiple of that with the fewest."""
MAX_IDLE_BYTES = 40
"""Maximum number of bytes that a segment of five clauses adds to a user who does nothing that it asks for."""
BATCH = 2_000


class AboveLimit(PerennialError):
    """Segments cost more than the documents promise. Find the reason, for example with ``perennial bench profile``."""


class SegmentTurn(NamedTuple):
    """One fold of the load with one number of segments.

    Attributes
    ----------
    cpu_us
        CPU time per event, microseconds.
    timers
        Number of timers fired per event.
    """

    cpu_us: float
    timers: float


class SegmentFold:
    """A fold with a number of segments, which has read their configuration.

    Parameters
    ----------
    count
        Number of segments.
    """

    def __init__(self, count: int) -> None:
        self._state = Restored()
        self._fold = PartitionFold(self._state)
        self._offset = 0
        self.spent = self.timers = 0.0
        self.fold(list(log_of([], more=as_settings(mixed_segments(count)))))
        self.spent = self.timers = 0.0

    def __repr__(self) -> str:
        """Show how much was folded."""
        return f"SegmentFold({self._offset} records, {self.spent:.1f} s)"

    def fold(self, contents: Sequence[tuple[bytes, bytes]]) -> None:
        """Fold a batch, and add its CPU time, seconds, and the number of its timers."""
        records = [ProfileRecord(self._offset + number, 0, *content) for number, content in enumerate(contents)]
        self._offset += len(records)
        began = time.process_time()
        outputs = self._fold.fold(Batch("events", 0, records))
        self._state.apply(outputs.commit)
        self.spent += time.process_time() - began
        self.timers += sum(count for (name, *_), count in outputs.counts.items() if name == "timers_fired")


def take_turns(load: Sequence[tuple[bytes, bytes]], events: int, counts: Sequence[int] = COUNTS) -> list[SegmentTurn]:
    """Fold a load with each number of segments, batch by batch in turn."""
    folds = [SegmentFold(count) for count in counts]
    gc.collect()
    gc.disable()  # otherwise a collection would count for the fold whose turn it is
    try:
        for number, first in enumerate(range(0, len(load), BATCH)):
            for fold in folds if number % 2 else reversed(folds):
                fold.fold(load[first : first + BATCH])
    finally:
        gc.enable()
    return [SegmentTurn(fold.spent / events * 1e6, fold.timers / events) for fold in folds]


def measure(workload: Workload, *, events: int, runs: int, seed: int) -> dict[str, Any]:
    """Return the figures: for each number of segments, and the bytes of an idle user."""
    load = list(load_of(workload, events, seed=seed))
    taken = [take_turns(load, events) for _ in range(runs)]
    points = [
        {
            "count": count,
            "cpu_us": Spread.of(run[place].cpu_us for run in taken),
            "relative": Spread.of(run[place].cpu_us / run[0].cpu_us for run in taken),
            "timers_per_event": taken[0][place].timers,
        }
        for place, count in enumerate(COUNTS)
    ]
    return {"points": points, "idle_bytes": round(bytes_of_idle_user(), 1)}


def check(found: Mapping[str, Any]) -> None:
    """Compare the figures with their limits.

    Raises
    ------
    AboveLimit
        A figure is above its limit.
    """
    most, idle = found["points"][-1], found["idle_bytes"]
    ratio, broken = most["relative"]["median"], []
    if ratio > MAX_RATIO:
        broken.append(f"{most['count']} segments cost {ratio:.3f} x what {COUNTS[0]} cost, allowed: {MAX_RATIO} x")
    if idle > MAX_IDLE_BYTES:
        broken.append(f"a segment of five clauses adds {idle} bytes to an idle user, allowed: {MAX_IDLE_BYTES}")
    if broken:
        raise AboveLimit("; ".join(broken))


def tables(found: Mapping[str, Any], about: str) -> list[Grid]:
    """Return the tables of the figures; ``about`` names their load."""
    rows = []
    for point in found["points"]:
        cost, relative = Spread.read(point["cpu_us"]), Spread.read(point["relative"])
        shown = (cost.show(".1f"), relative.show(".2f", " x"), f"{point['timers_per_event']:.2f}")
        rows.append((f"{point['count']}", *shown))
    headings = ("segments by rule", "CPU per event, us", f"relative to {COUNTS[0]}, same run", "timers per event")
    title = f"The fold alone, without a broker: CPU time as the number of segments grows; {about}"
    about_bytes = "a segment of five clauses, for a user who does nothing that it asks for"
    return [
        Grid(title, headings, rows),
        Grid("Bytes of a segment", ("", "bytes per user"), [(about_bytes, f"{found['idle_bytes']}")]),
    ]
