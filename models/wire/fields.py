"""Checks of the fields of the wire. Each returns a value that is safe to use, or raises :class:`InvalidEvent`.

Every check takes the parsed value, and the path of the field for the error. ``null`` always counts as absent.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import orjson

from models.errors import InvalidEvent
from models.events import CHANNELS, MARKETING, MICROS, ORIGINS, PURPOSE_PATTERN, Channel, Origin
from models.units import DAY
from models.wire.currencies import CURRENCIES

MAX_ID_LENGTH = 200
"""Maximum length of the id of a user, item, order or message, and of a name or category, characters."""
MAX_TEXT_LENGTH = 10_000
"""Maximum length of a support message or a review, characters."""
MAX_WORDING = 100
"""Maximum length of the version of a text to which a user has agreed, characters."""
MAX_OBJECT_BYTES = 32_768
"""Maximum size of ``properties`` and of ``traits`` as JSON, bytes."""
MAX_NESTING = 8
"""Maximum depth of nested objects and lists in ``properties`` and ``traits``, levels."""
MAX_LINES = 500
"""Maximum number of lines of an order."""
MAX_QUANTITY = 1_000_000
"""Maximum number of pieces of a line."""
MAX_MONEY = 10_000_000_000 * MICROS
"""Maximum amount, micros: ten thousand million units, so that the sum of thousands of amounts fits into 64 bits."""
MONEY_ALLOWED = f"an amount in units of the currency such as 2.55, from 0 to {MAX_MONEY // MICROS:,}"
"""Description of the allowed amounts, for errors."""
MIN_TIME_MS = 946_684_800_000
"""Minimum time of an event: 2000-01-01T00:00:00Z."""
MAX_AHEAD_MS = DAY
"""Maximum time by which a sender's clock may be ahead of ours: one day."""

ITEM_NEEDED = frozenset({"product_view", "cart_add", "cart_remove"})
"""Types of events that have no meaning without an item."""

Json = dict[str, Any]

plain = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}").fullmatch
"""Function that matches an id, a name or a category."""
_plain_text = re.compile(r"[^\x00\ud800-\udfff]{1,10000}", re.DOTALL).fullmatch
_purpose = re.compile(PURPOSE_PATTERN).fullmatch
_amount = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,30})?").fullmatch
_time = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?P<zone>[Zz]|[+-]\d\d:?\d\d)?", re.ASCII
).fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NESTED = (dict, list)
_TIME_ALLOWED = "milliseconds since the epoch, or RFC 3339 with an offset such as 2026-05-01T12:00:00Z"


def missing(field: str, allowed: str) -> InvalidEvent:
    """Return the error for a required field that is absent."""
    return InvalidEvent("missing_field", field, "nothing", allowed)


def wrong_type(field: str, found: object, allowed: str) -> InvalidEvent:
    """Return the error for a field that has another JSON type."""
    return InvalidEvent("wrong_type", field, shown(found), allowed)


def identifier(value: object, field: str) -> str:
    """Check an id, a name or a category: a string of 1 to 200 characters without control characters."""
    if value.__class__ is str and plain(value):
        return value
    allowed = f"a string of 1 to {MAX_ID_LENGTH} characters, no control characters"
    if not isinstance(value, str):
        raise wrong_type(field, value, allowed)
    if not value:
        raise InvalidEvent("empty", field, '""', allowed)
    if len(value) > MAX_ID_LENGTH:
        raise InvalidEvent("too_long", field, f"{len(value)} characters", allowed)
    raise InvalidEvent("control_character", field, ascii(value), allowed)


def label(value: object, field: str) -> str | None:
    """Check an optional id, name or category; the empty string counts as absent."""
    return None if value is None or value == "" else identifier(value, field)


def text(value: object, field: str) -> str:
    """Check a text: a string of 1 to 10,000 characters without NUL. Line breaks are allowed."""
    if isinstance(value, str) and _plain_text(value):
        return value
    allowed = f"a string of 1 to {MAX_TEXT_LENGTH:,} characters without NUL"
    if not isinstance(value, str):
        raise wrong_type(field, value, allowed)
    if not value:
        raise InvalidEvent("empty", field, '""', allowed)
    if len(value) > MAX_TEXT_LENGTH:
        raise InvalidEvent("too_long", field, f"{len(value)} characters", allowed)
    raise InvalidEvent("control_character", field, ascii(value), allowed)


