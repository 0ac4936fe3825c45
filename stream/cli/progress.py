"""A progress bar for commands that feed or read a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ShowProgress(Protocol):
    """Function that moves a progress bar."""

    def __call__(self, done: int, at: int, events: int | None = None) -> None:
        """Show progress.

        Parameters
        ----------
        done
            How much is done, in the unit of the bar's total.
        at
            Time of the log, milliseconds.
        events
            Number of events written, if that is another number than ``done``.
        """


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[ShowProgress]:
    """Show a bar with rate and remaining time on standard error, if that is a terminal.

    Yields
    ------
    ShowProgress
        Function to call with the progress.
    """
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
        task = progress.add_task(description, total=total, rate="-", day="")

        def show(done: int, at: int, events: int | None = None) -> None:
            elapsed = progress.tasks[0].elapsed or 0.0
            rate = f"{(done if events is None else events) / elapsed:,.0f}" if elapsed > 0 else "-"
            day = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")
            progress.update(task, completed=done, rate=rate, day=day)

        yield show
