"""Output of commands: JSON for programs, plain lines for people, one line for an error."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from models.counting import counted
from models.fold.moments import moment
from stream.processes.error_lines import error_line

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Settings file; by default PERENNIAL_CONFIG or perennial.yaml."
    ),
]
"""Option of every command that reads settings."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
"""Option of every command that prints a report."""


def print_json(value: Any) -> None:
    """Print one JSON document, in which msgspec structs, dates and paths are allowed."""
    import msgspec

    content = msgspec.json.encode(value, enc_hook=_plain)
    sys.stdout.write(msgspec.json.format(content, indent=2).decode() + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal; without a terminal, 240 columns wide."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def print_line(text: str = "") -> None:
    """Print one line to standard output and flush it, because another process may wait for it."""
    print(text, flush=True)


def short_time(moment: str | None) -> str:
    """Format a time in RFC 3339 (UTC) for people; ``-`` for ``None``.

    Examples
    --------
    >>> short_time("2026-02-03T14:05:12.250Z")
    '2026-02-03 14:05'
    """
    return "-" if moment is None else moment[:16].replace("T", " ")


def waiting_line(users: int, until: int) -> str:
    """Return how many users have not come to new conditions yet, and by which time (milliseconds) they do, in words.

    Examples
    --------
    >>> waiting_line(1, 1_767_225_600_000)
    '1 user has not come to the new conditions yet; all have by 2026-01-01 00:00'
    """
    said, have = counted(users, "user"), "has" if users == 1 else "have"
    return f"{said} {have} not come to the new conditions yet; all have by {short_time(moment(until))}"


def invoked() -> str:
    """Return the command that started this program in the user's shell, so that a suggested command can be copied."""
    called = sys.argv[0]
    if Path(called).name != "perennial":
        return shlex.join([sys.executable, "-m", "stream.cli"])
    found = shutil.which("perennial")
    return "perennial" if found is not None and Path(found).samefile(called) else shlex.quote(called)


def print_error(message: str) -> None:
    """Print an error as one line to standard error."""
    print(error_line(message), file=sys.stderr, flush=True)


def debugging() -> bool:
    """Return whether ``PERENNIAL_DEBUG=1`` asks for tracebacks."""
    return os.environ.get("PERENNIAL_DEBUG", "") not in ("", "0")


def guarded(act: Callable[[], int]) -> int:
    """Run a command and turn an error into one line and an exit code.

    Returns
    -------
    int
        0; 2 for a mistake of the user; 69 if Kafka does not answer; 1 for an unexpected error, or if the reader of the
        output has ended.
    """
    from models.errors import PerennialError
    from stream.cluster.errors import BrokerUnavailable
    from stream.processes.exits import MISTAKE, UNAVAILABLE

    try:
        return act()
    except PerennialError as error:
        if debugging():
            raise
        print_error(str(error))
        return UNAVAILABLE if isinstance(error, BrokerUnavailable) else MISTAKE
    except BrokenPipeError:
        # `perennial ... | head` has closed the pipe. The interpreter flushes its output when it ends, so the
        # output is redirected to /dev/null.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debugging():
            raise
        print_error(f"{type(error).__name__}: {error} (PERENNIAL_DEBUG=1 shows where)")
        return 1
