"""The parameter ``k`` of a request for recommendations: the number of items."""

from __future__ import annotations

MAX_RECOMMENDATIONS = 100
"""Maximum number of items of one answer."""
DEFAULT = "10"
"""Value of ``k`` in a request without it."""
ALLOWED = f"1 to {MAX_RECOMMENDATIONS}"
"""The allowed values of ``k``, for error messages."""


def recommendations_wanted(asked: str) -> int | None:
    """Read ``k``; return ``None`` if its value is not allowed.

    Examples
    --------
    >>> recommendations_wanted("10"), recommendations_wanted("0"), recommendations_wanted("²")
    (10, None, None)
    """
    if not (asked.isascii() and asked.isdigit() and len(asked) <= len(str(MAX_RECOMMENDATIONS))):
        return None
    return int(asked) if 1 <= int(asked) <= MAX_RECOMMENDATIONS else None
