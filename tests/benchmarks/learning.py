"""Quality of the online models: the real fold and the real learners in a closed loop, in memory, without Kafka.

Every graded probability was issued by the version that was in use when its example was taken. The probabilities are
compared with recency alone, on the same rows::

    python -m tests.benchmarks.learning storefront --seeds 6
    python -m tests.benchmarks.learning online-retail ../shared/data/online_retail/online_retail.csv.gz
    python -m tests.benchmarks.learning online-retail ../shared/data/online_retail/online_retail.csv.gz --early

``--early`` is for comparison: an example gets the label "returned" immediately, but "churned" only at the end of the
horizon. So in a young log most labels are "returned", and the models learn a wrong prior.
"""

from __future__ import annotations

import heapq
import itertools
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from models.batch import Batch, Restored
from models.configuration.compiled import ACTIVITY
from models.events import Event, encode_event
from models.fold.partition import PartitionFold
from models.learning.churn import NAME as CHURN
from models.learning.churn import ChurnLearner
from models.learning.evaluation import auc, auc_difference, bootstrap, brier, calibration_error
from models.learning.examples import CHURN_TOPIC, SEGMENTS_TOPIC, ChurnExample, decode_churn, decode_segment
from models.learning.publication import Publication
from models.learning.segment_scorer import SegmentScorer
from models.learning.segments import NAME as SEGMENTS
from models.learning.segments import SegmentLearner
from models.log import Tick, encode_control, opening
from models.profile.features import FEATURES
from models.storefront.storefront import Storefront
from models.units import DAY
from stream.feed.online_retail import read_online_retail
from stream.feed.recording import survey

RECENCY = FEATURES.index("days_since_last")
START = 1_767_571_200_000
"""Start of the log, a Monday."""

app = typer.Typer(add_completion=False)


