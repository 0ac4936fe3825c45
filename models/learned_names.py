"""Names that learned segments may have. They are known before anything is learned, so no segment by rule takes one."""

from __future__ import annotations

import re

LEARNED_NAMES: tuple[str, ...] = (
    "frequent big spenders",
    "loyal regulars",
    "window shoppers",
    "new visitors",
    "recent buyers",
    "occasional buyers",
    "lapsing regulars",
    "lapsing browsers",
    "dormant",
)
"""Names of learned segments. If there are more segments than names, the names are used again with a number."""

_LEARNED = re.compile(rf"({'|'.join(LEARNED_NAMES)})( ([2-9]|[1-9][0-9]+))?")


def may_be_learned(name: str) -> bool:
    """Return whether a learned segment may have this name.

    Examples
    --------
    >>> may_be_learned("dormant"), may_be_learned("dormant 2"), may_be_learned("dormant_2")
    (True, True, False)
    """
    return _LEARNED.fullmatch(name) is not None
