"""``perennial fmt``: write the conditions of the settings file in their canonical form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import print_error, print_line
from stream.settings.loading import FILE, default_file
from stream.settings.rewriting import replace, rewritten


def fmt(
    file: Annotated[
        Path | None, typer.Argument(help="Settings file; by default PERENNIAL_CONFIG or perennial.yaml.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; the exit code is 1 if the file would change.")
    ] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print the canonical form instead of writing it.")] = False,
) -> None:
    """Write the conditions of segments and lifecycle in their canonical form.

    Their meaning stays, and so do comments and everything outside of these
    two sections.
    """
    if check and stdout:
        raise typer.BadParameter("--check or --stdout, not both")
    path = file or default_file() or Path(FILE)
    found = rewritten(path)
    for note in found.notes:
        print_error(f"note: {path}: {note}")
    if stdout:
        sys.stdout.buffer.write(found.content)
        sys.stdout.flush()
    elif not found.changed:
        print_line(f"{path} is in canonical form" if not found.notes else f"{path} is unchanged")
    elif check:
        print_line(f"{path} is not in canonical form: perennial fmt writes it")
        raise typer.Exit(1)
    else:
        replace(path, found.content)
        print_line(f"{path} is now in canonical form")
