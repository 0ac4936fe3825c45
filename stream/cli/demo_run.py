"""One run of ``perennial demo``, from the start of its processes to the summary."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.live import Live

from stream.cli.interruptible import run
from stream.cli.output import debugging, invoked, print_error, print_json, print_line
from stream.cli.simulate import START
from stream.cli.temporary import temporary_folder
from stream.demo.screen import closing, live
from stream.demo.session import Session, SimulatedShop, settings_file
from stream.demo.summary import Summary, unmeasured
from stream.demo.tally import Tally
from stream.installation.ports import free_port
from stream.installation.running import Installation, StartOptions, own_ports, running
from stream.processes.stop import stop_requested
from stream.settings.loading import load

PARTS: Final = ("worker", "retrainer")
"""Processes that run in addition to the broker and the simulator."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of ``perennial demo``.

    Attributes
    ----------
    seed, shoppers, days, logins
        The simulated shop.
    keeps_running
        Whether the processes run on after the summary, until Ctrl-C.
    prints_json
        Whether the summary is JSON.
    again
        Arguments that run the same demo again.
    """

    seed: int
    shoppers: int
    days: int
    logins: float
    keeps_running: bool
    prints_json: bool
    again: Sequence[str]


def run_demo(options: DemoOptions) -> None:
    """Run the demo, print its summary, and stop everything; the exit code is 1 if something was not measured."""
    # SIGTERM ends the demo as Ctrl-C does, so that every process that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    console = Console(stderr=options.prints_json)
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("demo"))
        port = free_port()
        file = settings_file(Path(folder), port, own_ports())
        start = StartOptions(clock="feeder", broker_port=port, keeps_logs=debugging())
        installation = stack.enter_context(running(load(file), PARTS, start))
        summary = _watch(installation, options, console, file, began)
        _print(summary, options, console)
        if options.keeps_running:
            print_error("running until Ctrl-C")
            with stop_requested(installation.supervisor.over) as stop:
                stop.wait()
    if unmeasured(summary):
        raise typer.Exit(1)


def _watch(installation: Installation, options: DemoOptions, console: Console, file: Path, began: float) -> Summary:
    start = _milliseconds(START)
    with Live(console=console, auto_refresh=False, transient=True) as screen:

        def show(tally: Tally, stage: str) -> None:
            if console.is_terminal:
                seconds = time.monotonic() - began
                screen.update(live(tally, stage=stage, start=start, days=options.days, elapsed=seconds), refresh=True)

        shop = SimulatedShop(options.seed, options.shoppers, options.days, options.logins)
        session = Session(installation, shop, show)
        return run(session.run(began, lambda tally: commands(tally, file, options)))


def _print(summary: Summary, options: DemoOptions, console: Console) -> None:
    if options.prints_json:
        print_json(summary)
    else:
        console.print(closing(summary))
        stopped = "everything is stopped; to look around next time, leave it running with:"
        print_line("look around with:" if options.keeps_running else stopped)
        for command in summary.commands:
            print_line(f"  {command}")
    for missing in unmeasured(summary):
        print_error(missing)


def commands(tally: Tally, file: Path, options: DemoOptions) -> list[str]:
    """Return three commands that show a user of this run.

    If everything is stopped at the end, return the command that leaves it running instead.
    """
    if not options.keeps_running:
        return [f"{invoked()} {shlex.join(['demo', *options.again, '--keep'])}"]
    addressed = tally.newest[-1].user if tally.newest else min(tally.users).decode()
    asked = (("user", addressed), ("recommend", addressed), ("preview", "win_back", "--user", addressed))
    return [f"{invoked()} {shlex.join([*words, '-c', str(file)])}" for words in asked]


def _milliseconds(day: str) -> int:
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
