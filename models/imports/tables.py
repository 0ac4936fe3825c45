"""Tables in text: a header, and rows of as many values, separated by commas, semicolons or tabs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from models.errors import PerennialError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""Characters that may separate the values, with their names."""
MAX_VALUE = 65_536
"""Maximum length of a value, characters. A quotation mark without its end would otherwise take the whole file."""


class BadTable(PerennialError):
    """A file that cannot be read as a table: the message says where, what was found, and what is allowed."""


class TableRow(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    line
        Number of its first line in the file, from 1.
    values
        Its values, as many as the header has.
    """

    line: int
    values: Sequence[str]


class BadLine(NamedTuple):
    """A row, or a part of it, that cannot be used.

    Attributes
    ----------
    line
        Number of its first line, from 1.
    column
        Name of the column; empty for the whole row.
    found, allowed
        What was found, and what is allowed.
    reason
        The reason in one word, by which such rows are counted.
    """

    line: int
    column: str
    found: str
    allowed: str
    reason: str

    @property
    def text(self) -> str:
        """The line, the column, what was found, and what is allowed.

        Examples
        --------
        >>> BadLine(3, "Phone", "'12'", "a number with its country", "bad_phone").text
        "line 3: column 'Phone': found '12'; allowed: a number with its country"
        """
        where = f"line {self.line}: " + (f"column {self.column!r}: " if self.column else "")
        return f"{where}found {self.found}; allowed: {self.allowed}"


class Table:
    """A table; its rows can be read once.

    Parameters
    ----------
    lines
        Lines of the file with their ends, without a byte order mark.
    delimiter
        The character between two values; ``None`` for the one that the header has most often.

    Attributes
    ----------
    header
        Names of the columns.
    delimiter
        The character between two values.

    Raises
    ------
    BadTable
        There is no header, or a column has no name or the name of another one.
    """

    def __init__(self, lines: Iterable[str], delimiter: str | None = None) -> None:
        self._lines = _Lines(lines)
        first = self._lines.first()
        self.delimiter = delimiter or max(DELIMITERS, key=lambda one: _unquoted(first).count(one))
        self._reader = csv.reader(self._lines, delimiter=self.delimiter, strict=True)
        try:
            self.header = [name.strip() for name in next(self._reader)]
        except (csv.Error, StopIteration) as error:
            raise BadTable(f"line 1: found {first[:60]!r}; allowed: a header with the names of the columns") from error
        _check(self.header)

    def __repr__(self) -> str:
        return f"Table({self.header}, delimiter={self.delimiter!r})"

    def rows(self) -> Iterator[TableRow | BadLine]:
        """Yield the rows; blank lines are passed over."""
        csv.field_size_limit(MAX_VALUE)
        width, reader = len(self.header), self._reader
        while True:
            line = self._lines.number + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                allowed = (
                    f"values in double quotes, with each quote inside doubled, of at most {MAX_VALUE:,} characters"
                )
                yield BadLine(line, "", str(error), allowed, "bad_quotes")
                continue
            if not values or (len(values) == 1 and not values[0].strip()):
                continue
            if len(values) != width:
                allowed = f"{width}, one for each column (between values is a {DELIMITERS.get(self.delimiter, 'sign')})"
                yield BadLine(line, "", f"{len(values)} values", allowed, "wrong_width")
                continue
            yield TableRow(line, values)


class _Lines(Iterator[str]):
    """Lines, counted; the first one can be looked at before."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.number = 0
        self._lines = iter(lines)
        self._first: str | None = None

    def first(self) -> str:
        if self._first is None:
            self._first = next(self._lines, "")
        return self._first

    def __next__(self) -> str:
        if self._first is not None:
            line, self._first = self._first, None
            if not line:
                raise StopIteration
        else:
            line = next(self._lines)
        self.number += 1
        if "\0" in line:
            raise csv.Error("a NUL character")
        return line


def _unquoted(line: str) -> str:
    """Return a line without its parts in quotes."""
    return "".join(line.split('"')[::2])


def _check(header: Sequence[str]) -> None:
    if not any(header):
        raise BadTable("line 1: found no name; allowed: a header with the names of the columns")
    seen: set[str] = set()
    for number, name in enumerate(header, 1):
        if name and name.casefold() in seen:
            raise BadTable(f"line 1: column {number}: found {name!r} again; allowed: another name for each column")
        seen.add(name.casefold())
