"""Moves of users in a campaign, as the counters count them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from models.engage.decisions import Decision

MoveOfUser: TypeAlias = Literal[
    "judged", "in_audience", "held_out", "sent", "deferred", "released", "dropped", "converted", "left"
]


class CampaignMove(NamedTuple):
    """A change of a user in a campaign, for reports.

    Attributes
    ----------
    order
        Id of the start.
    kind
        ``judged``, and ``in_audience`` if the user is in it. At the turn: ``held_out``, ``sent``, ``deferred`` or
        ``dropped``. Later: ``released`` when a deferred message is decided again, and ``converted``. Instead of a turn:
        ``left`` if the profile has moved to another one.
    reason
        Why the message was dropped.
    is_held_out
        For ``converted``: whether the user belongs to the control group.
    """

    order: str
    kind: MoveOfUser
    reason: str = ""
    is_held_out: bool = False


def moves_of(decisions: Iterable[Decision], *, have_waited: bool) -> Iterator[CampaignMove]:
    """Yield what decisions about messages of campaigns mean for the counters.

    Parameters
    ----------
    decisions
        Decisions about any messages. One that replaces a withdrawn message is counted already.
    have_waited
        Whether the messages had waited before.
    """
    for decision in decisions:
        if decision.signal.kind != "campaign" or decision.replaces:
            continue
        order = decision.signal.run
        if have_waited:
            yield CampaignMove(order, "released")
        if decision.reason == "held_out":
            yield CampaignMove(order, "held_out")
        else:
            yield CampaignMove(order, decision.outcome, decision.reason)
