"""The second pass over a piece of the log: features and scores of all its rows at once."""

from __future__ import annotations

import numpy as np

from models.fold.versions import Versions
from models.profile import features
from models.profile.numbers import COUNT, Numbers


class PieceScores:
    """The features and scores of the rows of a piece.

    A few rows are computed one after the other, and many by column. The bits are the same.

    Parameters
    ----------
    block
        The numbers of the rows, one after the other.
    versions
        The versions in use.

    Attributes
    ----------
    segments
        Number of the segment of each row; ``None`` without a version.
    risks
        Churn probability of each row; ``None`` without a version.
    """

    def __init__(self, block: Numbers, versions: Versions) -> None:
        self.segments: list[int] | None = None
        self.risks: list[float] | None = None
        churn, segments = versions.churn, versions.segments
        self._rows: list[list[float]] | None = None
        if len(block) <= features.MAX_SINGLE_ROWS * COUNT:
            rows = self._rows = features.single_rows(block)
            if segments is not None:
                self.segments = [segments.predict_one(row) for row in rows]
            if churn is not None:
                self.risks = [churn.predict_one(row) for row in rows]
            return
        with np.errstate(all="ignore"):  # a model with extreme numbers gives an extreme score
            columns = self._columns = features.columns(block)
            if segments is not None:
                self.segments = segments.predict(columns)
            if churn is not None:
                self.risks = churn.predict(columns).tolist()

    def __repr__(self) -> str:
        """Show which scores there are."""
        return f"PieceScores(segments={self.segments is not None}, risks={self.risks is not None})"

    def row(self, number: int) -> list[float]:
        """Return the features of a row."""
        if self._rows is not None:
            return self._rows[number]
        row: list[float] = self._columns[:, number].tolist()
        return row

    def feature(self, place: int) -> list[float]:
        """Return one feature of all rows, by its place in a row."""
        if self._rows is not None:
            return [row[place] for row in self._rows]
        column: list[float] = self._columns[place].tolist()
        return column
