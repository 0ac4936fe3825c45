"""The lines of an order on the wire; both forms say them alike, but for the names of the item's id."""

from __future__ import annotations

from models.errors import InvalidEvent
from models.events import OrderLine
from models.wire import fields


def lines(value: object, field: str, item_names: tuple[str, ...]) -> tuple[OrderLine, ...]:
    """Check the lines of an order; absent is none.

    Parameters
    ----------
    value
        A list of objects with an item's id, ``quantity`` (default 1), ``price`` a piece (units, default 0) and
        ``category``. What else they say is not kept.
    field
        Path of the list.
    item_names
        Under which names the item's id may stand; the first one present counts.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise fields.wrong_type(field, value, "a list of lines")
    if len(value) > fields.LINES:
        raise InvalidEvent("too_long", field, f"{len(value)} lines", f"at most {fields.LINES} lines")
    return tuple(_line(line, f"{field}[{i}]", item_names) for i, line in enumerate(value))


def _line(line: object, path: str, item_names: tuple[str, ...]) -> OrderLine:
    if not isinstance(line, dict):
        raise fields.wrong_type(path, line, "an object")
    for name in item_names:
        if line.get(name) is not None:
            item = fields.identifier(line[name], f"{path}.{name}")
            break
    else:
        raise fields.missing(f"{path}.{item_names[0]}", "the item's id")
    price = line.get("price")
    return OrderLine(
        item=item,
        quantity=fields.quantity(line.get("quantity"), f"{path}.quantity"),
        price=0 if price is None else fields.money(price, f"{path}.price"),
        category=fields.label(line.get("category"), f"{path}.category"),
    )


def total(of: tuple[OrderLine, ...], field: str) -> int:
    """Sum of quantity x price, micros, which must be an amount that one event may have."""
    micros = sum(line.quantity * line.price for line in of)
    if micros > fields.MONEY:
        raise InvalidEvent("bad_money", field, f"{fields.units(micros)} in all", fields.MONEY_ALLOWED)
    return micros
