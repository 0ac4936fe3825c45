"""One training run: train on the past, grade on the newest interactions, then publish the model or keep the old one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.recommend.grading import HeldOutUser, Scores, grade_model, grade_popularity, held_out_users
from models.recommend.model import FactorModel, Hyperparameters, model_of
from models.recommend.retraining_report import RetrainingReport
from models.recommend.window import Columns

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""Callback with the stage (``grading`` or ``final``), the number of finished sweeps, and the number of all sweeps."""


class Fit(Protocol):
    """A function that trains item factors, such as ``models.recommend.factors.fit_items`` on torch."""

    def __call__(
        self,
        confidence: csr_array,
        hyperparameters: Hyperparameters,
        *,
        start: NDArray[np.float32] | None,
        progress: Callable[[int, int], None] | None,
    ) -> NDArray[np.float32]:
        """Return item factors, float32 of shape ``(items, dimensions)``."""


class RetrainingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions under which a new model replaces the published one.

    Attributes
    ----------
    tail
        Share of the interactions that is held out for grading, 0 to 1. The newest ones are held out.
    tolerance
        Share of the published model's NDCG by which a new model may be worse, 0 to 1. A new model is refused if it
        is worse by more than this share, and by more than a standard error of the difference.
    max_graded
        Maximum number of users that are graded.
    min_graded
        Minimum number of users for a comparison of two models.
    """

    tail: float = 0.1
    tolerance: float = 0.1
    max_graded: int = 2000
    min_graded: int = 30


def retrain(
    columns: Columns,
    hyperparameters: Hyperparameters,
    fit: Fit,
    *,
    published: FactorModel | None = None,
    policy: RetrainingPolicy | None = None,
    progress: StageProgress | None = None,
) -> tuple[FactorModel | None, RetrainingReport]:
    """Train on the history, grade on the held-out tail, and train again on everything if the model is good enough.

    The published model has learned everything until its ``trained_until``, so the tail begins after that moment.
    Otherwise the published model would be graded on its own training data, and no new model could ever be better.

    Parameters
    ----------
    columns
        Interactions of the window.
    hyperparameters
        Hyperparameters of the model. They are scaled to the data.
    fit
        Trains item factors.
    published
        Model in use, if any.
    policy
        Conditions for publishing.
    progress
        Callback; see :data:`StageProgress`.

    Returns
    -------
    tuple
        The model to publish, or ``None`` to keep the one in use; and the report.

    Raises
    ------
    ValueError
        There are no interactions.
    """
    policy = policy or RetrainingPolicy()
    if not len(columns):
        raise ValueError("there is nothing to train on")
    training = _Training(hyperparameters, fit, progress)
    history, tail, cut = _divide(columns, policy.tail, published)
    users = held_out_users(history, tail, most=policy.max_graded, seed=hyperparameters.seed)
    report = _report(columns, cut)
    if len(users) < policy.min_graded:
        return _without_grade(training, columns, published, report, len(users))
    candidate = training.train(history, "grading")
    if not candidate.finite:
        return None, replace(report, reason="training ended with numbers that are not finite")
    scores = grade_model(candidate, users, cut)
    report = replace(report, grade=scores.grade, popularity=_popularity(history, candidate, users).grade)
    if published is not None:
        in_use = grade_model(published, users, cut)
        report = replace(report, published=in_use.grade)
        if _worse(scores, in_use, policy.tolerance):
            return None, replace(report, reason="worse than the published one on the same tail")
    model = training.train(columns, "final", start=candidate)
    return _finish(model, replace(report, reason="good enough"))


def _without_grade(
    training: _Training, columns: Columns, published: FactorModel | None, report: RetrainingReport, users: int
) -> tuple[FactorModel | None, RetrainingReport]:
    """Publish a first model without a grade; if a model is in use, keep it."""
    if published is not None:
        return None, replace(report, reason=f"only {users} users to grade with")
    reason = f"the first one; {users} users are too few to grade"
    return _finish(training.train(columns, "final"), replace(report, reason=reason))


@dataclass(frozen=True)
class _Training:
    """The parts of a run that are the same for all its models.

    Attributes
    ----------
    hyperparameters, fit, progress
        See :func:`retrain`.
    """

    hyperparameters: Hyperparameters
    fit: Fit
    progress: StageProgress | None

    def train(self, columns: Columns, stage: str, start: FactorModel | None = None) -> FactorModel:
        """Train a model on interactions, from scratch or from another model."""
        # Use a quantile, because a few senders whose clocks are ahead must not decide which interactions count as new.
        now = int(np.quantile(columns.at, 0.999))
        used = np.unique(columns.items)
        names = [columns.item_ids[item] for item in used]
        confidence = csr_array(columns.confidence(now, self.hyperparameters.half_life)[:, used])
        users = len(np.unique(columns.users))
        scaled = self.hyperparameters.scaled_to(users, len(used), confidence.nnz)
        progress = None if self.progress is None else partial(self.progress, stage)
        factors = self.fit(confidence, scaled, start=_start(names, start), progress=progress)
        popularity = columns.popularity(now, scaled.trend_half_life)[used]
        return model_of(names, factors, popularity, scaled, trained_until=now)


def _report(columns: Columns, cut: int) -> RetrainingReport:
    return RetrainingReport(
        publish=False,
        reason="",
        cut=cut,
        rows=len(columns),
        users=len(np.unique(columns.users)),
        items=len(np.unique(columns.items)),
    )


def _divide(columns: Columns, share: float, published: FactorModel | None) -> tuple[Columns, Columns, int]:
    cut = int(np.quantile(columns.at, 1.0 - share))
    if published is not None:
        cut = max(cut, published.trained_until + 1)
    return columns.where(columns.at < cut), columns.where(columns.at >= cut), cut


def _start(names: list[str], model: FactorModel | None) -> NDArray[np.float32] | None:
    """Return the factors of a trained model in the order of names, with zeros for names that it does not have."""
    if model is None:
        return None
    rows = {item: row for row, item in enumerate(model.items)}
    start = np.zeros((len(names), model.factors.shape[1]), np.float32)
    known = [(new, rows[name]) for new, name in enumerate(names) if name in rows]
    if known:
        new, old = np.array(known).T
        start[new] = model.factors[old]
    return start


def _popularity(history: Columns, model: FactorModel, users: list[HeldOutUser]) -> Scores:
    """Grade recent and all-time popularity, and return the better grade, because a weak baseline proves little."""
    used = np.unique(history.items)
    recent = grade_popularity(model.items, model.popularity, users)
    always = grade_popularity(model.items, history.popularity(0, 0)[used], users)
    return max(recent, always, key=lambda scores: scores.grade.recall_at_10)


def _worse(scores: Scores, published: Scores, tolerance: float) -> bool:
    difference = scores.ndcg - published.ndcg
    error = float(difference.std()) / len(difference) ** 0.5
    margin = max(tolerance * float(published.ndcg.mean()), error)
    return bool(difference.mean() < -margin)


def _finish(model: FactorModel, report: RetrainingReport) -> tuple[FactorModel | None, RetrainingReport]:
    if not model.finite:
        return None, replace(report, reason="training on everything ended with numbers that are not finite")
    return model, replace(report, publish=True)
