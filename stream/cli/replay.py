"""``perennial replay``: recorded events into a log whose clock goes with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from stream.cli.output import Config, Json, debugging


class Moved(Protocol):
    """Told how far something is."""

    def __call__(self, done: int, at: int, events: int | None = None) -> None:
        """So much is done, and the log's time is ``at``, milliseconds."""


if TYPE_CHECKING:
    from stream.feed.reconciliation import Reconciliation
    from stream.feed.recording import Recording
    from stream.settings.loading import Settings


def replay(
    path: Annotated[Path, typer.Argument(help="Online Retail (.csv, .csv.gz) or wire events (.jsonl, .jsonl.gz).")],
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start broker and worker for it, and reconcile at the end.")
    ] = False,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times real time; as fast as it is folded by default.")
    ] = None,
    rejected: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write each line that was refused, as a line of JSON.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Feed recorded events and their clock into an empty log, never more than a day ahead of the slowest fold.

    Nothing of a replay reaches a real provider. A log with live events is refused, and one that was fed before.

    At the end every line is accounted for: it counts in a profile, it repeats an event or an order that has counted, or
    it was refused, with its reason. Exit codes: 0 every line counts or is a repeat; 1 lines are missing; 2 nothing was
    taken, or a mistake in the call; 3 some lines were refused, and nothing is missing.
    """
    from stream.cli.replayed import say
    from stream.feed.recording import CannotReplay, survey
    from stream.installation.recognition import opened

    recording = survey(path)
    if not recording.lines:
        raise CannotReplay(f"{path} holds no records")
    if rejected is not None:
        _require_writable(rejected)
    found, seconds = _embedded(config, recording, speed) if embedded else _into(opened(config), recording, speed)
    say(found, seconds, json=json, rejected=rejected)


def _require_writable(file: Path) -> None:
    """Refuse a file that cannot be written, before the replay: afterwards its report would be lost."""
    from stream.feed.recording import CannotReplay

    try:
        file.open("wb").close()
    except OSError as error:
        raise CannotReplay(f"--rejected {file} cannot be written: {error.strerror or error}") from error


def _into(settings: Settings, recording: Recording, speed: float | None) -> tuple[Reconciliation, float]:
    from stream.cluster.topics import require_topics

    require_topics(settings.connection(), settings.partitions)
    return _fed(settings, recording, speed)


def _fed(settings: Settings, recording: Recording, speed: float | None) -> tuple[Reconciliation, float]:
    """Feed a log that a worker folds, and count what came of it."""
    from stream.cli.interruptible import run
    from stream.feed.reconciliation import reconcile
    from stream.feed.replaying import replay as feed

    with progress_bar("replay", recording.lines) as moved:
        done = run(feed(settings, recording, speed=speed, on_progress=moved))
    return run(reconcile(settings.connection(), settings.partitions, recording, done)), done.seconds


def _embedded(config: Path | None, recording: Recording, speed: float | None) -> tuple[Reconciliation, float]:
    from stream.installation.running import StartOptions, await_folding, own_ports, running
    from stream.settings.loading import load

    with folder_of_its_own("replay") as folder:
        # Whatever else the settings say: an installation of its own, which ends with this command.
        flags = {**own_ports(), "folder": folder, "kafka.servers": "127.0.0.1:0", "kafka.embedded": True}
        settings = load(config, flags)
        with running(settings, ("worker",), StartOptions(clock="feeder", keeps_logs=debugging())) as installation:
            await_folding(installation)
            return _fed(installation.settings, recording, speed)


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
