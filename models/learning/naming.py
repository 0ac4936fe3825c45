"""Names for clusters of users, from what their centres look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from scipy.optimize import linear_sum_assignment

AXES: tuple[str, ...] = ("days_since_last", "sessions", "orders", "spend_30d", "views_30d")
"""Recency, frequency, orders ever, monetary value and browsing: features that the clusters look at."""

# Standard deviations from the population's mean, along AXES: what a segment of this name is expected to look like.
ARCHETYPES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "frequent big spenders": (-0.7, 1.0, 1.2, 1.3, 0.7),
        "loyal regulars": (-0.6, 0.9, 0.6, 0.2, 0.6),
        "window shoppers": (-0.6, 0.3, -0.8, -0.8, 0.9),
        "new visitors": (-0.7, -0.9, -0.7, -0.7, -0.3),
        "recent buyers": (-0.6, -0.4, 0.4, 0.7, -0.1),
        "occasional buyers": (0.1, -0.1, 0.3, 0.1, -0.2),
        "lapsing regulars": (1.0, 0.5, 0.7, 0.2, -0.2),
        "lapsing browsers": (0.6, -0.1, -0.7, -0.7, -0.3),
        "dormant": (1.4, -0.7, -0.5, -0.8, -1.1),
    }
)

HOLD = 0.6
"""By how many standard deviations another name has to fit better before a cluster gives its name up."""


def name_centres(
    axes: Sequence[str], centres: Sequence[Sequence[float]], held: Sequence[str | None] = ()
) -> tuple[str, ...]:
    """Give each centre a name of its own, so that all names together fit best.

    Parameters
    ----------
    axes
        Names of the centres' coordinates, each one of ``AXES``.
    centres
        In standard deviations from the population's mean.
    held
        The name that each centre had in the version before, ``None`` for none; it is kept unless another one fits
        clearly better (by ``HOLD``, in total).

    Returns
    -------
    tuple of str
        One name a centre; where there are more centres than names, further rounds are numbered.

    Examples
    --------
    >>> name_centres(AXES, [(1.5, -0.8, -0.6, -0.7, -1.0), (-0.5, 1.1, 1.0, 1.4, 0.8)])
    ('dormant', 'frequent big spenders')
    >>> name_centres(("days_since_last",), [(-0.4,), (0.9,)], held=("loyal regulars", "dormant"))
    ('loyal regulars', 'dormant')
    """
    places = [AXES.index(axis) for axis in axes]
    rounds = -(-len(centres) // len(ARCHETYPES))
    names = [name if r == 0 else f"{name} {r + 1}" for r in range(rounds) for name in ARCHETYPES]
    profiles = np.array([ARCHETYPES[name] for name in ARCHETYPES] * rounds)[:, places]
    points = np.array(centres, dtype=np.float64)
    misfit = np.sqrt(((points[:, None, :] - profiles[None, :, :]) ** 2).sum(axis=2))
    for i, name in enumerate(held):
        if name in names:
            misfit[i, names.index(name)] -= HOLD
    _, chosen = linear_sum_assignment(misfit)
    return tuple(names[j] for j in chosen)
