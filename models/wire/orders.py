"""The lines of an order in the short form. The products of Segment's form are in :mod:`models.wire.products`."""

from __future__ import annotations

from typing import cast, get_args

from models.errors import InvalidEvent
from models.events import OrderForm, OrderLine
from models.wire import fields

_FORMS = get_args(OrderForm)


def lines(value: object, field: str, item_names: tuple[str, ...]) -> tuple[OrderLine, ...]:
    """Check the lines of an order; if they are absent, return an empty tuple.

    Parameters
    ----------
    value
        A list of objects with an item's id, ``quantity`` (default 1), ``price`` per piece (units, default 0) and
        ``category``. Their other fields are not kept.
    field
        Path of the list.
    item_names
        Possible names of the item's id; the first one that is present counts.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise fields.wrong_type(field, value, "a list of lines")
    if len(value) > fields.MAX_LINES:
        raise InvalidEvent("too_long", field, f"{len(value)} lines", f"at most {fields.MAX_LINES} lines")
    return tuple(_line(line, f"{field}[{i}]", item_names) for i, line in enumerate(value))


def form(raw: fields.Json) -> OrderForm:
    """Check the ``order_form`` of a purchase; if it is absent, return ``lines``."""
    said = raw.get("order_form")
    if said is None:
        return "lines"
    if said not in _FORMS:
        raise InvalidEvent("bad_order_form", "order_form", fields.shown(said), ", ".join(_FORMS))
    if said != "lines" and raw.get("order") is None:
        raise fields.missing("order", f"the id of the order, because order_form is {said}")
    return cast("OrderForm", said)


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
    """Return the sum of quantity x price, micros; raise :class:`InvalidEvent` if it exceeds ``MAX_MONEY``."""
    micros = sum(line.quantity * line.price for line in of)
    if micros > fields.MAX_MONEY:
        raise InvalidEvent("bad_money", field, f"{fields.units(micros)} in all", fields.MONEY_ALLOWED)
    return micros
