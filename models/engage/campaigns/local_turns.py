"""The time at which a user gets the message of a campaign that begins at a local time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from models.conditions.periods import instant
from models.configuration.campaigns.definition import CampaignTime
from models.units import DAY

MAX_LOCAL_WAIT_MS = 2 * DAY + 2 * DAY // 24
"""Maximum time between the begin of a campaign and a user's local time, milliseconds: 26 hours, and a day later."""


def local_begin(at: CampaignTime, zone: tzinfo, ordered: int) -> int | None:
    """Return the instant of the local time in a zone, milliseconds; ``None`` if the user gets no message.

    A time that the change of clocks skips is the first instant after the gap. Of a time that comes twice, the first one
    counts.

    Parameters
    ----------
    at
        The local time.
    zone
        The user's zone.
    ordered
        Time of the start, milliseconds. If the local time was before, ``if_past`` decides.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> nine = CampaignTime(9 * 3_600_000, "next_day", is_local=True)
    >>> tokyo, hour = ZoneInfo("Asia/Tokyo"), 3_600_000
    >>> [local_begin(nine, tokyo, ordered) for ordered in (-hour, 0, hour)] == [0, 0, 24 * hour]
    True
    """
    local = datetime.fromtimestamp(at.time // 1000, UTC).replace(tzinfo=None)
    found = instant(local, zone)
    if found >= ordered:
        return found
    if at.if_past == "now":
        return ordered
    if at.if_past == "drop":
        return None
    local += timedelta(days=max((ordered - found) // DAY - 1, 0))
    while found < ordered:
        local += timedelta(days=1)
        found = instant(local, zone)
    return found
