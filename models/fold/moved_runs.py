"""Move the runs of a visitor to the known user: out of the counts of one partition, and into those of the other."""

from __future__ import annotations

from models.engage.journeys.walking import MoveKind, RunMove, ended_moves
from models.fold.piece import Piece
from models.identity.runs import join_runs
from models.profile.ledger import Ledger
from models.profile.runs import Run, UserRuns

MERGED = "merged"
"""The outcome of a run that ends because the same person has another run of the journey with the same key."""


def hand_over_runs(piece: Piece, visitor: Ledger, now: int) -> None:
    """Count the runs that leave the partition with a visitor's ledger."""
    for run in () if visitor.runs is None else visitor.runs.active:
        piece.runs.append(_move("handed_over", run, now))
        if run.held_since:
            piece.runs.append(_move("released", run, now))


def take_over_runs(piece: Piece, ledger: Ledger, visitor: Ledger, now: int) -> None:
    """Add the runs of a visitor to the ledger of the known user, in place, and count them."""
    if visitor.runs is None:
        return
    joined = join_runs(ledger.runs or UserRuns(), visitor.runs)
    ledger.runs = joined.runs
    for run in (*joined.taken, *joined.left_out):
        piece.runs.append(_move("taken_over", run, now))
        if run.held_since:
            piece.runs.append(_move("held", run, now))
    for run in (*joined.left_out, *joined.replaced):
        piece.runs += ended_moves(run, now, MERGED)


def _move(kind: MoveKind, run: Run, now: int) -> RunMove:
    return RunMove(kind, run.journey, run.version, now, run.id, "", run.is_held_out)
