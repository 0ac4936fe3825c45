"""The second pass over a piece of the log: the features and scores of all rows, or the model that fails."""

from __future__ import annotations

from models.fold.failures import ModelsFailed
from models.fold.piece import Piece
from models.fold.scores import PieceScores
from models.fold.versions import CHURN, SEGMENTS


def scores_of(piece: Piece) -> PieceScores:
    """Return the scores of a piece.

    Raises
    ------
    ModelsFailed
        A model fails for one of the rows.
    """
    try:
        return PieceScores(piece.block, piece.versions)
    except Exception as error:
        numbers = piece.versions.numbers
        models = " and ".join(f"{name}@{numbers[name]}" for name in (CHURN, SEGMENTS) if name in numbers)
        raise ModelsFailed(f"{models or 'the features'}: {type(error).__name__}: {error}") from error
