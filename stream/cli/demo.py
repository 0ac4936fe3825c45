"""``perennial demo``: watch a simulated shop run through everything."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stream.cli.output import Json, debugging, invoked, print_error, print_json, print_line

if TYPE_CHECKING:
    from pathlib import Path

    from stream.demo.tally import Tally


SHOPPERS, DAYS = 1540, 86
"""By default: more than six horizons of churn, and more than 100,000 events with any seed."""
PARTS: Final = ("worker", "retrainer")
"""Beside the broker and the simulator."""


def demo(
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.")] = 1,
    shoppers: Annotated[int, typer.Option(min=50, max=20_000, help="How many people.")] = SHOPPERS,
    days: Annotated[int, typer.Option(min=60, max=730, help="How long, simulated.")] = DAYS,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Run broker, workers, retrainer and a simulated shop, and show what comes of it.

    About a minute. Every figure is counted from the topics. Everything that was started is stopped at the end.
    """
    import signal
    import time
    from contextlib import ExitStack
    from pathlib import Path

    from rich.console import Console
    from rich.live import Live

    from stream.cli.interruptible import run
    from stream.cli.replay import folder_of_its_own
    from stream.cli.simulate import START
    from stream.demo.screen import closing, live
    from stream.demo.session import Session, settings_file
    from stream.demo.summary import unmeasured
    from stream.installation.ports import free_port
    from stream.installation.running import StartOptions, own_ports, running
    from stream.processes.stop import stop_requested
    from stream.settings.loading import load

    # SIGTERM ends it like Ctrl-C: everything that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    start = _milliseconds(START)
    console = Console(stderr=json)
    again = ["--seed", str(seed)]
    again += [] if shoppers == SHOPPERS else ["--shoppers", str(shoppers)]
    again += [] if days == DAYS else ["--days", str(days)]
    with ExitStack() as stack:
        folder = stack.enter_context(folder_of_its_own("demo"))
        port = free_port()
        file = settings_file(Path(folder), port, own_ports())
        installation = stack.enter_context(
            running(load(file), PARTS, StartOptions(clock="feeder", broker_port=port, keeps_logs=debugging()))
        )
        with Live(console=console, auto_refresh=False, transient=True) as screen:

            def show(tally: Tally, stage: str) -> None:
                if console.is_terminal:
                    seconds = time.monotonic() - began
                    screen.update(live(tally, stage=stage, start=start, days=days, elapsed=seconds), refresh=True)

            session = Session(installation, seed=seed, shoppers=shoppers, days=days, show=show)
            summary = run(session.run(began, lambda tally: commands(tally, file, keep=keep, again=again)))
        if json:
            print_json(summary)
        else:
            console.print(closing(summary))
            print_line("go on with:" if keep else "everything is stopped now; leave it running and look around with:")
            for command in summary.commands:
                print_line(f"  {command}")
        for what in unmeasured(summary):
            print_error(what)
        if keep:
            print_error("running until Ctrl-C")
            with stop_requested(installation.supervisor.over) as stop:
                stop.wait()
    if unmeasured(summary):
        raise typer.Exit(1)


def commands(tally: Tally, file: Path, *, keep: bool, again: list[str]) -> list[str]:
    """Three commands with ids of this run; they need it to be still there, so else the one that leaves it there."""
    if not keep:
        return [f"{invoked()} {shlex.join(['demo', *again, '--keep'])}"]
    addressed = tally.newest[-1].user if tally.newest else min(tally.users).decode()
    asked = (("user", addressed), ("recommend", addressed), ("preview", "win_back", "--user", addressed))
    return [f"{invoked()} {shlex.join([*words, '-c', str(file)])}" for words in asked]


def _milliseconds(day: str) -> int:
    from datetime import UTC, datetime

    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
