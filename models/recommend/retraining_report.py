"""The report of a training run."""

from __future__ import annotations

import msgspec


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """Mean grades over the held-out users.

    Attributes
    ----------
    recall_at_10, ndcg_at_10
        Recall@10 and NDCG@10, 0 to 1.
    users
        Number of graded users.
    """

    recall_at_10: float
    ndcg_at_10: float
    users: int


class RetrainingReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of a training run, without the model.

    Attributes
    ----------
    publish
        Whether the model is to be published.
    reason
        Reason for that decision.
    cut
        Moment at which the history ends and the held-out tail begins, milliseconds since the epoch.
    rows, users, items
        Number of interactions, users and items in the window.
    grade
        Grade of a model trained on the interactions before the cut; ``None`` if too few users interacted with new
        items.
    popularity
        Grade of recent popularity or of all-time popularity, whichever is better, on the same candidates.
    published
        Grade of the model in use, on the same candidates.
    """

    publish: bool
    reason: str
    cut: int
    rows: int
    users: int
    items: int
    grade: Grade | None = None
    popularity: Grade | None = None
    published: Grade | None = None
