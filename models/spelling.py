"""Hints at the name that may have been meant by a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(found: str, names: Iterable[str]) -> str:
    """Return a hint at the name that may have been meant; an empty text if none is close.

    Examples
    --------
    >>> did_you_mean("sevrers", ["servers", "prefix"])
    ' (did you mean servers?)'
    """
    close = difflib.get_close_matches(found, list(names), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
