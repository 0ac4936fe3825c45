"""Options that the commands of ``perennial import`` have in common, and the reading of a file by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress

from models.errors import PerennialError
from models.imports.cells import zone_named
from models.imports.columns import ColumnUses, Content, columns_of, require, stated_uses
from models.imports.tables import DELIMITERS, BadTable, Table
from stream.imports.files import lines_of

File = Annotated[Path, typer.Argument(help="A table in text: a header, then one line for each person (CSV).")]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="USE=COLUMN,...",
        help="Uses of columns: user=Customer_ID,email=E-Mail,age:number=Age.",
    ),
]
Encoding = Annotated[
    Literal["utf-8", "utf-16", "latin-1"] | None,
    typer.Option(help="Encoding of the file; by default UTF-8, or what its byte order mark says."),
]
Delimiter = Annotated[
    Literal["comma", "semicolon", "tab"] | None,
    typer.Option(help="What separates the values; by default what the header has most often."),
]
Zone = Annotated[
    str | None, typer.Option("--timezone", metavar="ZONE", help="Zone of times that name none, such as Europe/Berlin.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Write; without --yes the command only shows what it would do.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Import the other lines even if some lines are refused.")]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who imports; by default the user of this machine.")]


class CannotImport(PerennialError):
    """An import that cannot be carried out: do what the message says."""


class TableForm(NamedTuple):
    """The form in which a file is written, as far as a person has stated it.

    Attributes
    ----------
    file
        The file.
    encoding, delimiter
        Its encoding, and the name of what separates the values.
    """

    file: Path
    encoding: str | None
    delimiter: str | None


@contextmanager
def opened_table(form: TableForm) -> Iterator[Table]:
    """Open a file as a table, with a progress bar on standard error while it is read.

    Raises
    ------
    BadTable
        The file cannot be read; the message begins with its name.
    """
    delimiter = next((sign for sign, name in DELIMITERS.items() if name == form.delimiter), None)
    total = form.file.stat().st_size if form.file.exists() else 0
    with progress("reading", total) as show:
        try:
            with closing(lines_of(form.file, form.encoding, show)) as lines:
                yield Table(lines, delimiter)
        except BadTable as error:
            text = str(error)
            raise BadTable(text if text.startswith(str(form.file)) else f"{form.file}: {text}") from error


def columns_in(content: Content, table: Table, written: list[str] | None, *, rest: bool = False) -> ColumnUses:
    """Return what the columns of a table are used for; refuse a table without the needed ones."""
    columns = columns_of(content, table.header, stated_uses(written or ()), rest=rest)
    require(content, columns, table.header)
    return columns


def zone_of(name: str | None) -> tzinfo | None:
    """Return the zone of a name.

    Raises
    ------
    CannotImport
        There is no such zone.
    """
    if name is None:
        return None
    found = zone_named(name)
    if found is None:
        raise CannotImport(f"--timezone: found {name!r}; allowed: a zone such as Europe/Berlin, UTC or UTC+02:00")
    return found


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, if that is a terminal; yield the function that moves it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)
