"""``python -m tests.proofs.conditions``: proof that conditions are evaluated as the documentation says.

Each random case has up to five segments and a stream of up to 45 arrivals: late, repeated, reordered, across changes of
clocks. The membership at every instant is compared with a naive evaluation over the whole history, and the stored bytes
with those of other batches. The moves are also those of the three passes of the fold. Seed and number determine a case,
so ``--seed 1 --case 17`` plays it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated

import typer

from tests.support.condition_passes import evaluate_in_passes
from tests.support.condition_runs import compare, evaluate, random_case

MAX_SEGMENTS, MAX_ARRIVALS = 5, 45


def check(seed: int, case: int) -> tuple[int, int, str]:
    """Return the number of the case, its moves, and the first difference; empty without one."""
    drawn = seed * 1_000_003 + case
    found = random_case(drawn, 1 + drawn % MAX_SEGMENTS, drawn % (MAX_ARRIVALS + 1))
    moves, _ = evaluate(found, 1)
    difference = compare(found)
    if not difference and sorted(evaluate_in_passes(found, 7)[0]) != sorted(moves):
        difference = "other moves if decisions come after all facts of a piece"
    return case, len(moves), difference


def _results(seed: int, cases: range, processes: int) -> Iterator[tuple[int, int, str]]:
    if processes == 1:
        yield from (check(seed, case) for case in cases)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(check, [seed] * len(cases), cases, chunksize=50)


def main(
    count: Annotated[int, typer.Option(help="Number of cases.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of all cases.")] = 1,
    case: Annotated[int, typer.Option(help="Play only this case.")] = -1,
    processes: Annotated[int, typer.Option(help="Number of processes.")] = 2,
) -> None:
    """Compare random cases, print every difference, and exit with 1 if there is any."""
    begin, differences, moves, still = time.monotonic(), 0, 0, 0
    cases = range(count) if case < 0 else range(case, case + 1)
    for number, moved, difference in _results(seed, cases, processes if case < 0 else 1):
        moves += moved
        still += not moved
        if difference:
            differences += 1
            typer.echo(f"--seed {seed} --case {number}: {difference}")
    spent = time.monotonic() - begin
    typer.echo(f"{len(cases):,} cases, {moves:,} moves, {still:,} cases without a move, {spent:.0f} s")
    typer.echo(f"{differences} differences")
    raise typer.Exit(1 if differences else 0)


if __name__ == "__main__":
    typer.run(main)
