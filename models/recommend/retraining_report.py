"""What a run of the retrainer found out."""

from __future__ import annotations

import msgspec


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """Mean over the users of a tail.

    Attributes
    ----------
    recall_at_10, ndcg_at_10
        0 to 1.
    users
        How many were graded.
    """

    recall_at_10: float
    ndcg_at_10: float
    users: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found out; all but the model, as numbers for people and metrics.

    Attributes
    ----------
    publish
        Whether to publish.
    reason
        Why, or why not.
    cut
        Time that divides history and tail, milliseconds.
    rows, users, items
        What it was trained on.
    grade
        Of the model trained before the cut; ``None`` where too few users met something new.
    popularity
        Of the better of recent and of all-time popularity, on the same candidates.
    published
        Of the model in use, on the same candidates.
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
