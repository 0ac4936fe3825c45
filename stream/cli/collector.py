"""``perennial collector``: the HTTP door until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.cli.output import Config, print_line
from stream.collector.server import run
from stream.installation.recognition import opened
from stream.processes.logs import set_up_logging


def collector(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Host to listen on; by default http.host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on (0: a free one); by default http.port.")
    ] = None,
) -> None:
    """Run the HTTP door, which accepts events, until Ctrl-C, and print its address.

    Its addresses are /v1/track, /v1/identify, /v1/page, /v1/screen, /v1/group,
    /v1/alias and /v1/batch. An event has the form of the Segment spec, or
    Perennial's short form. The answer is 200 once Kafka has acknowledged it.
    """
    set_up_logging()
    run(opened(config, {"http.host": host, "http.port": port}, patient=True), print_line)
