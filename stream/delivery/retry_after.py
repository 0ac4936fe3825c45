"""The header ``Retry-After`` of HTTP (RFC 9110, section 10.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After``; ``None`` without a valid one. A date is compared with the answer's date.

    Examples
    --------
    >>> retry_after({"Retry-After": "7"}), retry_after({"Retry-After": "soon"}), retry_after({})
    (7.0, None, None)
    """
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until, since = http_date(value), http_date(headers.get("Date", ""))
    return None if until is None or since is None else max((until - since).total_seconds(), 0.0)


def http_date(text: str) -> datetime | None:
    """Read a date with its zone; ``None`` if the text is none.

    Examples
    --------
    >>> http_date("Wed, 21 Oct 2026 07:28:00 GMT").isoformat(), http_date("never")
    ('2026-10-21T07:28:00+00:00', None)
    """
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else None
