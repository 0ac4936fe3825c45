"""``perennial evaluate``: measure the models on recorded data, without a broker."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from scipy.sparse import coo_array, csr_array

from models.encoding import TEXT
from models.recommend.full_ranking import recall_and_ndcg_at
from models.recommend.interaction_rows import InvalidInteractions, read_adjacency, read_atomic, read_json_lines
from models.recommend.model import Hyperparameters
from models.recommend.retraining import retrain
from models.recommend.window import InteractionWindow
from stream.cli.output import Json, print_json, print_line

evaluate = typer.Typer(help="Measure the models on recorded data.", no_args_is_help=True, add_completion=False)

K = 20
"""Number of recommended items for each user that are graded on a split."""


@evaluate.callback()
def _evaluate() -> None:
    """Measure the models on recorded data."""


@evaluate.command()
def recommend(
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder with train.txt and test.txt (LightGCN's split), or a file with times: .jsonl or .inter."
        ),
    ],
    dimensions: Annotated[int, typer.Option(min=1, max=4096, help="Length of an item's vector.")] = 64,
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="Number of sweeps over users and items.")] = 10,
    unobserved: Annotated[
        float | None,
        typer.Option(help="Weight of pairs without an interaction (alpha_0); by default from the size of the data."),
    ] = None,
    regularization: Annotated[
        float | None,
        typer.Option(help="Strength of the regularization (lambda); by default from the size of the data."),
    ] = None,
    json: Json = False,
) -> None:
    """Train the recommender on a part of recorded interactions, and grade it on the others.

    For a folder with a split, the grades are Recall@20 and NDCG@20, over all
    items that the user does not have in train.txt.

    A file with times is graded as the retrainer does it: recall@10 and NDCG@10 on
    the newest tenth of the interactions. For comparison, a
    recommendation of only the most popular items is graded, too.
    """
    hyper = Hyperparameters(dimensions=dimensions, epochs=epochs)
    if path.is_dir():
        report = _split(path, hyper, {"unobserved": unobserved, "regularization": regularization})
    elif unobserved is not None or regularization is not None:
        raise typer.BadParameter(
            "--unobserved and --regularization are only for a folder; for a file, the retrainer's values are used"
        )
    else:
        report = _tail(path, hyper)
    if json:
        print_json(report)
    else:
        for name, value in report.items():
            print_line(f"{name:<24} {value:.4f}" if isinstance(value, float) else f"{name:<24} {value}")


def _split(folder: Path, hyper: Hyperparameters, given: dict[str, float | None]) -> dict[str, Any]:
    from models.recommend import factors

    train, test = _matrices(folder)
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    users, items = train.shape
    hyper = msgspec.structs.replace(hyper.scaled_to(users, items, train.nnz), **wanted)
    began = time.monotonic()
    with _sweeps(hyper.epochs) as progress:
        trained = factors.fit_factors(train, hyper, progress=progress)
    seconds = time.monotonic() - began
    recall, ndcg = recall_and_ndcg_at(trained.users, trained.items, train, test, K)
    return {
        "users": users,
        "items": items,
        "train": train.nnz,
        "test": test.nnz,
        "recall_at_20": recall,
        "ndcg_at_20": ndcg,
        "fit_seconds": seconds,
        "hyperparameters": hyper,
    }


def _tail(file: Path, hyper: Hyperparameters) -> dict[str, Any]:
    from models.recommend import factors

    most = 2**31
    window = InteractionWindow(most, most, most)
    read = read_atomic if ".inter" in file.suffixes else read_json_lines
    with _lines(file) as lines:
        for interaction in read(str(file), lines):
            window.add(interaction)
    began = time.monotonic()
    _, run = retrain(window.columns(), hyper, factors.fit_items)
    report: dict[str, Any] = {"interactions": run.rows, "users": run.users, "items": run.items}
    if run.grade is None or run.popularity is None:
        return report | {"graded": run.reason}
    return report | {
        "graded_users": run.grade.users,
        "recall_at_10": run.grade.recall_at_10,
        "ndcg_at_10": run.grade.ndcg_at_10,
        "popularity_recall_at_10": run.popularity.recall_at_10,
        "popularity_ndcg_at_10": run.popularity.ndcg_at_10,
        "seconds": time.monotonic() - began,
    }


def _matrices(folder: Path) -> tuple[csr_array, csr_array]:
    pairs = []
    for name in ("train", "test"):
        file = next((file for file in (folder / f"{name}.txt", folder / f"{name}.txt.gz") if file.exists()), None)
        if file is None:
            raise InvalidInteractions(str(folder), 0, f"no {name}.txt or {name}.txt.gz in it")
        with _lines(file) as lines:
            rows = [(user, item) for user, items in read_adjacency(str(file), lines) for item in items]
        pairs.append(np.array(rows, np.int64).reshape(-1, 2))
    users, items = (int(max(pair[:, side].max(initial=-1) for pair in pairs)) + 1 for side in (0, 1))
    matrices = []
    for pair in pairs:
        ones = np.ones(len(pair), np.float32)
        matrix = coo_array((ones, (pair[:, 0], pair[:, 1])), shape=(users, items)).tocsr()
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        matrices.append(matrix)
    if not min(matrix.nnz for matrix in matrices):
        raise InvalidInteractions(str(folder), 0, "train and test must not be empty")
    return matrices[0], matrices[1]


@contextmanager
def _lines(file: Path) -> Iterator[IO[str]]:
    compressed = file.suffix == ".gz"
    try:
        with (gzip.open if compressed else open)(file, "rt", encoding=TEXT) as lines:
            yield lines
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidInteractions(str(file), 0, f"cannot be read: {error}") from error


@contextmanager
def _sweeps(total: int) -> Iterator[Any]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=total)
        yield lambda done, _: bar.update(task, completed=done)
