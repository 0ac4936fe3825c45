"""``perennial broker``: the embedded broker until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import Config, print_error, print_line
from stream.installation.embedded_broker import EmbeddedBroker
from stream.processes.child import exit_reason
from stream.processes.stop import stop_requested
from stream.settings.loading import load


def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 9092,
    folder: Annotated[Path | None, typer.Option(help="Folder for its log file; by default the data folder.")] = None,
    config: Config = None,
) -> None:
    """Run the embedded broker until Ctrl-C and print its address.

    It keeps everything in memory. Its records are lost when it stops.
    """
    logs = load(config).folder if folder is None else folder
    with stop_requested() as stop, EmbeddedBroker(port or None, logs) as running:
        print_line(running.address)
        while not stop.wait(0.2):
            code = running.poll()
            if code is not None:
                print_error(f"the embedded broker ended ({exit_reason(code)}); its log: {running.log}")
                raise typer.Exit(1)
