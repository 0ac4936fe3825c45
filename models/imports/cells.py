"""Values in the cells of a table: times, money, numbers, and words that mean yes or no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

from models.errors import InvalidEvent
from models.places.zones import resolve
from models.places.zones import zone as zone_of_name
from models.wire import fields

TIME_ALLOWED: Final = (
    "a day (2026-05-01), a time with its zone (2026-05-01T12:00Z), or seconds or milliseconds since 1970; for times "
    "without a zone, state --timezone"
)
_MONEY = re.compile(r"^(?P<before>[A-Za-z]{3})?\s*(?P<amount>-?[\d.,' ]+?)\s*(?P<after>[A-Za-z]{3})?$")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_YES: Final = frozenset({"true", "yes", "y", "1", "on", "ja"})
_NO: Final = frozenset({"false", "no", "n", "0", "off", "nein"})


class CellForms(NamedTuple):
    """The forms in which a file writes its values, as far as a person has stated them.

    Attributes
    ----------
    zone
        Zone of times that name none; ``None`` refuses them.
    currency
        Currency of amounts that name none; empty refuses them.
    decimal_comma
        Whether amounts are written as ``1.234,50``.
    now
        Time now, milliseconds: a later time is refused.
    """

    zone: tzinfo | None = None
    currency: str = ""
    decimal_comma: bool = False
    now: int = 0


class CellRefused(Exception):
    """A value that cannot be used.

    Parameters
    ----------
    reason
        The reason in one word.
    found, allowed
        What was found, and what is allowed.
    """

    def __init__(self, reason: str, found: str, allowed: str) -> None:
        super().__init__(reason, found, allowed)
        self.reason = reason
        self.found = found
        self.allowed = allowed


def zone_named(name: str) -> tzinfo | None:
    """Return the zone of a name; ``None`` if there is no such zone."""
    found = resolve(name)
    return None if found is None else zone_of_name(found)


def time_in(written: str, forms: CellForms) -> int:
    """Read a time as milliseconds since the epoch.

    Raises
    ------
    CellRefused
        It is no time, it names no zone, it is before 2000, or it is in the future.

    Examples
    --------
    >>> forms = CellForms(now=1_800_000_000_000)
    >>> time_in("2026-05-01", forms), time_in("1777593600", forms), time_in("2026-05-01T02:00+02:00", forms)
    (1777593600000, 1777593600000, 1777593600000)
    """
    at = _number_time(written)
    if at is None:
        try:
            moment = datetime.fromisoformat(written.strip().upper().replace(" UTC", "Z").replace(" GMT", "Z"))
        except ValueError:
            raise CellRefused("bad_time", fields.shown(written), TIME_ALLOWED) from None
        if moment.tzinfo is None:
            zone = forms.zone or (UTC if _DAY.fullmatch(written.strip()) else None)
            if zone is None:
                raise CellRefused("no_zone", fields.shown(written), TIME_ALLOWED)
            moment = moment.replace(tzinfo=zone)
        at = int(moment.timestamp() * 1_000)
    if at < fields.MIN_TIME_MS:
        raise CellRefused("bad_time", fields.shown(written), "a time since 2000-01-01")
    if at > forms.now:
        raise CellRefused("in_future", fields.shown(written), "a time in the past")
    return at


def _number_time(written: str) -> int | None:
    plain = written.strip()
    if not plain.isascii() or not plain.isdigit():
        return None
    return {10: int(plain) * 1_000, 13: int(plain)}.get(len(plain))


def money_in(written: str, forms: CellForms, currency: str = "") -> tuple[str, int]:
    """Read an amount exactly: its currency, and micros.

    Parameters
    ----------
    written
        The amount, with or without a currency before or after it.
    forms
        How the file writes amounts.
    currency
        The currency that another column states.

    Raises
    ------
    CellRefused
        It is no amount, or its currency is not known.

    Examples
    --------
    >>> money_in("49.90 EUR", CellForms()), money_in("1.234,50", CellForms(currency="EUR", decimal_comma=True))
    (('EUR', 49900000), ('EUR', 1234500000))
    """
    match = _MONEY.match(written.strip())
    if match is None:
        raise CellRefused("bad_money", fields.shown(written), _money_allowed(forms))
    named = match["before"] or match["after"] or currency or forms.currency
    if not named:
        allowed = "an amount with its currency (49.90 EUR), a column for `currency`, or --currency"
        raise CellRefused("no_currency", fields.shown(written), allowed)
    amount = match["amount"].strip()
    if forms.decimal_comma:
        amount = amount.replace(".", "").replace(" ", "").replace(",", ".")
    try:
        return fields.currency(named, "currency"), fields.money(amount, "amount")
    except InvalidEvent as error:
        allowed = error.allowed if error.field == "currency" else _money_allowed(forms)
        raise CellRefused(error.reason, fields.shown(written), allowed) from None


def _money_allowed(forms: CellForms) -> str:
    if forms.decimal_comma:
        return "an amount such as 1.234,50 or 49,90 EUR"
    return "an amount such as 1234.50 or 49.90 EUR; for 1.234,50 state --decimal-comma"


def count_in(written: str) -> int:
    """Read a number of pieces.

    Raises
    ------
    CellRefused
        It is no whole number from 0 to a million.
    """
    plain = written.strip().removesuffix(".0")
    if plain.isascii() and plain.isdigit() and len(plain) < 8 and int(plain) <= fields.MAX_QUANTITY:
        return int(plain)
    raise CellRefused("bad_number", fields.shown(written), f"a whole number from 0 to {fields.MAX_QUANTITY:,}")


def answer_in(written: str) -> bool:
    """Read yes or no.

    Raises
    ------
    CellRefused
        It is neither.
    """
    word = written.strip().casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise CellRefused("bad_answer", fields.shown(written), "true or false, yes or no, 1 or 0")


def trait_in(written: str, kind: str) -> Any:
    """Read the value of a trait as a text, a number, yes or no.

    Raises
    ------
    CellRefused
        The value is of another kind.

    Examples
    --------
    >>> trait_in("007", "text"), trait_in("7.50", "number"), trait_in("Yes", "bool")
    ('007', 7.5, True)
    """
    if kind == "bool":
        return answer_in(written)
    if kind == "text":
        return written
    plain = written.strip()
    try:
        number = float(plain) if re.fullmatch(r"[+-]?\d+(\.\d+)?", plain) else None
    except ValueError:
        number = None
    if number is None or abs(number) > 2**53:
        raise CellRefused("bad_number", fields.shown(written), "a number such as 7 or 7.5")
    return int(number) if number.is_integer() else number


KINDS: Mapping[str, str] = {"text": "a text", "number": "a number", "bool": "yes or no"}
"""Kinds of traits that a column can have."""
