"""Reading of files of items, CSV or JSON Lines; every mistake is reported with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from models.errors import PerennialError
from models.events import MICROS
from models.recommend.catalogue import Item

FIELDS = ("id", "title", "price", "categories", "stock")
MAX_MISTAKES = 10
"""Maximum number of mistakes that are listed; the others are counted."""
MAX_ID = 512
"""Maximum length of an item's id, characters."""
MAX_PRICE = 2**53 // MICROS
"""Maximum price of an item, units of the currency; the largest one that is exact as a double in micros."""
_SEPARATOR = "|"


class InvalidItems(PerennialError, ValueError):
    """A file of items has mistakes. Correct them; nothing was imported.

    Parameters
    ----------
    source
        Name of the file.
    mistakes
        Line and description of each mistake, in the order of lines; at least one. Line 0 means the whole file.
    """

    def __init__(self, source: str, mistakes: list[tuple[int, str]]) -> None:
        self.source = source
        self.mistakes = mistakes
        shown = "; ".join((f"line {line}: " if line else "") + what for line, what in mistakes[:MAX_MISTAKES])
        more = f"; and {len(mistakes) - MAX_MISTAKES} more" if len(mistakes) > MAX_MISTAKES else ""
        super().__init__(f"{source}: {shown}{more}; nothing was imported")


class _Mistake(ValueError):
    pass


def read_csv(source: str, lines: Iterable[str]) -> list[Item]:
    """Read CSV with a header; categories are separated by ``|``, prices are in units of the currency.

    Raises
    ------
    InvalidItems
        The file has mistakes; the error lists them.

    Examples
    --------
    >>> read_csv("f", ["id,title,price,categories,stock", "mug,A mug,9.50,home|kitchen,3"])
    [Item(id='mug', title='A mug', price=9500000, categories=('home', 'kitchen'), stock=3)]
    """
    reader = csv.DictReader(lines, strict=True)
    try:
        header = reader.fieldnames or []
    except csv.Error as error:
        raise InvalidItems(source, [(1, str(error))]) from error
    header = [name.strip().lower() for name in header]
    if "id" not in header:
        raise InvalidItems(source, [(1, f"no column named id; found {', '.join(header) or 'nothing'}")])
    if unknown := [name for name in header if name not in FIELDS]:
        raise InvalidItems(source, [(1, f"unknown column {unknown[0]!r}; allowed: {', '.join(FIELDS)}")])
    reader.fieldnames = header
    return _items(source, _csv_rows(reader))


def _csv_rows(reader: csv.DictReader[str]) -> Iterator[tuple[int, Mapping[str, Any] | _Mistake]]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.reader.line_num, _Mistake(str(error))
            continue
        if None in row:
            count = len(reader.fieldnames or ()) + len(row[None])
            yield reader.line_num, _Mistake(f"found {count} values; allowed: one for each column")
            continue
        given = {name: value.strip() for name, value in row.items() if value is not None and value.strip()}
        if "categories" in given:
            yield reader.line_num, {**given, "categories": given["categories"].split(_SEPARATOR)}
        else:
            yield reader.line_num, given


def read_json_lines(source: str, lines: Iterable[str]) -> list[Item]:
    """Read one JSON object per line; empty lines are skipped.

    Raises
    ------
    InvalidItems
        The file has mistakes; the error lists them.

    Examples
    --------
    >>> read_json_lines("f", ['{"id": "mug", "price": 9.5, "categories": ["home"]}'])
    [Item(id='mug', title='', price=9500000, categories=('home',), stock=None)]
    """
    return _items(source, _json_rows(lines))


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any] | _Mistake]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            yield number, _Mistake(f"not JSON: {error}")
            continue
        if not isinstance(row, dict):
            yield number, _Mistake(f"found {_short(row)}; allowed: a JSON object")
        elif unknown := [name for name in row if name not in FIELDS]:
            yield number, _Mistake(f"unknown field {unknown[0]!r}; allowed: {', '.join(FIELDS)}")
        else:
            yield number, {name: value for name, value in row.items() if value is not None}


def _items(source: str, rows: Iterable[tuple[int, Mapping[str, Any] | _Mistake]]) -> list[Item]:
    found: dict[str, tuple[int, Item]] = {}
    mistakes: list[tuple[int, str]] = []
    for line, row in rows:
        try:
            if isinstance(row, _Mistake):
                raise row
            item = _item(row)
            if item.id in found:
                raise _Mistake(f"id: {item.id!r} is already on line {found[item.id][0]}")
        except _Mistake as mistake:
            mistakes.append((line, str(mistake)))
        else:
            found[item.id] = line, item
    if mistakes:
        raise InvalidItems(source, mistakes)
    if not found:
        raise InvalidItems(source, [(1, "there are no items")])
    return [item for _, item in found.values()]


def _item(row: Mapping[str, Any]) -> Item:
    return Item(
        id=_id(row.get("id")),
        title=_text("title", row.get("title", "")),
        price=None if "price" not in row else _micros(row["price"]),
        categories=_categories(row.get("categories", ())),
        stock=None if "stock" not in row else _stock(row["stock"]),
    )


def _id(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= MAX_ID or text.startswith("\x00"):
        raise _Mistake(f"id: found {_short(value)}; allowed: 1 to {MAX_ID} characters")
    return text


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise _Mistake(f"{field}: found {_short(value)}; allowed: text")
    return value


def _categories(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(_SEPARATOR)
    if not isinstance(value, list | tuple):
        raise _Mistake(f"categories: found {_short(value)}; allowed: a list of names")
    return tuple(name for each in value if (name := _text("categories", each).strip()))


def _micros(value: object) -> int:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        units = Decimal(str(value))
        if not units.is_finite() or not 0 <= units <= MAX_PRICE:
            raise InvalidOperation
    except InvalidOperation:
        raise _Mistake(f"price: found {_short(value)}; allowed: 0 to {MAX_PRICE}, such as 9.50") from None
    return int((units * MICROS).to_integral_value())


def _stock(value: object) -> int:
    text = str(value)
    if isinstance(value, bool | float) or not text.isascii() or not text.isdigit() or len(text) > 15:
        raise _Mistake(f"stock: found {_short(value)}; allowed: a whole number from 0")
    return int(text)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
