"""Quality of the probabilities that were issued, graded when their labels are known; nothing is predicted again."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from models.learning.evaluation import auc, brier, calibration_error, log_loss

WINDOW = 2_000
"""Number of newest graded probabilities that the figures cover."""


class Grades(msgspec.Struct, array_like=True, frozen=True):
    """A :class:`Prequential` as plain numbers.

    Attributes
    ----------
    graded, ungraded
        Number of examples with and without an issued probability.
    risks
        Probabilities in the window, little-endian doubles.
    churned
        Their labels, one byte each.
    """

    graded: int
    ungraded: int
    risks: bytes
    churned: bytes


class Prequential:
    """Progressive validation with delayed labels, over a bounded window.

    Parameters
    ----------
    window
        Maximum number of probabilities that are kept; the oldest are dropped first.

    Attributes
    ----------
    graded, ungraded
        Number of examples with a probability, and number of examples that were taken before the first version.

    References
    ----------
    A. P. Dawid, "Present position and potential developments: the prequential approach", JRSS A 147 (1984).

    Examples
    --------
    >>> grades = Prequential()
    >>> for risk, churned in [(None, True), (0.9, True), (0.2, False), (0.4, False)]:
    ...     grades.grade(risk, churned)
    >>> figures = grades.figures()
    >>> figures["auc"], figures["ungraded"], round(figures["brier"], 3)
    (1.0, 1, 0.07)
    """

    def __init__(self, window: int = WINDOW) -> None:
        self.graded = 0
        self.ungraded = 0
        self._risks: deque[float] = deque(maxlen=window)
        self._churned: deque[bool] = deque(maxlen=window)

    def __repr__(self) -> str:
        """Show the number of examples."""
        return f"Prequential(graded={self.graded}, ungraded={self.ungraded})"

    def grade(self, risk: float | None, churned: bool) -> None:
        """Record one label, with the probability that was issued for it, or ``None`` if there was none."""
        if risk is None:
            self.ungraded += 1
            return
        self.graded += 1
        self._risks.append(risk)
        self._churned.append(churned)

    def figures(self) -> dict[str, int | float | None]:
        """Return the figures of the window.

        Returns
        -------
        dict
            ``graded`` and ``ungraded`` count all examples ever. The others describe the window: ``auc``, ``log_loss``
            (nats), ``brier``, ``calibration_error`` (10 bins) and ``churned`` (share). A figure that cannot be
            computed yet is ``None``.
        """
        counts: dict[str, int | float | None] = {"graded": self.graded, "ungraded": self.ungraded}
        if not self._risks:
            return counts | dict.fromkeys(("auc", "log_loss", "brier", "calibration_error", "churned"))
        risks, churned = np.array(self._risks), np.array(self._churned)
        return counts | {
            "auc": auc(risks, churned),
            "log_loss": log_loss(risks, churned),
            "brier": brier(risks, churned),
            "calibration_error": calibration_error(risks, churned),
            "churned": float(churned.mean()),
        }

    def dump(self) -> Grades:
        """Return the plain numbers that :meth:`load` needs."""
        risks = np.array(self._risks, dtype="<f8").tobytes()
        return Grades(self.graded, self.ungraded, risks, bytes(self._churned))

    @classmethod
    def load(cls, grades: Grades, window: int = WINDOW) -> Prequential:
        """Make a :class:`Prequential` from numbers that :meth:`dump` returned."""
        new = cls(window)
        new.graded, new.ungraded = grades.graded, grades.ungraded
        new._risks.extend(np.frombuffer(grades.risks, dtype="<f8").tolist())
        new._churned.extend(map(bool, grades.churned))
        return new
