"""``python -m tests.chaos``: rounds of faults on a real Apache Kafka or on the embedded broker, each from its seed.

A round whose result is already in the results file is not played again, so an interrupted run continues where it
stopped. But the round is played again if its seed now gives another plan.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos import results
from tests.chaos.arena import START_WITHIN_S, Arena, an_arena, kafka_home
from tests.chaos.faults import SABOTAGES
from tests.chaos.plan import BROKERS, Broker, Kind, kinds_on, plan
from tests.chaos.playing import play

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
LINES = "rounds.jsonl"
ROUND_WITHIN_S = 300


def run(
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the first round; the next rounds count up.")] = 1,
    only: Annotated[str | None, typer.Option(help=f"One kind of round: {', '.join(kinds_on('kafka'))}.")] = None,
    broker: Annotated[str, typer.Option(help=f"Broker of the rounds: {', '.join(BROKERS)}.")] = BROKERS[0],
    sabotage: Annotated[
        str | None, typer.Option(help=f"Break a promise: {', '.join(SABOTAGES)}; ends when a round detects it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Page of results; the JSON lines are written next to it.")] = HERE
    / "RESULTS.md",
    keep: Annotated[bool, typer.Option(help="Keep the files of every round.")] = False,
    fresh: Annotated[bool, typer.Option(help="Also play rounds that already have a result.")] = False,
) -> None:
    """Play rounds. The exit code is 1 if a round has a finding; with --sabotage, if no round has one."""
    on: Broker | None = next((one for one in BROKERS if one == broker), None)
    if on is None:
        raise typer.BadParameter(f"one of {', '.join(BROKERS)}", param_hint="--broker")
    kind: Kind | None = next((one for one in kinds_on(on) if one == only), None)
    if only is not None and kind is None:
        raise typer.BadParameter(f"one of {', '.join(kinds_on(on))}", param_hint="--only")
    if sabotage is not None and sabotage not in SABOTAGES:
        raise typer.BadParameter(f"one of {', '.join(SABOTAGES)}", param_hint="--sabotage")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for library in ("aiokafka", "kafka", "mail.log", "faust"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    lines = out.with_name(LINES)
    plans = [plan(number, kind, on) for number in range(seed, seed + rounds)]
    known = {line.key: line.plan for line in results.read(lines)}
    waiting = [one for one in plans if fresh or known.get((on, sabotage or "", one.kind, one.seed)) != str(one)]
    found = broken = 0
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    version = kafka_version(kafka_home())
    with an_arena(folder) if on == "kafka" else nullcontext(Arena(None, None, folder)) as arena:
        for number, one in enumerate(waiting, 1):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            playing = play(one, arena, sabotage=sabotage, keep=keep)
            try:
                played = asyncio.run(asyncio.wait_for(playing, ROUND_WITHIN_S))
            except Exception:  # a round that could not be played proves nothing; the next one may succeed
                logger.exception("seed %d: not played", one.seed)
                broken += 1
                if arena.kafka is not None and not arena.kafka.running:
                    arena.kafka.start(START_WITHIN_S)
                continue
            line = results.line_of(one, played, sabotage=sabotage or "", at=at)
            results.append(lines, line)
            out.write_text(results.page(results.read(lines), version))
            found += bool(line.findings)
            says = "; ".join(line.findings) or "nothing found"
            what = f"{line.events} events, {line.seconds:.0f} s ({line.rest_s:.0f} to rest)"
            print(f"{number}/{len(waiting)} seed {line.seed} {line.kind}: {what}: {says}", flush=True)
            if sabotage and found:
                break
    out.write_text(results.page(results.read(lines), version))
    sys.exit(0 if bool(found) == bool(sabotage) and not broken else 1)


def kafka_version(home: Path) -> str:
    """Return the version of a distribution, read from the name of its library."""
    names = sorted((home / "libs").glob("kafka-clients-*.jar"))
    return f"Apache Kafka {names[0].stem.removeprefix('kafka-clients-')}" if names else "Apache Kafka"


if __name__ == "__main__":
    typer.run(run)
