"""The order by which a campaign is started, and the time at which each user of a partition gets its message.

The time of a user follows from a hash of the campaign and the user. So no user needs a timer that is stored, and the
first users are chosen at random. The times are far enough apart that other messages are not delayed.
"""

from __future__ import annotations

from datetime import tzinfo
from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

from models.conditions.writing import digest
from models.configuration.campaigns.definition import Campaign, CampaignPace
from models.configuration.compiled import Rule, campaign_rule
from models.engage.campaigns.local_turns import MAX_LOCAL_WAIT_MS, local_begin
from models.units import SECOND

USERS_PER_SECOND = 2_000
"""Number of users of a partition whose turns come in a second, on average, if the pace sets no longer time."""
TURN_MS = 100
"""Time between two instants at which turns come, milliseconds: all turns between them come together at the second."""
NEVER = 2**63 - 1
_WHOLE = 2**64

OrderStatus: TypeAlias = Literal["running", "paused", "cancelled"]

_encoder = msgspec.json.Encoder(order="sorted")
_decode = msgspec.json.Decoder(Campaign).decode


def encode_campaign(campaign: Campaign) -> bytes:
    """Return the form of a campaign in the order by which it is started."""
    return _encoder.encode(campaign)


def decode_campaign(content: bytes) -> Campaign:
    """Read what :func:`encode_campaign` has written; raise ``msgspec.DecodeError`` for something else."""
    return _decode(content)


def order_id(campaign: Campaign, number: int) -> str:
    """Return the id of a start: a hash of the campaign and the number of the start, 16 hexadecimal digits.

    A second attempt has the same id, so a partition that has followed the first one ignores it.
    """
    return blake2b(encode_campaign(campaign) + b"\0" + str(number).encode(), digest_size=8).hexdigest()


class Order(msgspec.Struct, array_like=True, frozen=True):
    """A campaign that was started, in one partition.

    Attributes
    ----------
    id
        Its id.
    campaign
        The campaign as it was at the start.
    begins
        Time from which users get the message, milliseconds.
    users
        Number of users that the partition had at the order.
    span
        Time from the first possible turn to the last turn of one of these users, milliseconds.
    ordered
        Time of the order in the partition, milliseconds.
    by
        Who has approved it; empty without an approval.
    excludes
        Ids of earlier orders; users who got their message get none by this one.
    status
        Whether it is under way or over, or was paused or cancelled.
    since
        Time of the newest pause or of the cancellation, milliseconds.
    shift
        Duration of all pauses that have ended, milliseconds.
    number
        Number of the start among those of its name.
    """

    id: str
    campaign: Campaign
    begins: int
    users: int
    span: int
    ordered: int
    by: str = ""
    excludes: tuple[str, ...] = ()
    status: OrderStatus = "running"
    since: int = 0
    shift: int = 0
    number: int = 1

    @property
    def rule(self) -> Rule:
        """The rule by which the planner decides about the message."""
        return campaign_rule(self.campaign)

    @property
    def is_judged_at_start(self) -> bool:
        """Whether the audience is that of the order."""
        return self.campaign.checked != "at_send"

    @property
    def is_judged_at_send(self) -> bool:
        """Whether a user has to be in the audience when the message is sent."""
        return self.campaign.checked != "at_start"

    @property
    def end(self) -> int:
        """Time of the last turn, milliseconds; ``NEVER`` while it is paused."""
        return NEVER if self.status == "paused" else self._begin + self.span

    @property
    def waits_until(self) -> int:
        """Time after which no message of it waits any more, milliseconds; ``NEVER`` while it is paused."""
        if self.status == "paused":
            return NEVER
        at = self.campaign.at
        return self.end + self.campaign.expires_after + (MAX_LOCAL_WAIT_MS if at is not None and at.is_local else 0)

    def is_open_at(self, at: int) -> bool:
        """Return whether users may have a turn after a time."""
        return self.status != "cancelled" and self.end > at

    @property
    def _begin(self) -> int:
        return self.begins + 1 + self.shift

    def turn_of(self, user: str) -> int:
        """Return the time of a user's turn, milliseconds, whether the order is paused or not."""
        return self._begin + offset_of(self.campaign, self.users, user)

    def local_turn_of(self, user: str, zone: tzinfo) -> int | None:
        """Return the time from which a user gets the message, milliseconds; ``None`` if its local time was over."""
        at = self.campaign.at
        if at is None or not at.is_local:
            return self.turn_of(user)
        begin = local_begin(at, zone, self.ordered)
        return None if begin is None else begin + self.turn_of(user) - self._begin

    def due_of(self, user: str) -> int:
        """Return the time of a user's turn, milliseconds; ``NEVER`` if there is none now."""
        return self.turn_of(user) if self.status == "running" else NEVER

    def has_passed(self, user: str, at: int) -> bool:
        """Return whether the turn of a user has come by a time, or can no longer come."""
        if self.status == "cancelled":
            return True
        return self.turn_of(user) <= (min(at, self.since) if self.status == "paused" else at)


def share_of(campaign: str, user: str) -> int:
    """Return the place of a user in the sequence of a campaign, as a share of 2^64."""
    return digest(f"campaign:{campaign}\0{user}".encode())


def is_held_out(campaign: Campaign, user: str) -> bool:
    """Return whether a user belongs to the control group of a campaign.

    Examples
    --------
    >>> from models.conditions.clauses import AllOf
    >>> half = Campaign("spring", AllOf(()), "spring", holdout=2**63)
    >>> 450 < sum(is_held_out(half, f"u{number}") for number in range(1000)) < 550
    True
    """
    return bool(campaign.holdout) and digest(f"holdout:{campaign.rule}\0{user}".encode()) < campaign.holdout


def span_of(pace: CampaignPace, users: int) -> int:
    """Return the time from the first turn to the last one in a partition, milliseconds."""
    return _together(_first_span(pace, users) + (pace.then_wait if pace.first else 0) + _rest_span(pace, users))


def offset_of(campaign: Campaign, users: int, user: str) -> int:
    """Return the time from the begin of a campaign to the turn of a user, milliseconds.

    Parameters
    ----------
    campaign
        The campaign.
    users
        Number of users of the partition.
    user
        Id of the user.

    Examples
    --------
    >>> from models.conditions.clauses import AllOf
    >>> canary = Campaign("spring", AllOf(()), "spring", pace=CampaignPace(3_600_000, 2**63, 60_000))
    >>> offsets = sorted(offset_of(canary, 100, f"u{number}") for number in range(100))
    >>> sum(offset <= 100 for offset in offsets), min(offset for offset in offsets if offset > 100) >= 60_000
    (54, True)
    """
    pace, share = campaign.pace, share_of(campaign.name, user)
    if share < pace.first:
        return _together(share * _first_span(pace, users) // pace.first)
    before = _first_span(pace, users) + (pace.then_wait if pace.first else 0)
    return _together(before + (share - pace.first) * _rest_span(pace, users) // (_WHOLE - pace.first))


def _first_span(pace: CampaignPace, users: int) -> int:
    return _shortest(users * pace.first >> 64)


def _rest_span(pace: CampaignPace, users: int) -> int:
    return max(pace.over, _shortest(users * (_WHOLE - pace.first) >> 64))


def _together(offset: int) -> int:
    """Return the next instant at which turns come."""
    return -(-offset // TURN_MS) * TURN_MS


def _shortest(users: int) -> int:
    return users * SECOND // USERS_PER_SECOND
