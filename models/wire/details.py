"""Details of the Segment form: a detail that cannot be used is left out of the event, and reported as a warning.

A sender's library may write ids as numbers and numbers as text, and the sender cannot change this. So whole numbers are
read as ids, texts of digits as numbers, and blanks as absent. Other values stay in the properties, where rules and
templates can use them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from models.errors import EventWarning, InvalidEvent
from models.events import ANONYMOUS
from models.wire import fields
from models.wire.fields import Json

T = TypeVar("T")

MAX_EXACT = 2**53
"""Maximum of whole floats that are read as ids, exclusive. A larger float may have lost some of its digits."""

MAX_WRITTEN = 10**fields.MAX_ID_LENGTH
"""Maximum of whole numbers that are read as ids, exclusive. Longer numbers are too long for an id."""

_number = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,30})?", re.ASCII).fullmatch


def is_absent(value: object) -> bool:
    """Return whether a value counts as absent: ``null``, or a text that is empty or blank."""
    return value is None or (isinstance(value, str) and (not value or value.isspace()))


def as_text(value: object) -> object:
    """Return a whole number as text, with the digits that the sender wrote; return any other value unchanged.

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
    """Return a text of digits as a number; return any other value unchanged.

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


def user_of(raw: Json) -> str:
    """Return the key of a record's user: the ``userId``, or else the ``anonymousId``.

    Raises
    ------
    InvalidEvent
        The record has neither, or the one that counts is not an id.
    """
    user = optional_id(raw.get("userId"), "userId")
    if user is not None:
        return user
    anonymous = optional_id(raw.get("anonymousId"), "anonymousId")
    if anonymous is None:
        raise InvalidEvent("missing_user", "userId", "nothing", "userId or anonymousId, not blank")
    return fields.identifier(ANONYMOUS + anonymous, "anonymousId")


def anonymous_key(raw: Json, field: str, warnings: list[EventWarning]) -> str | None:
    """Return the key of the anonymous profile that a record of a known user names; ``None`` if it names none.

    A value that is not an id gives a warning.
    """
    try:
        anonymous = optional_id(raw.get(field), field)
        if anonymous is None:
            return None
        return fields.identifier(ANONYMOUS + anonymous.removeprefix(ANONYMOUS), field)
    except InvalidEvent as error:
        warnings.append(warning_of(error))
        return None


def order_id(value: object, field: str) -> str:
    """Check an order's id without the blanks around it, so that the ids from client and server are equal."""
    return identifier(value.strip() if isinstance(value, str) else value, field)


def optional_id(value: object, field: str) -> str | None:
    """Check an id that may be absent or blank; raise :class:`InvalidEvent` if it is not an id."""
    if value.__class__ is str and fields.plain(value) and not value.isspace():
        return value
    return None if is_absent(value) else identifier(value, field)


def text(value: object, field: str) -> str:
    """Check a text that is not blank, as :func:`models.wire.fields.text` does."""
    return fields.text("" if is_absent(value) else value, field)


def money(value: object, field: str) -> int:
    """Read an amount as micros, as :func:`models.wire.fields.money` does."""
    return fields.money(value.strip() if value.__class__ is str else value, field)


def quantity(value: object, field: str) -> int:
    """Check a number of pieces, which may be written as text."""
    return fields.quantity(value if value.__class__ is int else as_number(value), field)


def rating(value: object, field: str) -> float:
    """Check a rating, which may be written as text."""
    return fields.rating(as_number(value), field)


def currency(value: object, field: str) -> str:
    """Check an ISO 4217 code, without the blanks around it."""
    return fields.currency(value.strip() if isinstance(value, str) else value, field)


def required_id(raw: Json, name: str, allowed: str) -> str:
    """Read an id without which the event has no meaning.

    Raises
    ------
    InvalidEvent
        The id is absent or blank, or is not an id.
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
        The properties. A detail that can be used or that is blank is removed from them.
    name
        Name of the detail.
    read
        Function that checks the value; it raises :class:`InvalidEvent` if the value cannot be used.
    warnings
        List to which a warning is appended if the value cannot be used. The detail then stays in ``rest``.
    path
        Path of ``rest`` in the event, with the dot.

    Returns
    -------
    T or None
        ``None`` if the detail is absent or cannot be used.
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
    """Take the first usable one of several details out of the properties. Later ones stay there."""
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
    """Put a detail that cannot be used back where it was, unless it counts as absent."""
    if not is_absent(value):
        rest[name] = value
        warnings.append(warning)


def warning_of(error: InvalidEvent, path: str = "") -> EventWarning:
    """Turn the refusal of a detail into a warning; ``path`` is the path of the object that contains the detail."""
    return EventWarning(error.reason, path + error.field, error.found, error.allowed)


def free_object(raw: Json, name: str, warnings: list[EventWarning], *, small: bool, path: str = "") -> Json:
    """Read ``properties`` or ``traits`` without values that are nested too deep; each of these gives a warning.

    Parameters
    ----------
    raw
        The event, or its context.
    name
        Name of the field.
    warnings
        List to which warnings are appended.
    small
        Whether the whole record is known to be at most ``fields.MAX_OBJECT_BYTES`` long.
    path
        Path of ``raw`` in the event, with the dot.

    Returns
    -------
    dict
        The object itself, so copy it before you change it; empty if it is absent, or (with a warning) not an object.

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
