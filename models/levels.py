"""The format levels of a log: in which form the fold writes state, and which one this code can read.

A log has one level, which a control record ``use level@N`` raises. Code reads the levels :data:`OLDEST` to
:data:`NEWEST`, and writes in the level that is in use at its place in the log. So workers of two neighbouring releases
can fold one log in turn, until a person raises the level.
"""

from __future__ import annotations

from models.errors import PerennialError

LEVEL = "level"
"""Name of the ``use`` records that raise the level."""
FIRST = 1
"""Level of a log that does not state its level, because code without levels created it."""
OLDEST, NEWEST = 1, 2
"""Lowest and highest level that this code reads and writes."""
SCHEMA_OF_LEVEL = {1: 4, 2: 5}
"""Schema of the stored users (:mod:`models.profile.codec`), by level."""


class UnknownLevel(PerennialError):
    """A log or its state has a level that this code does not know: stop, and start another release.

    Parameters
    ----------
    place
        Where the level was found, such as ``events-3 at offset 17``.
    level
        The level.
    """

    def __init__(self, place: str, level: int) -> None:
        self.place = place
        self.level = level
        release = "a newer release" if level > NEWEST else "the release between that level and this code"
        super().__init__(
            f"{place}: found format level {level}; allowed: {OLDEST} to {NEWEST}, the levels that this code knows. "
            f"Nothing was committed. Start {release} of Perennial here; `perennial upgrade status` lists the workers"
        )


def require_known(place: str, level: int) -> None:
    """Check that this code can read and write a level.

    Raises
    ------
    UnknownLevel
        It cannot.

    Examples
    --------
    >>> require_known("events-3 at offset 17", NEWEST)
    """
    if not OLDEST <= level <= NEWEST:
        raise UnknownLevel(place, level)
