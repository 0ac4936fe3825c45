"""The compiled lifecycle, which travels in the log: its stages, and the moves between them."""

from __future__ import annotations

import msgspec

from models.conditions.clauses import Condition

STAGES = ("visitor", "new", "activated", "engaged", "loyal", "at_risk", "dormant", "churned", "won_back")
"""Names of the stages, unless a configuration names its own. A user without a stored stage is in the first one."""


class LifecycleMove(msgspec.Struct, frozen=True):
    """A possible move of a user.

    Attributes
    ----------
    origin, target
        Names of two stages.
    when
        Condition for the move.
    """

    origin: str
    target: str
    when: Condition


class Lifecycle(msgspec.Struct, frozen=True):
    """A state machine.

    Attributes
    ----------
    stages
        Names of the stages; every user begins in the first one.
    moves
        The moves. Of those out of one stage, the first whose condition holds is made.
    """

    stages: tuple[str, ...]
    moves: tuple[LifecycleMove, ...]
