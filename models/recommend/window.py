"""A window of the newest interactions, bounded in memory, as arrays for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from models.recommend.confidence import confidence_of, decay
from models.recommend.interactions import Interaction

SLACK = 1.25
"""Factor by which a window may exceed its limits before it removes rows, so that removals are rare."""

_ROW = np.dtype([("user", np.int32), ("item", np.int32), ("weight", np.float32), ("at", np.int64)])


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Interactions by column; element ``i`` of every array belongs to the same interaction.

    Attributes
    ----------
    users, items
        Indices into ``user_ids`` and ``item_ids``, int32 of shape ``(n,)``.
    weights
        Weights, float32 of shape ``(n,)``.
    at
        Times, milliseconds since the epoch, int64 of shape ``(n,)``.
    user_ids, item_ids
        Ids; some may have no interaction.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]
    at: NDArray[np.int64]
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.at)

    def where(self, rows: NDArray[np.bool_]) -> Columns:
        """Return some of the interactions, with the same ids; ``rows`` is a mask of shape ``(n,)``."""
        return Columns(
            self.users[rows], self.items[rows], self.weights[rows], self.at[rows], self.user_ids, self.item_ids
        )

    def confidence(self, now: int, half_life: int) -> csr_array:
        """Return the confidences, from decayed sums of weights; float32 of shape ``(users, items)``."""
        shape = (len(self.user_ids), len(self.item_ids))
        sums = coo_array((self._faded(now, half_life), (self.users, self.items)), shape=shape).tocsr()
        sums.sum_duplicates()
        sums.data = confidence_of(sums.data)
        return sums

    def popularity(self, now: int, half_life: int) -> NDArray[np.float32]:
        """Return the sum of the decayed weights of each item, float32 of shape ``(items,)``."""
        return np.bincount(self.items, self._faded(now, half_life), len(self.item_ids)).astype(np.float32)

    def _faded(self, now: int, half_life: int) -> NDArray[np.float64]:
        return self.weights.astype(np.float64) * decay(now - self.at, half_life)


class InteractionWindow:
    """The newest interactions, within limits of number and age.

    Parameters
    ----------
    rows, users, items
        Maximum number of interactions, users and items. Between two removals, the window may have a quarter more. The
        users and items that had no interaction for the longest time are removed first.
    age
        Maximum age of an interaction, relative to the newest, milliseconds; 0 keeps all.

    Attributes
    ----------
    added
        Number of interactions that were ever added.

    Examples
    --------
    >>> window = InteractionWindow(rows=2, users=10, items=10)
    >>> for at, item in enumerate(["mug", "pot", "pan", "mug"]):
    ...     window.add(Interaction(user="u1", item=item, weight=1.0, at=at, type="click"))
    >>> columns = window.columns()
    >>> [columns.item_ids[item] for item in columns.items], columns.at.tolist()
    (['pan', 'mug'], [2, 3])
    """

    def __init__(self, rows: int, users: int, items: int, age: int = 0) -> None:
        if min(rows, users, items) < 1:
            raise ValueError("a window holds at least one row, one user and one item")
        self._limits = rows, users, items
        self._age = age
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._count = 0
        self._rows = np.empty(min(rows, 1024), _ROW)
        self.added = 0

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        """Show the content and the limits of the window."""
        rows, users, items = self._limits
        held = f"{self._count}/{rows} rows, {len(self._users)}/{users} users, {len(self._items)}/{items} items"
        return f"InteractionWindow({held})"

    def add(self, interaction: Interaction) -> None:
        """Add one interaction."""
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        user = self._users.setdefault(interaction.user, len(self._users))
        item = self._items.setdefault(interaction.item, len(self._items))
        self._rows[self._count] = (user, item, interaction.weight, interaction.at)
        self._count += 1
        self.added += 1
        rows_most, users_most, items_most = self._limits
        if (
            self._count > rows_most * SLACK
            or len(self._users) > users_most * SLACK
            or len(self._items) > items_most * SLACK
        ):
            self._cut()

    def columns(self) -> Columns:
        """Return a copy of the interactions, within the limits and in the order of time."""
        self._cut()
        rows = self._rows[: self._count]
        rows = rows[np.argsort(rows["at"], kind="stable")]
        return Columns(
            users=np.ascontiguousarray(rows["user"]),
            items=np.ascontiguousarray(rows["item"]),
            weights=np.ascontiguousarray(rows["weight"]),
            at=np.ascontiguousarray(rows["at"]),
            user_ids=tuple(self._users),
            item_ids=tuple(self._items),
        )

    def _cut(self) -> None:
        rows_most, users_most, items_most = self._limits
        rows = self._rows[: self._count]
        keep = np.ones(self._count, np.bool_)
        if self._age and self._count:
            # Use a quantile, because a few senders whose clocks are ahead must not make all other rows old.
            keep = rows["at"] >= np.quantile(rows["at"], 0.999) - self._age
        if len(self._users) > users_most:
            keep &= _newest(rows["user"], rows["at"], len(self._users), users_most)[rows["user"]]
        if len(self._items) > items_most:
            keep &= _newest(rows["item"], rows["at"], len(self._items), items_most)[rows["item"]]
        rows = rows[keep]
        if len(rows) > rows_most:
            rows = rows[np.sort(np.argsort(rows["at"], kind="stable")[-rows_most:])]
        if len(rows) == self._count:
            return
        self._users, rows["user"] = _renumber(self._users, rows["user"])
        self._items, rows["item"] = _renumber(self._items, rows["item"])
        self._rows[: len(rows)] = rows
        self._count = len(rows)


def _newest(ids: NDArray[np.int32], at: NDArray[np.int64], count: int, most: int) -> NDArray[np.bool_]:
    """Mark the ids with the newest rows, at most ``most`` of them."""
    last = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(last, ids, at)
    marked = np.zeros(count, np.bool_)
    marked[np.argsort(last, kind="stable")[-most:]] = True
    return marked


def _renumber(names: dict[str, int], ids: NDArray[np.int32]) -> tuple[dict[str, int], NDArray[np.int32]]:
    """Drop the names that no row uses; return the new numbers of the other names, and ``ids`` in new numbers."""
    used, renumbered = np.unique(ids, return_inverse=True)
    by_id = list(names)
    return {by_id[old]: new for new, old in enumerate(used.tolist())}, renumbered.astype(np.int32)
