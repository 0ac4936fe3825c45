"""``perennial broker``: the embedded broker until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import print_error, print_line


def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 takes a free one.")] = 9092,
    folder: Annotated[Path, typer.Option(help="Where its log is kept.")] = Path(".perennial"),
) -> None:
    """Run the embedded broker until Ctrl-C and print its address.

    It keeps everything in memory: what it knows is gone when it stops.
    """
    from stream.broker import EmbeddedBroker
    from stream.child import exit_reason
    from stream.stop import stop_requested

    with stop_requested() as stop, EmbeddedBroker(port or None, folder) as running:
        print_line(running.address)
        while not stop.wait(0.2):
            code = running.poll()
            if code is not None:
                print_error(f"the embedded broker ended ({exit_reason(code)}); its log: {running.log}")
                raise typer.Exit(1)
