"""How good were the probabilities that were really issued: graded when the truth is known, never predicted anew."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np

from models.learning.evaluation import auc, brier, calibration_error, log_loss

WINDOW = 2_000
"""Newest graded probabilities that the figures look at."""


class Grades(msgspec.Struct, array_like=True, frozen=True):
    """A :class:`Prequential` as plain numbers: ``risks`` are little-endian doubles, ``churned`` a byte each."""

    graded: int
    ungraded: int
    risks: bytes
    churned: bytes


class Prequential:
    """Progressive validation with delayed labels, over a bounded window.

    Parameters
    ----------
    window
        Newest probabilities that are kept.

    Attributes
    ----------
    graded, ungraded
        Examples that carried a probability, and those taken before any version existed.

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

    def grade(self, risk: float | None, churned: bool) -> None:
        """Take one truth; ``risk`` is what was issued then, ``None`` where nothing was."""
        if risk is None:
            self.ungraded += 1
            return
        self.graded += 1
        self._risks.append(risk)
        self._churned.append(churned)

    def figures(self) -> dict[str, int | float | None]:
        """Figures over the window.

        Returns
        -------
        dict
            ``graded`` and ``ungraded`` count from the beginning; over the window ``auc``, ``log_loss`` (nats),
            ``brier``, ``calibration_error`` (10 bins) and ``churned`` (share); ``None`` where nothing can be said yet.
        """
        told: dict[str, int | float | None] = {"graded": self.graded, "ungraded": self.ungraded}
        if not self._risks:
            return told | dict.fromkeys(("auc", "log_loss", "brier", "calibration_error", "churned"))
        risks, churned = np.array(self._risks), np.array(self._churned)
        return told | {
            "auc": auc(risks, churned),
            "log_loss": log_loss(risks, churned),
            "brier": brier(risks, churned),
            "calibration_error": calibration_error(risks, churned),
            "churned": float(churned.mean()),
        }

    def dump(self) -> Grades:
        """Plain numbers."""
        risks = np.array(self._risks, dtype="<f8").tobytes()
        return Grades(self.graded, self.ungraded, risks, bytes(self._churned))

    @classmethod
    def load(cls, grades: Grades, window: int = WINDOW) -> Prequential:
        """Go on where :meth:`dump` stopped."""
        new = cls(window)
        new.graded, new.ungraded = grades.graded, grades.ungraded
        new._risks.extend(np.frombuffer(grades.risks, dtype="<f8").tolist())
        new._churned.extend(map(bool, grades.churned))
        return new
