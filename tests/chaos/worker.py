"""``python -m tests.chaos.worker ...``: the unchanged ``perennial ...``, with faults at named points.

The environment says which: ``CHAOS_FAULTS`` (see ``faults.parse``), ``CHAOS_JOURNAL`` (a file), ``CHAOS_SABOTAGE``.
"""

from __future__ import annotations

import os
from pathlib import Path

from stream.cli import main
from tests.chaos.faults import SABOTAGES, Points, break_promise, install, parse


def begin() -> None:
    """Put the faults in place, then be the program itself."""
    for sabotage in SABOTAGES:
        if os.environ.get("CHAOS_SABOTAGE") == sabotage:
            break_promise(sabotage)
    install(Points(parse(os.environ.get("CHAOS_FAULTS", "")), Path(os.environ["CHAOS_JOURNAL"])))
    main()


if __name__ == "__main__":
    begin()
