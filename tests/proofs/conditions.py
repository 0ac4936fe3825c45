"""``python -m tests.proofs.conditions``: proof that conditions are evaluated as the documentation says.

Each random case has up to five segments and a stream of up to 45 arrivals: late, repeated, reordered, across changes of
clocks. The membership at every instant is compared with a naive evaluation over the whole history, and the stored bytes
with those of other batches. The moves are also those of the three passes of the fold. With ``--through fold``, a log is
folded by the whole fold in batches of 1, 7, 500 and 5,000. Its signals are the moves of the naive evaluation, and all
bytes are equal. In every second of these cases, half of the clauses read features, which are computed naively from all
events of the user. Seed and number determine a case, so ``--seed 1 --case 17`` plays it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from tests.proofs.configurations import commit_name
from tests.support.condition_folds import compare_folds, random_fold_case
from tests.support.condition_passes import evaluate_in_passes
from tests.support.condition_runs import compare, evaluate, random_case
from tests.support.feature_folds import random_feature_case

MAX_SEGMENTS, MAX_ARRIVALS = 5, 45
RESULTS = Path(__file__).with_name("CONDITIONS.md")
Through = Literal["evaluator", "fold"]
TITLES: dict[Through, str] = {
    "evaluator": "The evaluator alone, and its three passes",
    "fold": "The whole fold, in batches of 1, 7, 500 and 5,000",
}
"""Headings of the results."""


def check(seed: int, through: Through, case: int) -> tuple[int, int, str]:
    """Return the number of the case, its moves, and the first difference; empty without one."""
    drawn = seed * 1_000_003 + case
    size = 1 + drawn % MAX_SEGMENTS, drawn % (MAX_ARRIVALS + 1)
    if through == "fold":
        make = random_feature_case if case % 2 else random_fold_case
        moved, difference = compare_folds(make(drawn, *size))
        return case, moved, difference
    found = random_case(drawn, *size)
    moves, _ = evaluate(found, 1)
    difference = compare(found)
    if not difference and sorted(evaluate_in_passes(found, 7)[0]) != sorted(moves):
        difference = "other moves if decisions come after all facts of a piece"
    return case, len(moves), difference


def _results(seed: int, through: Through, cases: range, processes: int) -> Iterator[tuple[int, int, str]]:
    one = partial(check, seed, through)
    if processes == 1:
        yield from map(one, cases)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(one, cases, chunksize=50)


def write_result(path: Path, through: Through, lines: list[str]) -> None:
    """Write the result of one way into the page, and keep that of the other one."""
    title = f"## {TITLES[through]}"
    parts = path.read_text(encoding="utf-8").split("\n## ")[1:] if path.exists() else []
    others = [f"## {part.rstrip()}" for part in parts if f"## {part}".partition("\n")[0] != title]
    head = (
        "# Conditions are evaluated as the documentation says\n\nRandom segments and streams, compared with a naive "
        "evaluation over the whole history.\nWritten by `python -m tests.proofs.conditions`."
    )
    sections = sorted([*others, "\n".join([title, "", *lines])])
    path.write_text("\n\n".join([head, *sections]) + "\n", encoding="utf-8")


def main(
    count: Annotated[int, typer.Option(help="Number of cases.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of all cases.")] = 1,
    case: Annotated[int, typer.Option(help="Play only this case.")] = -1,
    processes: Annotated[int, typer.Option(help="Number of processes.")] = 2,
    through: Annotated[Through, typer.Option(help="What is compared: the evaluator alone, or the whole fold.")] = (
        "evaluator"
    ),
    write: Annotated[bool, typer.Option(help="Write the result to CONDITIONS.md, unless there is one case.")] = True,
) -> None:
    """Compare random cases, print every difference, and exit with 1 if there is any."""
    begin, differences, moves, still = time.monotonic(), 0, 0, 0
    cases = range(count) if case < 0 else range(case, case + 1)
    trouble: list[str] = []
    commit = commit_name()
    for number, moved, difference in _results(seed, through, cases, processes if case < 0 else 1):
        moves += moved
        still += not moved
        if difference:
            differences += 1
            trouble.append(f"- `--through {through} --seed {seed} --case {number}`: {difference}")
            typer.echo(trouble[-1])
        if number % 500 == 499:
            typer.echo(f"{number + 1:,} cases, {differences} differences", err=True)
    spent = time.monotonic() - begin
    typer.echo(f"{len(cases):,} cases, {moves:,} moves, {still:,} cases without a move, {spent:.0f} s")
    typer.echo(f"{differences} differences")
    if write and case < 0:
        rows = {
            "cases": f"{len(cases):,}",
            "seed": str(seed),
            "commit": commit,
            "moves": f"{moves:,}",
            "cases without a move": f"{still:,}",
            "differences": str(differences),
        }
        if through == "fold":
            rows["cases with clauses on features"] = f"{len(cases) // 2:,}"
        table = ["| what | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
        write_result(RESULTS, through, [*table, *([""] if trouble else []), *trouble])
    raise typer.Exit(1 if differences else 0)


if __name__ == "__main__":
    typer.run(main)
