"""Times for people and other systems."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: int) -> str | None:
    """Format milliseconds since the epoch as RFC 3339 in UTC; ``None`` for 0, which means never.

    Examples
    --------
    >>> moment(1_700_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    if not at:
        return None
    return (
        datetime.fromtimestamp(at / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace(".000", "")
        .replace("+00:00", "Z")
    )