def money(value: object, field: str) -> int:
    """Read an amount in units of the currency, and return it in micros.

    Parameters
    ----------
    value
        A JSON number, or the same as a string (``"2.55"``). It is rounded to six decimal places.
    field
        Path of the field.

    Returns
    -------
    int
        0 to ``MAX_MONEY``.

    Examples
    --------
    >>> money(2.55, "price"), money("19.99", "price"), money(3, "price")
    (2550000, 19990000, 3000000)
    """
    if value.__class__ is int:
        micros: int = value * MICROS
    elif isinstance(value, float):
        # Below 2**31 units the error of the product is less than half a micro, so rounding gives the written amount.
        # NaN takes the second branch, and fails there.
        micros = round(value * MICROS) if -1e9 < value < 1e9 else _exact(repr(value))
    elif isinstance(value, str):
        micros = _exact(value)
    else:
        raise wrong_type(field, value, MONEY_ALLOWED)
    if 0 <= micros <= MAX_MONEY:
        return micros
    raise InvalidEvent("bad_money", field, shown(value), MONEY_ALLOWED)


def _exact(written: str) -> int:
    """Return the micros of a written amount; -1 if the text is not an amount."""
    return round(Decimal(written) * MICROS) if _amount(written) else -1


def units(micros: int) -> float | str:
    """Return micros as units, in a form that :func:`money` reads back exactly.

    Examples
    --------
    >>> units(2_550_000), units(3_000_000_000_000_001)
    (2.55, '3000000000.000001')
    """
    whole = 1_000_000_000 * MICROS
    return micros / MICROS if micros < whole else f"{micros // MICROS}.{micros % MICROS:06d}"


def quantity(value: object, field: str) -> int:
    """Check a number of pieces, 0 to 1,000,000; if it is absent, return 1."""
    if value is None:
        return 1
    allowed = f"a whole number from 0 to {MAX_QUANTITY:,}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(field, value, allowed)
    if not 0 <= value <= MAX_QUANTITY:
        raise InvalidEvent("out_of_range", field, value, allowed)
    return value


def currency(value: object, field: str) -> str:
    """Check an ISO 4217 code, which may be in lower case; if it is absent, return ``USD``."""
    if value is None:
        return "USD"
    if isinstance(value, str):
        if value in CURRENCIES:
            return value
        if value.isascii() and (upper := value.upper()) in CURRENCIES:
            return upper
    raise InvalidEvent("bad_currency", field, shown(value), "a code of ISO 4217 such as EUR")


