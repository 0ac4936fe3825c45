"""``perennial init``: a commented settings file with its templates, to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.cli.output import Json, print_json, print_line


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made where it is not there.")] = Path(),
    preset: Annotated[Literal["shop", "saas"], typer.Option(help="What to begin with.")] = "shop",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    json: Json = False,
) -> None:
    """Write a commented perennial.yaml with example rules and their templates."""
    from stream.presets import write

    written = write(preset, folder, replace=force)
    if json:
        print_json({"written": written})
        return
    for path in written:
        print_line(f"wrote {path}")
    print_line("next: perennial check, then perennial up")
