"""One run of the retrainer: train on the past, grade on the newest tail of time, then publish or keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.recommend.grading import Case, Scores, cases_of, grade_model, grade_popularity
from models.recommend.model import FactorModel, Hyperparameters, model_of
from models.recommend.retraining_report import Run
from models.recommend.window import Columns


class Fit(Protocol):
    """Trains item factors; ``models.recommend.factors.fit_items`` on torch."""

    def __call__(
        self,
        confidence: csr_array,
        hyperparameters: Hyperparameters,
        *,
        start: NDArray[np.float32] | None,
        progress: Callable[[int, int], None] | None,
    ) -> NDArray[np.float32]:
        """Item factors, float32 of shape (items, dimensions)."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When a model is good enough.

    Attributes
    ----------
    tail
        Share of the newest interactions that is held out.
    tolerance
        A model is kept back when its NDCG is lower than that of the published one by more than this share of it,
        and by more than a standard error of the difference.
    graded_most, graded_least
        Users that are graded; with fewer than the least no two models are compared.
    """

    tail: float = 0.1
    tolerance: float = 0.1
    graded_most: int = 2000
    graded_least: int = 30


def retrain(
    columns: Columns,
    hyperparameters: Hyperparameters,
    fit: Fit,
    *,
    published: FactorModel | None = None,
    policy: Policy | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[FactorModel | None, Run]:
    """Train, grade, and train again on everything when it is good enough.

    The published model has seen everything until its ``trained_until``. So the cut is never before that: otherwise it
    would be graded on what it has learned, and could never be beaten.

    Parameters
    ----------
    columns
        The window.
    hyperparameters
        Shape of the model; scaled to the data.
    fit
        Trains item factors.
    published
        The model in use.
    policy
        When a model is good enough.
    progress
        Told what is trained (``grading`` or ``final``), sweeps done, sweeps in all.

    Returns
    -------
    tuple
        The model to publish, ``None`` to keep what is in use, and what was found out.
    """
    policy = policy or Policy()
    if not len(columns):
        raise ValueError("there is nothing to train on")
    history, tail, cut = _divide(columns, policy.tail, published)
    cases = cases_of(history, tail, most=policy.graded_most, seed=hyperparameters.seed)
    run = Run(
        publish=False,
        reason="",
        cut=cut,
        rows=len(columns),
        users=len(np.unique(columns.users)),
        items=len(np.unique(columns.items)),
    )
    if len(cases) < policy.graded_least:
        if published is not None:
            return None, replace(run, reason=f"only {len(cases)} users to grade with")
        model = _train(columns, hyperparameters, fit, None, _stage(progress, "final"))
        return _finish(model, replace(run, reason=f"the first one; {len(cases)} users are too few to grade"))

    candidate = _train(history, hyperparameters, fit, None, _stage(progress, "grading"))
    if not candidate.finite:
        return None, replace(run, reason="training ended in what is no number")
    scores = grade_model(candidate, cases, cut)
    run = replace(run, grade=scores.grade, popularity=_popularity(history, candidate, cases).grade)
    if published is not None:
        in_use = grade_model(published, cases, cut)
        run = replace(run, published=in_use.grade)
        if _worse(scores, in_use, policy.tolerance):
            return None, replace(run, reason="worse than the published one on the same tail")
    model = _train(columns, hyperparameters, fit, candidate, _stage(progress, "final"))
    return _finish(model, replace(run, reason="good enough"))


def _divide(columns: Columns, share: float, published: FactorModel | None) -> tuple[Columns, Columns, int]:
    cut = int(np.quantile(columns.at, 1.0 - share))
    if published is not None:
        cut = max(cut, published.trained_until + 1)
    return columns.where(columns.at < cut), columns.where(columns.at >= cut), cut


def _train(
    columns: Columns,
    hyperparameters: Hyperparameters,
    fit: Fit,
    start: FactorModel | None,
    progress: Callable[[int, int], None] | None,
) -> FactorModel:
    # a few senders whose clocks run ahead must not decide what counts as new
    now = int(np.quantile(columns.at, 0.999))
    used = np.unique(columns.items)
    names = [columns.item_ids[item] for item in used]
    confidence = csr_array(columns.confidence(now, hyperparameters.half_life)[:, used])
    users = len(np.unique(columns.users))
    hyperparameters = hyperparameters.scaled_to(users, len(used), confidence.nnz)
    factors = fit(confidence, hyperparameters, start=_start(names, start), progress=progress)
    popularity = columns.popularity(now, hyperparameters.trend_half_life)[used]
    return model_of(names, factors, popularity, hyperparameters, trained_until=now)


def _start(names: list[str], model: FactorModel | None) -> NDArray[np.float32] | None:
    """Rows of a trained model by name; zeros where it has none."""
    if model is None:
        return None
    rows = {item: row for row, item in enumerate(model.items)}
    start = np.zeros((len(names), model.factors.shape[1]), np.float32)
    known = [(new, rows[name]) for new, name in enumerate(names) if name in rows]
    if known:
        new, old = np.array(known).T
        start[new] = model.factors[old]
    return start


def _popularity(history: Columns, model: FactorModel, cases: list[Case]) -> Scores:
    """Grade the better of recent and all-time popularity: a weak baseline flatters."""
    used = np.unique(history.items)
    recent = grade_popularity(model.items, model.popularity, cases)
    always = grade_popularity(model.items, history.popularity(0, 0)[used], cases)
    return max(recent, always, key=lambda scores: scores.grade.recall_at_10)


def _worse(scores: Scores, published: Scores, tolerance: float) -> bool:
    difference = scores.ndcg - published.ndcg
    error = float(difference.std()) / len(difference) ** 0.5
    margin = max(tolerance * float(published.ndcg.mean()), error)
    return bool(difference.mean() < -margin)


def _finish(model: FactorModel, run: Run) -> tuple[FactorModel | None, Run]:
    if not model.finite:
        return None, replace(run, reason="training on everything ended in what is no number")
    return model, replace(run, publish=True)


def _stage(progress: Callable[[str, int, int], None] | None, name: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)
