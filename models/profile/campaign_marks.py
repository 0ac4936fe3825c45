"""Marks of started campaigns in a user's profile."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Literal, TypeAlias

import msgspec

MAX_MARKS = 32
"""Maximum number of campaigns that a profile remembers, besides those that are still needed."""

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
    is_new
        Whether the user was first seen after the start, and has got the message of a visitor by a login.
    """

    order: str
    state: MarkState
    at: int
    sent_at: int = 0
    conversions: int = 0
    is_new: bool = False

    @property
    def has_no_turn(self) -> bool:
        """Whether the user was first seen after the start."""
        return self.state == "new" or self.is_new


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
    return [*others, mark]


def joined_marks(own: Iterable[CampaignMark], others: Iterable[CampaignMark]) -> list[CampaignMark]:
    """Return the marks of the known user, with those of a visitor whose message was sent or waits.

    Anything else that was decided about the visitor is decided again about the known user, at the own turn. A user who
    was first seen after the start still has no turn, but the mark says that the person has got the message.

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
        if other.state not in ("deferred", "sent"):
            continue
        if mark is None:
            found.append(msgspec.structs.replace(other, is_new=False))
        else:
            further = max(mark, other, key=lambda one: _RANK.index(one.state))
            conversions = max(mark.conversions, other.conversions)
            joined = msgspec.structs.replace(further, conversions=conversions, is_new=mark.has_no_turn)
            found[found.index(mark)] = joined
    return found


def trimmed_marks(marks: Iterable[CampaignMark], needed: Container[str]) -> list[CampaignMark]:
    """Return the marks without the oldest above the maximum; marks of needed starts and waiting messages stay.

    Examples
    --------
    >>> marks = [CampaignMark(str(number), "out", 1) for number in range(34)]
    >>> [one.order for one in trimmed_marks(marks, {"0"})][:2]
    ['0', '3']
    """
    found = list(marks)
    excess = [one for one in found if one.order not in needed and one.state != "deferred"]
    forgotten = {one.order for one in excess[: max(0, len(found) - MAX_MARKS)]}
    return [one for one in found if one.order not in forgotten]
