"""Values in templates: their text, number and order, without an error for any type.

Liquid's nil is Python's ``None``. No value ever becomes the text ``None`` or ``True``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

Number: TypeAlias = int | float | Decimal

MAX_NUMBER = 10**30
"""Maximum absolute value of a number in templates; a larger one is nil."""

_NUMBER = re.compile(r"[-+]?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


def text_of(value: Any) -> str:
    """Return a value as text: empty for nil, ``true``, ``49.90``, or the elements of a list one after the other.

    Examples
    --------
    >>> [text_of(value) for value in (None, True, Decimal("49.90"), 1e20, ["a", None, 1])]
    ['', 'true', '49.90', '100000000000000000000', 'a1']
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return "" if bounded(value) is None else str(value)
        case float() | Decimal():
            return _decimal_text(value)
        case list() | tuple():
            return "".join(text_of(each) for each in value)
        case range():
            return f"{value.start}..{value.stop - 1}"
        case Mapping():
            return msgspec.json.encode(_plain(value)).decode()
    return str(value)


def number_of(value: Any) -> Number | None:
    """Return a value as a number: 0 if it is not a number, as in Liquid; nil if it is too large.

    Examples
    --------
    >>> number_of("4.50"), number_of("many"), number_of(True), number_of(float("inf"))
    (Decimal('4.50'), 0, 0, None)
    """
    match value:
        case bool():
            return 0
        case int():
            return bounded(value)
        case float() | Decimal():
            return bounded(value)
        case str() if _NUMBER.fullmatch(value.strip()):
            written = value.strip()
            return bounded(Decimal(written) if "." in written else int(written))
    return 0


def whole_of(value: Any, default: int) -> int:
    """Return a value as a whole number, or the default for nil."""
    number = None if value is None else number_of(value)
    return default if number is None else int(number)


def bounded(number: Number) -> Number | None:
    """Return a number, or ``None`` if it exceeds :data:`MAX_NUMBER` or is not finite."""
    if isinstance(number, int):  # It may be too large for a float.
        return number if -MAX_NUMBER <= number <= MAX_NUMBER else None
    return number if math.isfinite(number) and -MAX_NUMBER <= number <= MAX_NUMBER else None


def exact(number: Number) -> int | Decimal:
    """Convert a float to the decimal number that its text shows, so that ``49.9`` equals an amount of 49.90."""
    return Decimal(repr(number)) if isinstance(number, float) else number


def compare(left: Any, right: Any) -> int | None:
    """Return -1, 0 or 1 for two numbers or two texts, and ``None`` for values without an order.

    Examples
    --------
    >>> compare(1, 2.5), compare("b", "a"), compare(10, "9"), compare(None, 1)
    (-1, 1, None, None)
    """
    if is_number(left) and is_number(right):
        one, other = exact(left), exact(right)
        return None if one != one or other != other else (one > other) - (one < other)
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    return None


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal; a boolean or a text never equals a number."""
    if is_number(left) and is_number(right):
        return compare(left, right) == 0
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def is_number(value: Any) -> bool:
    """Return whether a value is a number and not a boolean."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def sort_key(value: Any) -> tuple[int, Any]:
    """Return a key that sorts values of any types: numbers, then texts, then others by their text, and nil last."""
    if is_number(value):
        number = bounded(value)
        return (3, "") if number is None else (0, exact(number))
    if isinstance(value, str):
        return 1, value
    return (3, "") if value is None else (2, text_of(value))


def _decimal_text(value: float | Decimal) -> str:
    if bounded(value) is None:
        return ""
    written = str(value) if isinstance(value, Decimal) else repr(value)
    return format(Decimal(written), "f") if "e" in written.lower() else written


def _plain(value: Any) -> Any:
    """Convert a value to one that JSON has; amounts become numbers as people write them."""
    match value:
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case None | str() | bool():
            return value
        case int() | float() | Decimal() if bounded(value) is not None:
            return msgspec.Raw(text_of(value).encode())
    return None if is_number(value) else text_of(value)
