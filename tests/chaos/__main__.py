"""``python -m tests.chaos``: rounds of faults on a real Apache Kafka or on the embedded broker, each from its seed.

What is already in the file of results is not played again, so that a run that was cut short goes on where it was; but
where a seed plans another round by now, it is.
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

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
LINES = "rounds.jsonl"
ROUND_WITHIN_S = 300


def run(
    rounds: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    seed: Annotated[int, typer.Option(help="Of the first; the next ones count up.")] = 1,
    only: Annotated[str | None, typer.Option(help=f"One kind of round: {', '.join(kinds_on('kafka'))}.")] = None,
    broker: Annotated[str, typer.Option(help=f"What they are played on: {', '.join(BROKERS)}.")] = BROKERS[0],
    sabotage: Annotated[
        str | None, typer.Option(help=f"Break a promise: {', '.join(SABOTAGES)}; ends when found.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page; the lines stand beside it.")] = HERE / "RESULTS.md",
    keep: Annotated[bool, typer.Option(help="Keep the files of every round.")] = False,
    fresh: Annotated[bool, typer.Option(help="Play rounds again whose result is there.")] = False,
) -> None:
    """Play rounds; exit code 1 where something was found (with --sabotage: where nothing was)."""
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
            except Exception:  # a round that could not be played shows nothing; the next one may be
                log.exception("seed %d: not played", one.seed)
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
    """Of a distribution, from the name of its library."""
    names = sorted((home / "libs").glob("kafka-clients-*.jar"))
    return f"Apache Kafka {names[0].stem.removeprefix('kafka-clients-')}" if names else "Apache Kafka"


if __name__ == "__main__":
    typer.run(run)