class GradedRecord(NamedTuple):
    """A record with the attributes that a Kafka client gives it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Loop:
    """Fold of one partition and both learners; a version is used ``lag_ms`` of log time after it was completed.

    Attributes
    ----------
    examples
        Churn examples, in the order of their release.
    names
        Names of the segments, by version.
    """

    def __init__(self, tick_ms: int, lag_ms: int) -> None:
        self.tick_ms, self.lag_ms = tick_ms, lag_ms
        self.examples: list[ChurnExample] = []
        self.names: list[SegmentScorer] = []
        self.churn, self.segments = ChurnLearner(FEATURES), SegmentLearner(FEATURES)
        self._state = Restored()
        self._fold = PartitionFold(self._state)
        self._offset = 0
        self._pending: list[tuple[int, str, Publication]] = []
        self._write([encode_control(opening("feeder"))])

    def feed(self, events: Iterable[Event]) -> None:
        """Feed all events and ticks in order."""
        written: list[tuple[bytes, bytes]] = []
        now = -1
        for event in events:
            if event.at // self.tick_ms != now // self.tick_ms:
                self._write(written)
                now = event.at // self.tick_ms * self.tick_ms
                written = [encode_control(Tick(at=now)), *self._uses(now)]
            written.append((event.user.encode(), encode_event(event)))
        self._write(written)

    def _uses(self, now: int) -> list[tuple[bytes, bytes]]:
        acting = [entry for entry in self._pending if entry[0] <= now]
        self._pending = [entry for entry in self._pending if entry[0] > now]
        return [version.broadcast(name) for _, name, version in acting]

    def _write(self, records: list[tuple[bytes, bytes]]) -> None:
        if not records:
            return
        batch = [GradedRecord(self._offset + i, 0, key, value) for i, (key, value) in enumerate(records)]
        self._offset += len(batch)
        outputs = self._fold.fold(Batch("events", 0, batch))
        self._state.apply(outputs.commit)
        for output in outputs.commit.records:
            if output.topic == CHURN_TOPIC:
                example = decode_churn(output.value)
                self.examples.append(example)
                self._publish(CHURN, self.churn.learn_one(example))
            elif output.topic == SEGMENTS_TOPIC:
                version = self.segments.learn_one(decode_segment(output.value))
                self._publish(SEGMENTS, version)
                if version is not None:
                    self.names.append(SegmentScorer.decode(version.content))

    def _publish(self, name: str, version: Publication | None) -> None:
        if version is not None:
            self._pending.append((self._fold.now + self.lag_ms, name, version))


def early(examples: list[ChurnExample], visits: dict[str, list[int]]) -> list[ChurnExample]:
    """Learn the same examples again, each one as soon as its label can be known."""
    learner, issued = ChurnLearner(FEATURES), []
    order = sorted(examples, key=lambda e: (e.at, e.user))
    labels: list[tuple[int, int, ChurnExample]] = []
    for number, example in enumerate(order):
        while labels and labels[0][0] <= example.at:
            learner.learn_one(heapq.heappop(labels)[2])
        if learner.newest is not None:
            scorer = learner.scorer()
            example = ChurnExample(
                user=example.user, at=example.at, due=example.due, schema=example.schema, row=example.row,
                risk=scorer.predict_one(example.row), version=learner.newest.version, churned=example.churned,
            )  # fmt: skip
        issued.append(example)
        when = visits[example.user]
        known = example.due if example.churned else when[bisect_right(when, example.at)]
        heapq.heappush(labels, (known, number, example))
    return issued


def report(examples: list[ChurnExample], warm_up_days: int, risks: Iterator[float | None] | None = None) -> None:
    """Print the figures of the examples taken after the warm-up."""
    begin = min(e.at for e in examples) + warm_up_days * DAY
    graded = [(e, e.risk) for e in examples if e.risk is not None and e.at >= begin]
    issued, churned = [risk for _, risk in graded], [e.churned for e, _ in graded]
    recency = [e.row[RECENCY] for e, _ in graded]
    users = [e.user for e, _ in graded]
    ungraded = sum(e.risk is None for e in examples) / len(examples)
    typer.echo(f"  examples {len(examples):,}; {ungraded:.1%} taken before any version existed")
    typer.echo(f"  graded   {len(graded):,} taken after {warm_up_days} days; {sum(churned) / len(churned):.1%} churned")
    interval, gain = bootstrap(issued, churned, users, seed=1), auc_difference(issued, recency, churned)
    if interval is None or gain is None:
        typer.echo("  one class only: no AUC")
        return
    typer.echo(f"  churn    AUC {interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}] (95 %, users drawn)")
    typer.echo(f"  recency  AUC {auc(recency, churned):.4f}")
    typer.echo(f"  gain     {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]")
    typer.echo(f"  Brier {brier(issued, churned):.4f}; calibration error {calibration_error(issued, churned):.4f}")
    if risks is not None:
        known = dict(zip(((e.user, e.at) for e in examples), risks, strict=True))
        truth = [known[e.user, e.at] or 0.0 for e, _ in graded]
        typer.echo(f"  truth    AUC {auc(truth, churned):.4f}")


def _segments(loop: Loop) -> None:
    names = [scorer.names for scorer in loop.names]
    renamed = sum(a != b for a, b in itertools.pairwise(names))
    newest = loop.names[-1].model
    sizes = ", ".join(f"{name} {size:.0%}" for name, size in sorted(zip(newest.names, newest.sizes, strict=True)))
    typer.echo(f"  segments {sizes}; renamed in {renamed} of {len(names)} versions")


@app.command()
def storefront(
    seeds: int = 3, first: int = 0, days: int = 84, shoppers: int = 1_500, lag_days: float = 0.0, warm_up_days: int = 28
) -> None:
    """Grade the models on the simulated shop, without messages."""
    for seed in range(first, first + seeds):
        began = time.perf_counter()
        shop = Storefront(seed=seed, shoppers=shoppers, days=days, start_ms=START)
        loop = Loop(tick_ms=600_000, lag_ms=int(lag_days * DAY))
        loop.feed(shop.events())
        typer.echo(f"storefront, seed {seed}, {days} days, {time.perf_counter() - began:.0f} s")
        truth = shop.truth()
        report(loop.examples, warm_up_days, (truth.silence(e.user, e.at, e.due - e.at) for e in loop.examples))
        _segments(loop)


@app.command()
def online_retail(
    path: Path,
    early_labels: Annotated[bool, typer.Option("--early")] = False,
    lag_days: float = 0.0,
    warm_up_days: int = 28,
) -> None:
    """Grade the models on UCI Online Retail, with its identified customers."""
    began = time.perf_counter()
    visits: dict[str, list[int]] = defaultdict(list)

    def events() -> Iterator[Event]:
        for read in read_online_retail(survey(path), received_at=START):
            if read.event is not None and read.event.identified:
                if read.event.type in ACTIVITY:
                    visits[read.event.user].append(read.event.at)
                yield read.event

    loop = Loop(tick_ms=3_600_000, lag_ms=int(lag_days * DAY))
    loop.feed(events())
    typer.echo(f"Online Retail, {time.perf_counter() - began:.0f} s")
    report(early(loop.examples, visits) if early_labels else loop.examples, warm_up_days)
    _segments(loop)


if __name__ == "__main__":
    app()
