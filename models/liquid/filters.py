"""Liquid's filters for values of any type, so that no filter fails because of a user's traits.

- A filter that is applied to nil returns nil, which renders as empty text. Only ``default`` replaces nil.
- The texts and lists that filters return are bounded, and so is the work of all filters together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from liquid.exceptions import FilterArgumentError, FilterError, LiquidError
from liquid.filter import with_context
from liquid.undefined import Undefined

from models.liquid.lists import LISTS
from models.liquid.numbers import NUMBERS
from models.liquid.values import text_of, whole_of
from models.liquid.work import Work, require_items, require_text, size_of
from models.places import zones

MAX_HTML = 100_000
"""Maximum length of a text for ``strip_html``, characters."""
MAX_DATE_FORM = 200
"""Maximum length of the format of a date, characters."""


def bounded_filters(known: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Make Liquid's filters safe for any value.

    Parameters
    ----------
    known
        Liquid's filters, by name.

    Returns
    -------
    dict
        Safe filters under the same names.
    """
    own: dict[str, Callable[..., Any]] = {**_TEXTS, **NUMBERS, **LISTS}
    return {name: _safe(name, own.get(name) or _text_filter(name, function)) for name, function in known.items()}


def _safe(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @with_context
    def call(value: Any, *arguments: Any, context: Work, **options: Any) -> Any:
        value = None if name == "default" and is_undefined(value) else given(value)
        if value is None and name != "default":
            return None
        arguments = tuple(given(argument) for argument in arguments)
        context.spend(size_of(value) + sum(size_of(argument) for argument in arguments))
        try:
            result = function(context, value, *arguments, **options)
        except LiquidError as error:
            raise FilterArgumentError(error.message, token=error.token) from error
        except TypeError as error:
            raise FilterArgumentError(f"{name}: too few or too many arguments", token=None) from error
        except (ValueError, ArithmeticError, LookupError) as error:
            raise FilterArgumentError(f"{name}: {error}", token=None) from error
        if isinstance(result, str):
            require_text(len(result))
        elif isinstance(result, list):
            require_items(len(result))
        context.spend(size_of(result))
        return result

    return call


def is_undefined(value: Any) -> bool:
    """Return whether a value is undefined.

    Unlike ``isinstance``, this reads no attribute of the value. In a strict render, reading one raises an error.
    """
    return issubclass(type(value), Undefined)


def given(value: Any) -> Any:
    """Return a value, or nil if it is undefined; in a strict render, raise an error for an undefined value."""
    if is_undefined(value):
        str(value)  # An undefined value of a strict render raises here.
        return None
    return value.__liquid__() if hasattr(value, "__liquid__") else value


_SOUGHT = frozenset({"remove", "remove_first", "remove_last", "replace", "replace_first", "replace_last"})
"""Filters that search for a text; if that text is nil they change nothing."""


def _text_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Convert one of Liquid's filters, so that it gets only texts."""

    def call(context: Work, value: Any, *arguments: Any) -> Any:
        options = {"environment": context.env} if getattr(function, "with_environment", False) else {}
        if name in _SOUGHT and arguments and arguments[0] is None:
            return text_of(value)
        text, texts = text_of(value), [text_of(argument) for argument in arguments]
        if name == "replace" and len(texts) > 1:
            require_text(len(text) + (text.count(texts[0]) if texts[0] else len(text) + 1) * len(texts[1]))
        if name == "strip_html" and len(text) > MAX_HTML:
            raise FilterArgumentError(f"strip_html: a text of more than {MAX_HTML:,} characters", token=None)
        try:
            return function(text, *texts, **options)
        except (UnicodeDecodeError, FilterError):  # The value is not valid base64.
            return None

    return call


def _truncate(_: Work, value: Any, length: Any = None, end: Any = "...") -> str:
    text, most, end = text_of(value), whole_of(length, 50), text_of(end)
    return text if len(text) <= most else text[: max(most - len(end), 0)] + end


def _truncatewords(_: Work, value: Any, count: Any = None, end: Any = "...") -> str:
    words, most = text_of(value).split(), max(whole_of(count, 15), 1)
    return text_of(value) if len(words) <= most else " ".join(words[:most]) + text_of(end)


def _slice(_: Work, value: Any, start: Any = None, length: Any = None) -> Any:
    held = list(value) if isinstance(value, list | tuple | range) else text_of(value)
    begin, most = whole_of(start, 0), max(whole_of(length, 1), 0)
    begin = max(begin + len(held), 0) if begin < 0 else begin
    return held[begin : begin + most]


def _length(_: Work, value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | range | Mapping) else 0


def _default(_: Work, value: Any, instead: Any = "", *, allow_false: Any = False) -> Any:
    if value is False and allow_false is not True:
        return instead
    return instead if value is None or value == "" or value in ([], (), {}) else value


def _date(context: Work, value: Any, form: Any = None) -> str:
    """Format milliseconds since the epoch, an RFC 3339 time or ``now``, in the user's time zone."""
    where = zones.zone(str(context.resolve("timezone")))
    at = _instant(context.resolve("now") if value in ("now", "today") else value, where)
    if at is None:
        return text_of(value)
    if len(text_of(form)) > MAX_DATE_FORM:
        raise FilterArgumentError(f"date: a format of more than {MAX_DATE_FORM} characters", token=None)
    return at.strftime(text_of(form) or "%Y-%m-%d")


def _instant(value: Any, where: tzinfo) -> datetime | None:
    try:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return zones.local(int(value), where)
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is None:
            return None
        return at.astimezone(where) if at.tzinfo else at.replace(tzinfo=where)
    except (ValueError, OverflowError, OSError):
        return None


_TEXTS: dict[str, Callable[..., Any]] = {
    "date": _date,
    "default": _default,
    "size": _length,
    "slice": _slice,
    "truncate": _truncate,
    "truncatewords": _truncatewords,
}
