"""``python -m tests.chaos.worker ...``: the unchanged ``perennial ...``, with faults at named points.

The environment controls it: ``CHAOS_FAULTS`` (see ``faults.parse``), ``CHAOS_JOURNAL`` (a file; the process writes its
notes next to this file, see ``lives``), ``CHAOS_SABOTAGE``.
"""

from __future__ import annotations

import os
from pathlib import Path

from stream.cli import main
from tests.chaos.faults import SABOTAGES, Points, break_promise, install, parse
from tests.chaos.lives import keep_notes


def begin() -> None:
    """Install the faults, then run the program itself."""
    for sabotage in SABOTAGES:
        if os.environ.get("CHAOS_SABOTAGE") == sabotage:
            break_promise(sabotage)
    journal = Path(os.environ["CHAOS_JOURNAL"])
    keep_notes(journal.with_name("notes"))
    install(Points(parse(os.environ.get("CHAOS_FAULTS", "")), journal))
    main()


if __name__ == "__main__":
    begin()
