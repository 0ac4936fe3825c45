"""The truths that a compiled condition reads, and the condition as a function of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from models.conditions.leaf import LeafEvaluator
from models.conditions.truth import Truth


class TruthView(Protocol):
    """The truths of clauses and segments for one user at one instant."""

    def leaf(self, leaf: LeafEvaluator) -> Truth:
        """Return the truth of a clause."""

    def segment(self, index: int, duration: int) -> Truth:
        """Return whether the user is in a segment of the program, for at least a duration."""

    def learned(self, name: str, duration: int) -> Truth:
        """Return whether the user is in a segment that a model has learned, for at least a duration."""


Test = Callable[[TruthView], Truth]
