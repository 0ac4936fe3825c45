"""Names for clusters of users, chosen by the position of their centres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from scipy.optimize import linear_sum_assignment

AXES: tuple[str, ...] = ("days_since_last", "sessions", "orders", "spend_30d", "views_30d")
"""Features that the clusters use: recency, frequency, orders ever, monetary value and browsing."""

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
"""Expected centre of each name, along ``AXES``, in standard deviations from the population's mean.

The names are those of :data:`models.learned_names.LEARNED_NAMES`.
"""

HOLD = 0.6
"""Advantage that a cluster's present name has over any other name, standard deviations."""


def name_centres(
    axes: Sequence[str], centres: Sequence[Sequence[float]], held: Sequence[str | None] = ()
) -> tuple[str, ...]:
    """Give each centre a different name, so that all names together fit best.

    Parameters
    ----------
    axes
        Names of the centres' coordinates, each one of ``AXES``.
    centres
        Centres in standard deviations from the population's mean, shape ``(clusters, axes)``.
    held
        Name of each centre in the previous version, or ``None``. Each of these names counts as closer to its centre,
        by ``HOLD``, so that names change only if others fit clearly better.

    Returns
    -------
    tuple of str
        One name for each centre. If there are more centres than names, names are used again with a number.

    References
    ----------
    The assignment is exact: H. W. Kuhn, "The Hungarian method for the assignment problem", 1955.

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
