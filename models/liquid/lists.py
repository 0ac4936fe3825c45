"""Liquid's filters for lists of elements of any type; a value that is not a list counts as a list of one element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from liquid import Markup

from models.liquid.numbers import add
from models.liquid.values import Number, bounded, equal, number_of, sort_key, text_of
from models.liquid.work import Work, require_text


def _items(value: Any) -> list[Any]:
    """Return a value as a list; a value that is not a list becomes a list of one element."""
    if isinstance(value, list | tuple):
        return list(_flat(value, 5))
    return list(value) if isinstance(value, range) else [value]


def _flat(items: Iterable[Any], levels: int) -> Iterable[Any]:
    for item in items:
        if levels and isinstance(item, list | tuple):
            yield from _flat(item, levels - 1)
        else:
            yield item


def _property(item: Any, name: Any) -> Any:
    return item.get(text_of(name)) if isinstance(item, Mapping) else None


def _chosen(value: Any, name: Any, wanted: Any) -> Iterable[tuple[int, Any, bool]]:
    for i, item in enumerate(_items(value)):
        found = _property(item, name)
        yield i, item, found not in (None, False) if wanted is None else equal(found, wanted)


def _join(context: Work, value: Any, separator: Any = " ") -> str:
    texts, between = [text_of(item) for item in _items(value)], text_of(separator)
    require_text(sum(map(len, texts)) + len(between) * len(texts))
    if context.autoescape and (isinstance(separator, Markup) or between == " "):
        return Markup(between).join(texts)
    return between.join(texts)


def _first(_: Work, value: Any) -> Any:
    if isinstance(value, Mapping):
        return next(([name, held] for name, held in value.items()), None)
    return value[0] if isinstance(value, list | tuple | range) and len(value) else None


def _last(_: Work, value: Any) -> Any:
    return value[-1] if isinstance(value, list | tuple | range) and len(value) else None


def _concat(_: Work, value: Any, other: Any) -> list[Any]:
    return _items(value) + ([] if other is None else _items(other))


def _map(_: Work, value: Any, name: Any) -> list[Any]:
    return [_property(item, name) for item in _items(value)]


def _reverse(_: Work, value: Any) -> list[Any]:
    return _items(value)[::-1]


def _sort(_: Work, value: Any, name: Any = None) -> list[Any]:
    return sorted(_items(value), key=lambda item: sort_key(item if name is None else _property(item, name)))


def _sort_natural(_: Work, value: Any, name: Any = None) -> list[Any]:
    def key(item: Any) -> tuple[bool, str]:
        held = item if name is None else _property(item, name)
        return held is None, text_of(held).lower()

    return sorted(_items(value), key=key)


def _where(_: Work, value: Any, name: Any, wanted: Any = None) -> list[Any]:
    return [item for _, item, is_chosen in _chosen(value, name, wanted) if is_chosen]


def _reject(_: Work, value: Any, name: Any, wanted: Any = None) -> list[Any]:
    return [item for _, item, is_chosen in _chosen(value, name, wanted) if not is_chosen]


def _find(_: Work, value: Any, name: Any, wanted: Any = None) -> Any:
    return next((item for _, item, is_chosen in _chosen(value, name, wanted) if is_chosen), None)


def _find_index(_: Work, value: Any, name: Any, wanted: Any = None) -> int | None:
    return next((i for i, _, is_chosen in _chosen(value, name, wanted) if is_chosen), None)


def _has(_: Work, value: Any, name: Any, wanted: Any = None) -> bool:
    return any(is_chosen for _, _, is_chosen in _chosen(value, name, wanted))


def _uniq(_: Work, value: Any, name: Any = None) -> list[Any]:
    seen: dict[Any, Any] = {}
    for item in _items(value):
        held = item if name is None else _property(item, name)
        seen.setdefault((type(held) is bool, sort_key(held)), item)
    return list(seen.values())


def _compact(_: Work, value: Any, name: Any = None) -> list[Any]:
    return [item for item in _items(value) if (item if name is None else _property(item, name)) is not None]


def _sum(_: Work, value: Any, name: Any = None) -> Number | None:
    total: Number | None = 0
    for item in _items(value):
        number = number_of(item if name is None else _property(item, name))
        total = None if total is None or number is None else bounded(add(total, number))
    return total


LISTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "compact": _compact,
        "concat": _concat,
        "find": _find,
        "find_index": _find_index,
        "first": _first,
        "has": _has,
        "join": _join,
        "last": _last,
        "map": _map,
        "reject": _reject,
        "reverse": _reverse,
        "sort": _sort,
        "sort_natural": _sort_natural,
        "sum": _sum,
        "uniq": _uniq,
        "where": _where,
    }
)
"""Filters for lists, by name."""
