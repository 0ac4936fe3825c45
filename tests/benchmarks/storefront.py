"""Difficulty of the simulated shop, and quality of the models on it, without any Kafka.

    python -m tests.benchmarks.storefront 1 2 3 4 5

Fold, churn learner and the retrainer's policy process the shop's events in a plain loop, in the same way as in the
demo. One line is printed for each seed. The oracle's AUC must be between .80 and .92. The model's AUC must not be below
the AUC of recency. The recommender's recall@10 must be at least 1.5 times the recall@10 of popularity.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from models.batch import Batch, Record, Restored
from models.events import Event, encode_event
from models.fold.partition import PartitionFold
from models.learning.churn import ChurnLearner
from models.learning.examples import CHURN_TOPIC, ChurnExample, decode_churn
from models.log import Tick, encode_control, opening
from models.profile.features import FEATURES
from models.recommend.factors import fit_items
from models.recommend.interactions import decode_interaction
from models.recommend.model import Hyperparameters
from models.recommend.retraining import retrain
from models.recommend.window import InteractionWindow
from models.storefront.storefront import Storefront
from models.units import HOUR
from stream.cli.demo import DAYS, SHOPPERS
from stream.demo.summary import ChurnFigures, churn_figures

START = 1_767_571_200_000
STEP_MS = 6 * HOUR
TICK_MS = HOUR // 6


class _Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes


class _ShopLoop:
    """Fold of one partition and the churn learner, joined by a list."""

    def __init__(self) -> None:
        self.restored = Restored()
        self.fold = PartitionFold(self.restored)
        self.learner = ChurnLearner(FEATURES)
        self.examples: list[ChurnExample] = []
        self.window = InteractionWindow(rows=2_000_000, users=200_000, items=100_000)
        self._pending = [encode_control(opening("feeder"))]
        self._offset = 0

    def take(self, events: list[Event]) -> None:
        """Fold the events of a step with their ticks, and pass the labels to the learner."""
        pairs = [*self._pending, *_with_ticks(events)]
        self._pending = []
        records: list[Record] = [
            _Record(self._offset + number, 0, key, value) for number, (key, value) in enumerate(pairs)
        ]
        self._offset += len(records)
        if not records:
            return
        outputs = self.fold.fold(Batch("events", 0, records))
        for key, value in outputs.commit.state.items():
            if value is not None:
                self.restored.records[key] = value
        for output in outputs.commit.records:
            if output.topic == CHURN_TOPIC:
                example = decode_churn(output.value)
                self.examples.append(example)
                published = self.learner.learn_one(example)
                if published is not None:
                    self._pending.append(published.broadcast("churn"))
            elif output.topic == "interactions":
                self.window.add(decode_interaction(output.value or b""))


def _with_ticks(events: list[Event]) -> Iterator[tuple[bytes, bytes]]:
    now = 0
    for event in events:
        tick = event.at // TICK_MS * TICK_MS
        if tick > now:
            now = tick
            yield encode_control(Tick(at=now))
        yield event.user.encode(), encode_event(event)


class Measured(NamedTuple):
    """Difficulty of the shop of one seed, and quality of the models.

    Attributes
    ----------
    events
        Number of events.
    churn
        Figures of the probabilities issued.
    recall, popular
        Recall@10 of the recommender and of popularity on the same candidates.
    seconds
        Duration.
    """

    events: int
    churn: ChurnFigures
    recall: float
    popular: float
    seconds: float


def measure(seed: int) -> Measured:
    """Run the shop of a seed through fold, learner and retrainer."""
    began = time.perf_counter()
    storefront = Storefront(seed=seed, shoppers=SHOPPERS, days=DAYS, start_ms=START)
    loop, count = _ShopLoop(), 0
    while storefront.now < storefront.end:
        events = storefront.advance(storefront.now + STEP_MS)
        count += len(events)
        loop.take(events)
    churn = churn_figures(loop.examples, storefront.truth())
    _, run = retrain(loop.window.columns(), Hyperparameters(dimensions=32), fit_items)
    recall = run.grade.recall_at_10 if run.grade else 0.0
    popular = run.popularity.recall_at_10 if run.popularity else 0.0
    return Measured(count, churn, recall, popular, time.perf_counter() - began)


def line(seed: int, found: Measured) -> str:
    """Format the line of a seed."""
    churn, times = found.churn, found.recall / found.popular if found.popular else 0
    return (
        f"{seed:>6} {found.events:>8,} {churn.rows:>7,} {churn.churned:>8.1%} {churn.oracle_auc or 0:>7.3f} "
        f"{churn.recency_auc or 0:>8.3f} {churn.auc or 0:>7.3f} {churn.ahead_low or 0:>+7.3f} "
        f"{found.recall:>7.3f} {found.popular:>8.3f} {times:>6.1f} {found.seconds:>6.1f}"
    )


def main() -> None:
    """Measure the seeds of the command line."""
    seeds = [int(argument) for argument in sys.argv[1:]] or [1, 2, 3, 4, 5]
    print(
        "  seed   events    rows  churned  oracle  recency   model  ahead>  recall  popular  times      s",
        flush=True,
    )
    for seed in seeds:
        print(line(seed, measure(seed)), flush=True)


if __name__ == "__main__":
    main()
