"""``perennial bench``: run the benchmarks of a checkout. The wheel contains no benchmarks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

app = typer.Typer(add_completion=False)


def checkout(package: Path = Path(__file__).parents[1]) -> Path | None:
    """Return the root of the checkout that a package belongs to; ``None`` for an installed package.

    Parameters
    ----------
    package
        Folder of the package ``stream``; by default the package of this module.
    """
    root = package.resolve().parent
    return root if (root / "tests" / "benchmarks" / "__main__.py").is_file() else None


# Every word after `bench` goes to the checkout's own program, which also answers --help.
@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(ctx: typer.Context) -> None:
    """Run the benchmarks of Perennial, and of comparable tools, on this machine."""
    root = checkout()
    assert root is not None, "the command is shown only in a checkout"
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", "tests.benchmarks", *ctx.args]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})  # noqa: S606 - no shell is needed
