"""Parameters of a comparison with peers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from tests.benchmarks.load_choice import Workload

SIDES = ("perennial", "aiokafka", "bytewax", "pathway", "quix", "faust")
"""Names of all systems, in the order of the tables."""
MAX_REASON = 120
"""Maximum number of characters of a reason in a table."""


@dataclass(frozen=True)
class Comparison:
    """Parameters of a measurement of several systems on the same topic.

    Attributes
    ----------
    events
        Number of events in the topic.
    runs
        Number of runs of each system.
    sides
        Names of the systems.
    partitions
        Number of partitions of the topic.
    seed
        Seed of the load.
    load
        Name of the load.
    """

    events: int
    runs: int
    sides: tuple[str, ...]
    partitions: int
    seed: int
    load: Workload = Workload.VISITS


def skipped(absent: Mapping[str, str], columns: int) -> list[tuple[str, ...]]:
    """Return the rows of the systems without a figure; each names the first line of the reason.

    Examples
    --------
    >>> skipped({"quix": "no figure for the job 'engine', exit code 1\\nTraceback ..."}, columns=3)
    [('quix', "skipped: no figure for the job 'engine', exit code 1", '')]
    """
    first_lines = {side: reason.partition("\n")[0].replace("|", "/") for side, reason in absent.items()}
    return [
        (side, f"skipped: {textwrap.shorten(line, MAX_REASON, placeholder=' ...')}", *[""] * (columns - 2))
        for side, line in first_lines.items()
    ]
