"""``perennial demo``: watch a simulated shop run through everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.output import Json, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from stream.demo.tally import Tally


def demo(
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.")] = 1,
    shoppers: Annotated[int, typer.Option(min=50, max=20_000, help="How many people.")] = 1700,
    days: Annotated[int, typer.Option(min=60, max=730, help="How long, simulated.")] = 98,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Run broker, workers, retrainer and a simulated shop, and show what comes of it.

    About a minute. Every figure is counted from the topics. Everything that was started is stopped at the end.
    """
    import signal
    import time
    from pathlib import Path

    from rich.console import Console
    from rich.live import Live

    from stream.cli.interruptible import run
    from stream.cli.replay import folder_of_its_own
    from stream.cli.simulate import START
    from stream.demo import screen
    from stream.demo.session import Session, settings_file
    from stream.installation import await_folding, own_ports, running
    from stream.settings import load

    # SIGTERM ends it like Ctrl-C: everything that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    start = _milliseconds(START)
    console = Console(stderr=json)
    with folder_of_its_own("demo") as folder:
        ports = own_ports()
        port = _free_port()
        file = settings_file(Path(folder), port, ports)
        with console.status("starting broker, workers and retrainer ..."):
            entered = running(load(file), ("worker", "retrainer"), clock="feeder", broker_port=port)
            installation = entered.__enter__()
        try:
            with console.status("starting broker, workers and retrainer ..."):
                await_folding(installation)
            with Live(console=console, auto_refresh=False, transient=True, screen=False) as live:

                def show(tally: Tally, stage: str) -> None:
                    if console.is_terminal:
                        elapsed = time.monotonic() - began
                        live.update(
                            screen.live(tally, stage=stage, start=start, days=days, elapsed=elapsed), refresh=True
                        )

                session = Session(installation, seed=seed, shoppers=shoppers, days=days, show=show)
                summary = run(session.run(began, lambda tally: _commands(tally, file, seed, keep=keep)))
            if json:
                print_json(summary)
            else:
                console.print(screen.closing(summary))
            if keep:
                console.print("running until Ctrl-C")
                _until_interrupted()
        finally:
            entered.__exit__(None, None, None)


def _commands(tally: Tally, file: Path, seed: int, *, keep: bool) -> list[str]:
    """Three commands with ids of this run; they need it to be still there."""
    addressed = tally.newest[-1].user if tally.newest else next(iter(sorted(tally.users))).decode()
    config = f" -c {file}" if keep else ""
    again = (
        [] if keep else [f"perennial demo --seed {seed} --keep     # leaves it running; it shows these with their -c"]
    )
    return [
        *again,
        f"perennial user {addressed}{config}",
        f"perennial recommend {addressed}{config}",
        f"perennial preview win_back --user {addressed}{config}",
    ]


def _milliseconds(day: str) -> int:
    from datetime import UTC, datetime

    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _until_interrupted() -> None:
    from stream.stop import stop_requested

    with stop_requested() as stop:
        stop.wait()
