"""The steps of docs/tour.md: numbered functions with a link each."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.support.paths import ROOT

MAX_STEPS = 12
"""Maximum number of functions that the tour may name."""


class TourStep(NamedTuple):
    """One numbered line of the tour.

    Attributes
    ----------
    number
        Its number on the page.
    function
        Qualified name, for example ``Door.track``.
    path
        File that defines the function, from the root of the repository.
    """

    number: int
    function: str
    path: str

    def __str__(self) -> str:
        """Return the form that a trace uses: ``path:qualified name``."""
        return f"{self.path}:{self.function}"


PAGE = ROOT / "docs/tour.md"
STEPS = [
    TourStep(int(number), function, path)
    for number, function, path in re.findall(
        r"^(\d+)\. \[`([\w.]+)`\]\(\.\./([\w./]+\.py)\)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
]
