"""The products of an order in the Segment form."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple, TypeGuard

from models.errors import EventWarning, InvalidEvent
from models.events import OrderLine
from models.wire import details, fields

ITEM_NAMES = ("product_id", "productId", "id", "sku")
"""Names of an item's id; the first that can be used counts. ``id`` is from the first version of the spec."""
MAX_WARNINGS = 20
"""Maximum number of warnings about the products of one order, which may have hundreds of similar products."""

MAX_USUAL_PRICE = 1_000_000
"""Maximum price of a product on the fast path, in units of the currency."""

_PATH = "properties.products"
_ITEM_ALLOWED = f"an item's id: {', '.join(ITEM_NAMES[:-1])} or {ITEM_NAMES[-1]}"


class Products(NamedTuple):
    """The products of an order.

    Attributes
    ----------
    lines
        Products that name an item.
    worth
        Total price of all products, including those without an item, micros; ``None`` if one price cannot be read.
    unusable
        Products with a detail that cannot be used; they are kept in the properties.
    """

    lines: tuple[OrderLine, ...]
    worth: int | None
    unusable: Any


NONE = Products((), None, None)
"""No products; the worth of the order cannot be read from them."""


def read_products(value: object, warnings: list[EventWarning]) -> Products:
    """Read the products of an order. A single product may be given without a list.

    Parameters
    ----------
    value
        The parsed value.
    warnings
        List to which a warning is appended for each detail that cannot be used. A product without an item, or with a
        negative quantity (it was returned), gives no line. Any other such detail is left out of its line.
    """
    if not value or details.is_absent(value):
        return NONE
    products = [value] if isinstance(value, dict) else value
    if not isinstance(products, list):
        warnings.append(details.warning_of(fields.wrong_type(_PATH, value, "a list of products")))
        return Products((), None, value)
    if len(products) > fields.MAX_LINES:
        error = InvalidEvent("too_long", _PATH, f"{len(products)} products", f"at most {fields.MAX_LINES} products")
        warnings.append(details.warning_of(error))
    lines: list[OrderLine] = []
    worth: int | None = 0
    unusable: list[object] = []
    for number, product in enumerate(products):
        if (usual := _usual(product)) is not None and len(lines) < fields.MAX_LINES:
            lines.append(usual)
            worth = None if worth is None else worth + usual.price * usual.quantity
            continue
        found: list[EventWarning] = []
        line, cost = _read(product, f"{_PATH}[{number}]", found)
        worth = None if worth is None or cost is None else worth + cost
        if found:
            unusable.append(product)
            warnings += found[: max(MAX_WARNINGS - len(warnings), 0)]
        if line is not None and len(lines) < fields.MAX_LINES:
            lines.append(line)
    if worth is not None and worth > fields.MAX_MONEY:
        worth = None
    return Products(tuple(lines), worth, unusable or None)


def _usual(product: object) -> OrderLine | None:
    """Read a product on the fast path, in the form of nearly all products; return ``None`` for any other form."""
    if not isinstance(product, dict):
        return None
    item, quantity, price = product.get("product_id"), product.get("quantity", 1), product.get("price")
    category = product.get("category")
    if (
        _is_name(item)
        and quantity.__class__ is int
        and 0 <= quantity <= fields.MAX_QUANTITY
        and (price.__class__ is float or price.__class__ is int)
        and 0 <= price <= MAX_USUAL_PRICE
        and (category is None or _is_name(category))
    ):
        return OrderLine(item, quantity, fields.money(price, "price"), category)
    return None


def _is_name(value: object) -> TypeGuard[str]:
    return value.__class__ is str and fields.plain(value) is not None and not value.isspace()


def _read(product: object, path: str, warnings: list[EventWarning]) -> tuple[OrderLine | None, int | None]:
    """Read a product, and return its line and its cost in micros; ``None`` for each that cannot be read."""
    if not isinstance(product, dict):
        warnings.append(details.warning_of(fields.wrong_type(path, product, "an object")))
        return None, None
    rest, path = dict(product), path + "."
    item = details.take_first(rest, ITEM_NAMES, details.identifier, warnings, path)
    if item is None and not warnings:
        warnings.append(details.warning_of(fields.missing(ITEM_NAMES[0], _ITEM_ALLOWED), path))
    price = details.take(rest, "price", details.money, warnings, path)
    quantity = details.take(rest, "quantity", details.quantity, warnings, path)
    category = details.take(rest, "category", details.identifier, warnings, path)
    # A value that cannot be used is still in `rest`.
    unusable = details.as_number(rest.get("quantity"))
    is_priced = "price" not in rest and (price is not None or item is not None)
    price, pieces = price or 0, 1 if quantity is None else quantity
    if unusable is None:
        cost = price * pieces if is_priced else None
    else:
        cost = _cost_of_part(price, unusable) if is_priced else None
    if item is None or (isinstance(unusable, int | float) and unusable < 0):
        return None, cost
    return OrderLine(item, pieces, price, category), cost


def _cost_of_part(price: int, quantity: object) -> int | None:
    """Return the cost of a quantity such as 1.5 kg, which a line cannot hold because it is not whole."""
    if isinstance(quantity, float) and 0 < quantity <= fields.MAX_QUANTITY:
        return round(price * Decimal(repr(quantity)))
    return None
