"""``perennial replay``: recorded events into a log whose clock goes with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from stream.cli.output import Config, Json, debugging, print_error, print_json, print_line


class Moved(Protocol):
    """Told how far something is."""

    def __call__(self, done: int, at: int, events: int | None = None) -> None:
        """So much is done, and the log's time is ``at``, milliseconds."""


if TYPE_CHECKING:
    from stream.feed.recording import Recording
    from stream.feed.replaying import Replayed
    from stream.settings import Settings


def replay(
    path: Annotated[Path, typer.Argument(help="Online Retail (.csv, .csv.gz) or wire events (.jsonl, .jsonl.gz).")],
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start broker and worker for it, and reconcile at the end.")
    ] = False,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times real time; as fast as it is folded by default.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Feed recorded events and their clock into an empty log, never more than a day ahead of the slowest fold.

    Nothing of a replay reaches a real provider. A log with live events is refused, and
    one that was fed before.
    """
    from stream.feed.recording import CannotReplay, survey
    from stream.recognition import opened

    recording = survey(path)
    if not recording.lines:
        raise CannotReplay(f"{path} holds no records")
    if embedded:
        _embedded(config, recording, speed, json=json)
    else:
        _into(opened(config), recording, speed, json=json)


def _into(settings: Settings, recording: Recording, speed: float | None, *, json: bool) -> None:
    from stream.cli.interruptible import run
    from stream.feed.replaying import replay as feed
    from stream.topics import require_topics

    require_topics(settings.connection(), settings.partitions)
    with progress_bar("replay", recording.lines) as moved:
        done = run(feed(settings, recording, speed=speed, on_progress=moved))
    if json:
        print_json(done._asdict())
    else:
        print_line(f"{done.lines:,} lines: {done.fed:,} events, {done.rejected:,} rejected, in {done.seconds:.1f} s")
    _judge(done)


def _judge(done: Replayed) -> None:
    """Say what was wrong with the first line that was rejected; a file of which nothing was taken is a mistake."""
    if done.first_rejected:
        print_error(f"{done.rejected:,} of {done.lines:,} lines were rejected; the first, {done.first_rejected}")
    if not done.fed:
        raise typer.Exit(2)


def _embedded(config: Path | None, recording: Recording, speed: float | None, *, json: bool) -> None:
    from stream.cli.interruptible import run
    from stream.feed.reconciliation import reconcile
    from stream.feed.replaying import replay as feed
    from stream.installation import await_folding, own_ports, running
    from stream.settings import load

    with folder_of_its_own("replay") as folder:
        # Whatever else the settings say: an installation of its own, which ends with this command.
        flags = {**own_ports(), "folder": folder, "kafka.servers": "127.0.0.1:0", "kafka.embedded": True}
        settings = load(config, flags)
        with running(settings, ("worker",), clock="feeder", lasting=debugging()) as installation:
            await_folding(installation)
            settings = installation.settings
            with progress_bar("replay", recording.lines) as moved:
                done = run(feed(settings, recording, speed=speed, on_progress=moved))
            found = run(reconcile(settings.connection(), settings.partitions, recording.lines))
    by_currency = {currency: float(amount) for currency, amount in found.revenue.items()}
    report = {
        "lines": found.lines,
        "folded": found.folded,
        "rejected": found.rejected,
        "customers": found.customers,
        "revenue": next(iter(by_currency.values())) if len(by_currency) == 1 else by_currency,
        "first_rejected": done.first_rejected or None,
        "seconds": round(done.seconds, 3),
        "complete": found.is_complete,
    }
    if json:
        print_json(report)
    else:
        revenue = ", ".join(f"{amount:,} {currency}" for currency, amount in found.revenue.items()) or "0"
        print_line(f"lines      {found.lines:>12,}   of the file")
        print_line(f"folded     {found.folded:>12,}   events counted in profiles")
        print_line(f"rejected   {found.rejected:>12,}   dead letters")
        print_line(f"customers  {found.customers:>12,}   known by an id")
        print_line(f"revenue    {revenue:>12}   paid less paid back")
        rate = done.lines / done.seconds if done.seconds else 0.0
        print_line(f"{done.seconds:.1f} s, {rate:,.0f} lines/s; " + ("complete" if found.is_complete else "INCOMPLETE"))
    if not found.is_complete:
        raise typer.Exit(1)
    _judge(done)


@contextmanager
def folder_of_its_own(what: str) -> Iterator[str]:
    """Make a temporary folder; ``PERENNIAL_DEBUG=1`` keeps it where something goes wrong, for the logs in it."""
    from shutil import rmtree
    from tempfile import mkdtemp

    folder = mkdtemp(prefix=f"perennial-{what}-")
    try:
        yield folder
    except BaseException as error:
        if not debugging() or isinstance(error, typer.Abort | KeyboardInterrupt):
            rmtree(folder, ignore_errors=True)
        raise
    rmtree(folder, ignore_errors=True)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Moved]:
    """Show a bar with rate and remaining time on standard error, where that is a terminal.

    Yields
    ------
    callable
        To be told how much is done, the time in the log (milliseconds), and the events written, where that is another
        number.
    """
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} events/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[day]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, rate="-", day="")

        def moved(done: int, at: int, events: int | None = None) -> None:
            elapsed = progress.tasks[0].elapsed or 0.0
            rate = f"{(done if events is None else events) / elapsed:,.0f}" if elapsed > 0 else "-"
            day = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")
            progress.update(task, completed=done, rate=rate, day=day)

        yield moved
