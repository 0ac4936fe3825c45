"""``python -m tests.benchmarks``: the program that ``perennial bench`` starts in a checkout."""

from __future__ import annotations

import sys

from stream.cli import run
from tests.benchmarks.commands import app

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], app, "perennial bench"))
