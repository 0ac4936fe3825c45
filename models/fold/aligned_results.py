"""The results that the models in use give for users whose ledger has those of older versions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from models.fold.assessment import has_old_risk, has_old_segment
from models.fold.live_user import LiveUser
from models.fold.piece import Alignment
from models.fold.scores import PieceScores
from models.fold.versions import Versions


class Aligned(NamedTuple):
    """The results that the versions in use give for a user as of the last assessment before the piece.

    Attributes
    ----------
    user
        The user.
    number
        Number of the step from which on decisions see these results.
    segment, segment_version, risk, risk_version, risk_at
        See :class:`~models.profile.ledger.Ledger`.
    """

    user: LiveUser
    number: int
    segment: str | None
    segment_version: int
    risk: float | None
    risk_version: int
    risk_at: int


class AlignedResults:
    """The results of one piece that are not in the ledgers yet.

    Parameters
    ----------
    versions, scores
        The versions in use, and the scores of the piece.
    names
        Names of the learned segments by number.
    """

    def __init__(self, versions: Versions, scores: PieceScores, names: tuple[str, ...]) -> None:
        self._versions = versions
        self._scores = scores
        self._names = names
        self._waiting: deque[Aligned] = deque()

    def __repr__(self) -> str:
        """Show the amount."""
        return f"AlignedResults({len(self._waiting)} users)"

    def add(self, alignments: Iterable[Alignment]) -> None:
        """Add the users of the piece, in the order of their steps."""
        self._waiting.extend(map(self._results_of, alignments))

    def by_user(self) -> dict[bytes, Aligned]:
        """Return the results by the key of their user."""
        return {one.user.key: one for one in self._waiting}

    def apply_before(self, number: int) -> None:
        """Give the ledgers the results of the versions in use, for all users that are aligned before this step."""
        while self._waiting and self._waiting[0].number < number:
            one = self._waiting.popleft()
            ledger = one.user.ledger
            ledger.segment, ledger.segment_version = one.segment, one.segment_version
            ledger.risk, ledger.risk_version, ledger.risk_at = one.risk, one.risk_version, one.risk_at

    def _results_of(self, alignment: Alignment) -> Aligned:
        versions, scores, (user, row, at, number) = self._versions, self._scores, alignment
        ledger = user.ledger
        segment, segment_version = ledger.segment, ledger.segment_version
        if scores.segments is not None and has_old_segment(user, versions):
            segment, segment_version = self._names[scores.segments[row]], versions.segments_number
        risk, risk_version, risk_at = ledger.risk, ledger.risk_version, ledger.risk_at
        if scores.risks is not None and has_old_risk(user, versions):
            risk, risk_version, risk_at = scores.risks[row], versions.churn_number, at
        return Aligned(user, number, segment, segment_version, risk, risk_version, risk_at)
