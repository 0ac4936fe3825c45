"""How far the scores of buyers are from exact ones, on UCI Online Retail.

The real fold and the real learner of the population run in a closed loop, in memory, without Kafka. At the end, each
customer is scored with exact cut points and with those of sketches of all customers. The learner's newest version,
whose values are up to a week old, gives scores, too. The command prints the share of customers whose score differs::

    python -m tests.benchmarks.rfm ../shared/data/online_retail/online_retail.csv.gz
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import typer

from models.batch import Batch, Restored
from models.events import encode_event
from models.fold.partition import PartitionFold
from models.fold.rfm import Buyer, RfmScores, buyer_of, rfm_scores
from models.learning import population
from models.learning.buyers import TOPIC, decode_population_example
from models.learning.learner import OutdatedExample
from models.learning.population import Population
from models.learning.population_learner import NAME, PopulationLearner
from models.log import Tick, encode_control, opening
from models.profile.codec import unpack
from models.units import HOUR
from tests.benchmarks.learning import GradedRecord
from tests.support.retail_buyers import differing, exact_population, retail_events, sketched_population


def folded(path: Path) -> tuple[dict[str, Buyer], PopulationLearner, int]:
    """Fold the file, and return the buyers, the learner, and the clock at the end."""
    state, learner = Restored(), PopulationLearner()
    fold, offset, hour = PartitionFold(state), 0, -1
    waiting, uses = [encode_control(opening("feeder"))], list[tuple[bytes, bytes]]()

    outdated = 0

    def learn(value: bytes | None) -> None:
        nonlocal outdated
        try:
            version = learner.learn_one(decode_population_example(value))
        except OutdatedExample:
            outdated += 1
        else:
            uses.extend([] if version is None else [version.broadcast(NAME)])

    def flush() -> None:
        nonlocal offset, waiting, uses
        batch = [GradedRecord(offset + place, 0, *record) for place, record in enumerate(waiting)]
        offset, waiting, uses = offset + len(batch), [], []
        outputs = fold.fold(Batch("events", 0, batch))
        state.apply(outputs.commit)
        for output in outputs.commit.records:
            if output.topic == TOPIC:
                learn(output.value)

    for event in retail_events(path):
        if event.at // HOUR != hour:
            flush()
            hour = event.at // HOUR
            waiting += [encode_control(Tick(at=hour * HOUR)), *uses]
        waiting.append((event.user.encode(), encode_event(event)))
    flush()
    users = {key.decode(): unpack(packed).facts for key, packed in state.records.items() if key[:1] != b"\x00"}
    typer.echo(f"examples left out: {outdated}")
    buyers = {name: buyer for name, facts in users.items() if (buyer := buyer_of(facts)) is not None}
    return buyers, learner, fold.now


def main(path: Path) -> None:
    """Print the share of customers whose score differs."""
    began = time.perf_counter()
    buyers, learner, now = folded(path)
    exact = _scored(buyers, exact_population(buyers, now), now)
    typer.echo(f"Online Retail: {len(buyers):,} buyers, {time.perf_counter() - began:.0f} s")
    newest = learner.newest
    assert newest is not None
    published = population.decode(newest.content)
    for name, cuts in (("sketches", sketched_population(buyers, now)), (f"version {newest.version}", published)):
        shares = differing(exact, _scored(buyers, cuts, now))
        shown = ", ".join(f"{score} {share:.2%}" for score, share in shares.items())
        typer.echo(f"  {name}: differing scores: {shown}; {cuts.users:,} buyers")
    typer.echo(f"  recency   {_shown(published.recency)} days")
    typer.echo(f"  frequency {_shown(published.frequency)} orders")
    for currency, money in published.monetary.items():
        typer.echo(f"  monetary  {_shown(money)} {currency}")
    if (gaps := published.gaps) is not None:
        shown = f"median {gaps.median:.1f}, p75 {gaps.p75:.1f}, p90 {gaps.p90:.1f} days"
        typer.echo(f"  gaps      {shown}; {gaps.count:,} gaps")
    typer.echo(f"  state of the learner: {len(learner.state()):,} bytes; {learner.examples:,} examples")


def _scored(buyers: Mapping[str, Buyer], cuts: Population, now: int) -> dict[str, RfmScores]:
    return {name: rfm_scores(buyer, cuts, now) for name, buyer in buyers.items()}


def _shown(cuts: tuple[float, ...]) -> str:
    return ", ".join(f"{cut:,.2f}" for cut in cuts)


if __name__ == "__main__":
    typer.run(main)