def rating(value: object, field: str) -> float:
    """Check a rating from 1 to 5."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(field, value, "a number from 1 to 5")
    if not 1 <= value <= 5:
        raise InvalidEvent("out_of_range", field, value, "a number from 1 to 5")
    return float(value)


def channel(value: object, field: str, *, granted: bool) -> Channel | None:
    """Check the channel of a consent; ``None`` means all channels.

    A grant must name its channel (or ``all``). A withdrawal without a channel is one for all channels.
    """
    if value == "all" or (value is None and not granted):
        return None
    if value is None:
        raise missing(field, f"{', '.join(CHANNELS)} or all")
    for known in CHANNELS:
        if value == known:
            return known
    raise InvalidEvent("bad_channel", field, shown(value), f"{', '.join(CHANNELS)} or all")


def purpose(value: object, field: str) -> str | None:
    """Check the purpose of a grant; ``None`` means ``marketing``."""
    if value is None:
        return None
    if isinstance(value, str) and _purpose(value) is not None:
        return value
    allowed = f"a name of up to 64 lower case letters, digits and underscores, such as {MARKETING} or product_news"
    raise InvalidEvent("bad_purpose", field, shown(value), allowed)


def basis(value: object, field: str) -> Literal["existing_customer"] | None:
    """Check the basis of a grant; ``None`` means consent."""
    if value is None or value == "consent":
        return None
    if value == "existing_customer":
        return "existing_customer"
    raise InvalidEvent("bad_basis", field, shown(value), "consent or existing_customer")


def grant(said: Json, path: str = "") -> Json:
    """Check what a grant states: its channel, its purpose and its basis. Return these fields of the event.

    ``granted`` is left out of a grant that is not a consent to marketing.
    """
    found_basis = basis(said.get("basis"), f"{path}basis")
    found_purpose = purpose(said.get("purpose"), f"{path}purpose")
    found_channel = channel(said.get("channel"), f"{path}channel", granted=True)
    if found_basis is not None and found_channel != "email":
        allowed = "email, because only e-mails may have the basis existing_customer"
        raise InvalidEvent("bad_channel", f"{path}channel", shown(said.get("channel")), allowed)
    if found_basis is None and found_purpose in (None, MARKETING):
        return {"channel": found_channel, "granted": True}
    return {"channel": found_channel, "purpose": found_purpose or MARKETING, "basis": found_basis}


def wording(value: object, field: str) -> str | None:
    """Check the version of the text to which a user has agreed: a name of up to 100 characters."""
    found = label(value, field)
    if found is not None and len(found) > MAX_WORDING:
        raise InvalidEvent("too_long", field, f"{len(found)} characters", f"at most {MAX_WORDING} characters")
    return found


def origin(claimed: object, given: Origin) -> Origin:
    """Return the less live of two origins: the one that the sender claims, and the one that is given."""
    if claimed is None:
        return given
    for known in ORIGINS:
        if claimed == known:
            return known if ORIGINS.index(known) > ORIGINS.index(given) else given
    raise InvalidEvent("bad_origin", "origin", shown(claimed), ", ".join(ORIGINS))


def instant(value: object, field: str) -> int:
    """Read a time as milliseconds since the epoch, without a check whether it is plausible.

    Examples
    --------
    >>> instant("2026-05-01T14:00:00.250+02:00", "at")
    1777636800250
    """
    if value.__class__ is int:
        at: int = value
        if 0 < at < 100_000_000_000:
            hint = f"milliseconds since the epoch; this looks like seconds: did you mean {at}000?"
            raise InvalidEvent("bad_time", field, at, hint)
        return at
    if isinstance(value, str):
        return _rfc3339(value, field)
    if isinstance(value, float) and value.is_integer():
        return instant(int(value), field)
    raise wrong_type(field, value, _TIME_ALLOWED)


def _rfc3339(value: str, field: str) -> int:
    match = _time(value)
    if match is None:
        raise InvalidEvent("bad_time", field, ascii(value), _TIME_ALLOWED)
    if match["zone"] is None:
        hint = f"a time with its offset; which zone is this? In UTC it would end with Z: {value}Z"
        raise InvalidEvent("bad_time", field, value, hint)
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError as error:  # such as the 30th of February, or the hour 25
        raise InvalidEvent("bad_time", field, value, f"{_TIME_ALLOWED} ({error})") from None
    return (moment - _EPOCH) // _MILLISECOND


def plausible(at: int, field: str, found: object, received_at: int) -> int:
    """Check that a time is not before the year 2000, and at most a day after the time of arrival."""
    if at < MIN_TIME_MS:
        raise InvalidEvent("time_too_early", field, shown(found), "a time since 2000-01-01T00:00:00Z")
    if at > received_at + MAX_AHEAD_MS:
        raise InvalidEvent("time_in_future", field, shown(found), "at most a day ahead of the time of arrival")
    return at


def bounded(value: object, field: str, *, small: bool) -> Json:
    """Check the size and the nesting of a free object; if it is absent, return an empty one. The object is not copied.

    Parameters
    ----------
    value
        The parsed value.
    field
        Path of the object, such as ``properties``.
    small
        Whether the whole record is known to be at most ``MAX_OBJECT_BYTES`` long.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(field, value, "an object")
    for inner in value.values():
        if inner.__class__ in _NESTED and not _flat(inner, MAX_NESTING - 1):
            raise InvalidEvent("too_deep", field, "deeper nesting", f"at most {MAX_NESTING} levels")
    if not small:
        size = len(orjson.dumps(value))
        if size > MAX_OBJECT_BYTES:
            raise InvalidEvent("too_large", field, f"{size} bytes", f"at most {MAX_OBJECT_BYTES:,} bytes of JSON")
    return value


def is_small(value: object) -> bool:
    """Return whether the size of a value as JSON is within the limit of ``properties``."""
    return len(orjson.dumps(value)) <= MAX_OBJECT_BYTES


def is_bounded(value: Any) -> bool:
    """Return whether a value may be kept in ``properties``, by its nesting and its size."""
    return (value.__class__ not in _NESTED or _flat(value, MAX_NESTING - 1)) and is_small(value)


def _flat(value: Any, levels: int) -> bool:
    if levels == 0:
        return False
    inside = value.values() if value.__class__ is dict else value
    return all(inner.__class__ not in _NESTED or _flat(inner, levels - 1) for inner in inside)


def quoted(name: str) -> str:
    """Return a name that a sender chose as part of a path: in ASCII, at most 60 characters."""
    return ascii(name)[1:-1][:60]


def shown(value: object) -> str:
    """Return a value in a form that is safe and short, because it may be huge or contain lone surrogates."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 1_000:  # Python refuses to write the longest numbers
        return f"a number of {value.bit_length():,} bits"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return ascii(value[:80] if isinstance(value, str) else value)
