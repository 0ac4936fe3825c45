"""The users of campaigns, counted by partition: who was judged, what was decided, and who has converted.

A partition keeps one small record for each start, which is written only when it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from models.batch import Restored
from models.engage.attribution import ValueMove
from models.engage.campaigns.moves import CampaignMove
from models.fold.goal_money import add_value
from models.fold.stored_counts import StoredCounts, joined

KEY = b"\x00campaign:"
"""Beginning of the keys in ``profiles`` under which the counts are stored; then the id of the start."""


class CampaignCounts(msgspec.Struct, array_like=True, gc=False):
    """The users of one start in one partition.

    Attributes
    ----------
    judged, audience
        Number of users whose audience was decided, and of those in it.
    held_out
        Number of users in the control group.
    sent
        Number of messages that were handed to delivery.
    waiting
        Number of messages that wait, such as for the end of quiet hours.
    dropped
        Number of messages that were dropped, by reason.
    left
        Number of users of the audience whose profile moved to another one before their turn.
    converted, converted_held_out
        Number of conversions, and of those in the control group.
    revenue, revenue_held_out
        Money of the conversions of the treatment and of the control group, micros by currency.
    squares, squares_held_out
        Sum of the squares of the money of each user, in units of the currency.
    """

    judged: int = 0
    audience: int = 0
    held_out: int = 0
    sent: int = 0
    waiting: int = 0
    dropped: dict[str, int] = {}
    left: int = 0
    converted: int = 0
    converted_held_out: int = 0
    revenue: dict[str, int] = {}
    revenue_held_out: dict[str, int] = {}
    squares: dict[str, float] = {}
    squares_held_out: dict[str, float] = {}

    def move(self, one: CampaignMove) -> None:
        """Count what has happened to a user."""
        match one.kind:
            case "judged":
                self.judged += 1
            case "in_audience":
                self.audience += 1
            case "held_out":
                self.held_out += 1
            case "sent":
                self.sent += 1
            case "deferred":
                self.waiting += 1
            case "released":
                self.waiting -= 1
            case "dropped":
                self.dropped = dict(sorted({**self.dropped, one.reason: self.dropped.get(one.reason, 0) + 1}.items()))
            case "left":
                self.left += 1
            case "converted":
                self.converted += 1
                self.converted_held_out += one.is_held_out


_decode = msgspec.msgpack.Decoder(CampaignCounts).decode


class CountedCampaigns(StoredCounts[CampaignCounts]):
    """The users of all starts of campaigns in one partition, with uncommitted changes.

    Parameters
    ----------
    committed
        The committed state; it is only read.
    """

    def __init__(self, committed: Restored) -> None:
        super().__init__(committed, KEY, CampaignCounts)

    def move(self, moves: Collection[CampaignMove]) -> None:
        """Count what has happened to users."""
        for one in moves:
            self.of(one.order).move(one)
        self.mark_changed(dict.fromkeys(one.order for one in moves))

    def value(self, moves: Iterable[ValueMove]) -> None:
        """Count changes of the money of goals."""
        for one in moves:
            add_value(self.of(one.owner), one)
            self.mark_changed((one.owner,))


def read_campaign_counts(content: bytes | None) -> CampaignCounts:
    """Decode the counts of a start in one partition; ``None`` stands for none."""
    return CampaignCounts() if content is None else _decode(content)


def joined_campaign_counts(parts: Iterable[CampaignCounts]) -> CampaignCounts:
    """Return the counts of a start in several partitions together."""
    return joined(CampaignCounts, parts)


def key_of(order: str) -> bytes:
    """Return the key of the record of a start's counts."""
    return KEY + order.encode()
