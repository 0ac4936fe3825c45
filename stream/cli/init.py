"""``perennial init``: a commented settings file with its templates, for a new installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.cli.output import Json, print_json, print_line
from stream.presets import write


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; created if it does not exist.")] = Path(),
    preset: Annotated[
        Literal["shop", "saas"], typer.Option(help="Kind of company: an online shop, or software as a service.")
    ] = "shop",
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    json: Json = False,
) -> None:
    """Write a commented perennial.yaml with example rules and their templates."""
    written = write(preset, folder, replace=force)
    if json:
        print_json({"written": written})
        return
    for path in written:
        print_line(f"wrote {path}")
    print_line("next: perennial check, then perennial up")
