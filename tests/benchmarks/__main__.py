"""``python -m tests.benchmarks``: the same as ``perennial bench``, which is this."""

from __future__ import annotations

from tests.benchmarks.commands import app

if __name__ == "__main__":
    app(prog_name="perennial bench")
