"""Details of the Segment form: one that cannot be used is left out of the event, and reported as a warning.

A sender's library writes ids as numbers and numbers as text, and its user cannot change that. So here whole
numbers are ids, texts of digits are numbers, and blanks are absent. Other values stay in the properties, where rules
and templates still see them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from models.errors import EventWarning, InvalidEvent
from models.wire import fields
from models.wire.fields import Json

T = TypeVar("T")

MAX_EXACT = 2**53
"""Whole floats below this have the digits that were written."""

MAX_WRITTEN = 10**fields.MAX_ID_LENGTH
"""Whole numbers below this are written as ids: longer ones are no ids, and Python refuses to write the longest."""

_number = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,30})?", re.ASCII).fullmatch


def is_absent(value: object) -> bool:
    """Return whether a value says nothing: ``null``, or text of blanks only."""
    return value is None or (isinstance(value, str) and (not value or value.isspace()))


def as_text(value: object) -> object:
    """Write a whole number with the digits that it was given with; any other value comes back unchanged.

    Examples
    --------
    >>> as_text(632910392), as_text(12345.0), as_text(1.5), as_text(True)
    ('632910392', '12345', 1.5, True)
    """
    if isinstance(value, int) and value.__class__ is int:
        return str(value) if abs(value) < MAX_WRITTEN else value
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_EXACT:
        return str(int(value))
    return value


def as_number(value: object) -> object:
    """Read text of digits as a number; any other value comes back unchanged.

    Examples
    --------
    >>> as_number(" 5"), as_number("4.50"), as_number("$5"), as_number(5)
    (5, 4.5, '$5', 5)
    """
    if isinstance(value, str) and _number(digits := value.strip()):
        return float(digits) if "." in digits else int(digits)
    return value


def identifier(value: object, field: str) -> str:
    """Check an id, a name or a category: text that is not blank, or a whole number."""
    if value.__class__ is str and fields.plain(value) and not value.isspace():
        return value
    if is_absent(value):
        raise InvalidEvent("empty", field, fields.shown(value), "text that is not blank")
    return fields.identifier(as_text(value), field)


def order_id(value: object, field: str) -> str:
    """Check an order's id; blanks around it do not count, because client and server may both send the order."""
    return identifier(value.strip() if isinstance(value, str) else value, field)


def optional_id(value: object, field: str) -> str | None:
    """Check an id that may be absent or blank; raises :class:`InvalidEvent` if it is no id."""
    if value.__class__ is str and fields.plain(value) and not value.isspace():
        return value
    return None if is_absent(value) else identifier(value, field)


def text(value: object, field: str) -> str:
    """Check prose that is not blank; see :func:`models.wire.fields.text`."""
    return fields.text("" if is_absent(value) else value, field)


def money(value: object, field: str) -> int:
    """Read an amount as micros; see :func:`models.wire.fields.money`."""
    return fields.money(value.strip() if value.__class__ is str else value, field)


def quantity(value: object, field: str) -> int:
    """Check a number of pieces, which may be text."""
    return fields.quantity(value if value.__class__ is int else as_number(value), field)


def rating(value: object, field: str) -> float:
    """Check a rating, which may be text."""
    return fields.rating(as_number(value), field)


def currency(value: object, field: str) -> str:
    """Check an ISO 4217 code; blanks around it do not count."""
    return fields.currency(value.strip() if isinstance(value, str) else value, field)


def required_id(raw: Json, name: str, allowed: str) -> str:
    """Read an id that the event cannot be without.

    Raises
    ------
    InvalidEvent
        The id is absent, blank, or no id.
    """
    found = optional_id(raw.get(name), name)
    if found is None:
        raise fields.missing(name, allowed)
    return found


def take(
    rest: Json,
    name: str,
    read: Callable[[object, str], T],
    warnings: list[EventWarning],
    path: str = "properties.",
) -> T | None:
    """Take a detail out of the properties.

    Parameters
    ----------
    rest
        The properties; a detail that can be used, or is blank, is removed.
    name
        Name of the detail.
    read
        Checks its value; raises :class:`InvalidEvent` if it cannot be used.
    warnings
        Then a warning is appended here, and the detail stays in ``rest``.
    path
        Path of ``rest`` in the event, with the dot.

    Returns
    -------
    T or None
        ``None`` if it is absent or cannot be used.
    """
    value = rest.pop(name, None)
    if value is None:
        return None
    try:
        return read(value, name)
    except InvalidEvent as error:
        _leave(rest, name, value, warning_of(error, path), warnings)
        return None


def take_first(
    rest: Json,
    names: tuple[str, ...],
    read: Callable[[object, str], T],
    warnings: list[EventWarning],
    path: str = "properties.",
) -> T | None:
    """Take the first of these details that can be used out of the properties; later ones stay there."""
    for name in names:
        value = rest.pop(name, None)
        if value is None:
            continue
        try:
            return read(value, name)
        except InvalidEvent as error:
            _leave(rest, name, value, warning_of(error, path), warnings)
    return None


def _leave(rest: Json, name: str, value: object, warning: EventWarning, warnings: list[EventWarning]) -> None:
    """Leave a detail that cannot be used where it was, unless it says nothing."""
    if not is_absent(value):
        rest[name] = value
        warnings.append(warning)


def warning_of(error: InvalidEvent, path: str = "") -> EventWarning:
    """Turn the refusal of a detail into a warning; ``path`` is that of the object in which it was found."""
    return EventWarning(error.reason, path + error.field, error.found, error.allowed)


def free_object(raw: Json, name: str, warnings: list[EventWarning], *, small: bool, path: str = "") -> Json:
    """Read ``properties`` or ``traits``; a value that is no object, or too deep inside, is left out with a warning.

    Parameters
    ----------
    raw
        The event, or its context.
    name
        Name of the field.
    warnings
        Warnings are appended here.
    small
        Whether the whole record is known to be within ``fields.MAX_OBJECT_BYTES``.
    path
        Path of ``raw`` in the event, with the dot.

    Returns
    -------
    dict
        The object itself, to be copied before it is changed; empty if absent.

    Raises
    ------
    InvalidEvent
        ``too_large``: the object exceeds ``fields.MAX_OBJECT_BYTES`` as JSON.
    """
    value = raw.get(name)
    if value is None:
        return {}
    if value.__class__ is not dict:
        if not is_absent(value):
            warnings.append(warning_of(fields.wrong_type(path + name, value, "an object")))
        return {}
    try:
        return fields.bounded(value, path + name, small=small)
    except InvalidEvent as error:
        if error.reason != "too_deep":
            raise
    kept: Json = {}
    for inner_name, inner in value.items():
        try:
            kept |= fields.bounded({inner_name: inner}, f"{path}{name}.{fields.quoted(inner_name)}", small=True)
        except InvalidEvent as error:
            warnings.append(warning_of(error))
    return fields.bounded(kept, path + name, small=small)
