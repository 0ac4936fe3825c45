"""Training solves the equations of the paper; the known answers are in ``tests/contracts/test_recommenders.py``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from models.recommend.checks import checkerboard
from models.recommend.factors import fit_factors, fit_items
from models.recommend.model import FactorModel, Hyperparameters, model_of
from models.recommend.recommender import FoldedUser

SIZE = 50
DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda"),
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")],
    ),
]
HYPER = Hyperparameters(dimensions=6, regularization=0.02, trend=0.0)


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seed_gives_the_same_factors(device: torch.device) -> None:
    first, second = (fit_factors(checkerboard(SIZE), HYPER, device=device) for _ in range(2))

    assert np.array_equal(first.items, second.items)


def ragged(seed: int = 3) -> csr_array:
    """Make rows of very different lengths, some empty, with different confidences."""
    rng = np.random.default_rng(seed)
    dense = rng.random((40, 60)) * (rng.random((40, 60)) < rng.random((40, 1)) ** 3)
    dense[5] = 0
    dense[:, 7] = 0
    return csr_array(dense.astype(np.float32))


@pytest.mark.parametrize("device", DEVICES)
def test_folding_a_user_in_gives_the_factors_that_training_gives(device: torch.device) -> None:
    confidence = ragged()
    factors = fit_factors(confidence, HYPER, device=device)
    model = model_of([str(item) for item in range(60)], factors.items, np.ones(60, np.float32), HYPER)

    for user in range(confidence.shape[0]):
        rows = slice(confidence.indptr[user], confidence.indptr[user + 1])
        items, weights = confidence.indices[rows].astype(np.intp), confidence.data[rows]
        folded = FoldedUser(model, items, weights)
        assert folded.factors == pytest.approx(factors.users[user], abs=2e-4)


@pytest.mark.parametrize("dimensions", [2, 16, 64], ids=["all wide", "some narrow", "all narrow"])
def test_wide_and_narrow_rows_are_solved_exactly(dimensions: int) -> None:
    confidence = ragged()
    hyper = Hyperparameters(dimensions=dimensions, regularization=0.02)
    factors = fit_factors(confidence, hyper, device=torch.device("cpu"))
    items = factors.items.astype(np.float64)
    for user, weights in enumerate(confidence.toarray().astype(np.float64)):
        ridge = hyper.regularization * (weights.sum() + hyper.unobserved * len(items))
        normal = items.T @ (items * (weights + hyper.unobserved)[:, None]) + ridge * np.eye(dimensions)
        expected = np.linalg.solve(normal, weights @ items) if weights.any() else np.zeros(dimensions)
        assert factors.users[user] == pytest.approx(expected, abs=2e-4)


def loss(confidence: csr_array, users: np.ndarray, items: np.ndarray, hyper: Hyperparameters) -> float:
    """Compute what training minimizes, with dense matrices in double precision."""
    c, scores = confidence.toarray().astype(np.float64), users.astype(np.float64) @ items.T.astype(np.float64)
    counts = c.shape
    ridge = [
        hyper.regularization * (c.sum(axis=1 - side) + hyper.unobserved * counts[1 - side]) ** hyper.exponent
        for side in (0, 1)
    ]
    return float(
        (c * (1 - scores) ** 2).sum()
        + hyper.unobserved * (scores**2).sum()
        + (ridge[0] * (users**2).sum(axis=1)).sum()
        + (ridge[1] * (items**2).sum(axis=1)).sum()
    )


def test_every_sweep_lowers_the_loss() -> None:
    confidence = ragged()
    losses = []
    for epochs in (1, 2, 4, 8):
        hyper = Hyperparameters(dimensions=6, regularization=0.02, epochs=epochs)
        factors = fit_factors(confidence, hyper, device=torch.device("cpu"))
        losses.append(loss(confidence, factors.users, factors.items, hyper))

    assert losses == sorted(losses, reverse=True)


def test_progress_is_reported_after_each_sweep_and_an_exception_ends_training() -> None:
    calls: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit_factors(checkerboard(SIZE), HYPER, progress=progress)

    assert calls == [(1, HYPER.epochs), (2, HYPER.epochs)]


def test_training_continues_from_known_factors_and_learns_new_items() -> None:
    likes = checkerboard(SIZE)
    start = fit_items(likes, HYPER)
    start[3] = 0.0  # A new item.
    model = model_of(
        [str(item) for item in range(SIZE)], fit_items(likes, HYPER, start=start), np.ones(SIZE, np.float32), HYPER
    )
    liked = np.flatnonzero(likes[[3]].toarray()[0])
    scores = model.factors @ FoldedUser(model, liked, np.ones(len(liked), np.float32)).factors
    scores[liked] = -np.inf

    assert scores.argmax() == 3


def test_confidences_that_are_not_finite_stay_visible_in_the_factors() -> None:
    likes = checkerboard(SIZE)
    likes.data[0] = np.nan
    items = fit_items(likes, HYPER)
    model: FactorModel = model_of([str(item) for item in range(SIZE)], items, np.ones(SIZE, np.float32), HYPER)

    assert not model.finite
