"""Interactions with a known right answer: two tastes without common items."""

from __future__ import annotations

import numpy as np

from models.recommend.interactions import Interaction
from models.units import HOUR


def interactions_of_two_tastes(
    *, users: int, seed: int, items: int = 12, each: int = 8, start: int = 0
) -> list[Interaction]:
    """Draw interactions, sorted by time. Half of the users choose ``a0`` to ``a11``, the others ``b0`` to ``b11``."""
    rng = np.random.default_rng(seed)
    found = []
    for user in range(users):
        taste = "ab"[user % 2]
        chosen = rng.choice(items, each, replace=False)
        times = start + rng.integers(0, 200 * HOUR, each)
        found += [
            Interaction(user=f"u{user}", item=f"{taste}{item}", weight=1.0, at=int(at), type="click")
            for item, at in zip(chosen, times, strict=True)
        ]
    return sorted(found, key=lambda interaction: interaction.at)
