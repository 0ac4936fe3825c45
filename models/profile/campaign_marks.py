"""What a user's profile keeps of a campaign that was started."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

MAX_MARKS = 32
"""Maximum number of campaigns that a profile remembers; the oldest are forgotten first."""

MarkState: TypeAlias = Literal["new", "out", "in", "held_out", "deferred", "dropped", "sent"]
"""The decision of a campaign about a user.

- ``new``: the user was first seen after the start, so there is no turn.
- ``out``: the user is not in the audience.
- ``in``: the user is in the audience, and the time of the message has not come.
- ``held_out``: the user belongs to the control group.
- ``deferred``, ``dropped``, ``sent``: what the planner has decided last.
"""

UNDECIDED = frozenset[MarkState]({"new", "out", "in"})
"""States before the turn of a user."""

_RANK: tuple[MarkState, ...] = ("new", "out", "in", "dropped", "held_out", "deferred", "sent")


class CampaignMark(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The state of one user in one campaign that was started.

    Attributes
    ----------
    order
        Id of the start.
    state
        What was decided.
    at
        Time at which the user was judged; later the time of the message, milliseconds.
    sent_at
        Time at which the message was sent, milliseconds; 0 for not.
    conversions
        Number of conversions.
    """

    order: str
    state: MarkState
    at: int
    sent_at: int = 0
    conversions: int = 0


def mark_of(marks: Iterable[CampaignMark], order: str) -> CampaignMark | None:
    """Return the mark of a campaign; ``None`` without one."""
    return next((mark for mark in marks if mark.order == order), None)


def with_mark(marks: Iterable[CampaignMark], mark: CampaignMark) -> list[CampaignMark]:
    """Return the marks with one that replaces an earlier one of the same campaign.

    Examples
    --------
    >>> marks = with_mark([], CampaignMark("a", "in", 1))
    >>> [one.state for one in with_mark(marks, CampaignMark("a", "sent", 2))]
    ['sent']
    """
    others = [one for one in marks if one.order != mark.order]
    return [*others, mark][-MAX_MARKS:]


def joined_marks(own: Iterable[CampaignMark], others: Iterable[CampaignMark]) -> list[CampaignMark]:
    """Return the marks of the known user, with those of a visitor whose message was sent or waits.

    Anything else that was decided about the visitor is decided again about the known user, at the own turn. A user who
    was first seen after the start stays so, because such a user has no turn.

    Examples
    --------
    >>> [one.state for one in joined_marks([CampaignMark("a", "in", 1)], [CampaignMark("a", "sent", 2, 2)])]
    ['sent']
    >>> joined_marks([], [CampaignMark("a", "in", 1), CampaignMark("b", "dropped", 2)])
    []
    """
    found = list(own)
    for other in others:
        mark = mark_of(found, other.order)
        if other.state not in ("deferred", "sent") or (mark is not None and mark.state == "new"):
            continue
        if mark is None:
            found.append(other)
        else:
            further = max(mark, other, key=lambda one: _RANK.index(one.state))
            conversions = max(mark.conversions, other.conversions)
            found[found.index(mark)] = msgspec.structs.replace(further, conversions=conversions)
    return found[-MAX_MARKS:]
