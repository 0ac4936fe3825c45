"""The parameter ``k``: how many items somebody wants to be recommended."""

from __future__ import annotations

MAX_RECOMMENDATIONS = 100
DEFAULT = "10"
ALLOWED = f"1 to {MAX_RECOMMENDATIONS}"


def recommendations_wanted(asked: str) -> int | None:
    """Read ``k``; ``None`` where it is not allowed.

    Examples
    --------
    >>> recommendations_wanted("10"), recommendations_wanted("0"), recommendations_wanted("²")
    (10, None, None)
    """
    if not (asked.isascii() and asked.isdigit() and len(asked) <= len(str(MAX_RECOMMENDATIONS))):
        return None
    return int(asked) if 1 <= int(asked) <= MAX_RECOMMENDATIONS else None
