"""Read plain mappings into the structs of ``definition``, with errors that say where, what and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from models.errors import InvalidConfiguration

T = TypeVar("T")
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def read(mapping: Mapping[str, Any], form: type[T]) -> T:
    """Read ``mapping`` as a ``form``.

    Raises
    ------
    InvalidConfiguration
        Something has another type or range, is missing, or is not known.

    Examples
    --------
    >>> from models.engage.definition import Definition
    >>> read({"rules": [{"name": "x", "when": {"churn_risk": {"crosses": 7}}}]}, Definition)
    Traceback (most recent call last):
    ...
    models.errors.InvalidConfiguration: rules[0].when.churn_risk.crosses: found 7; allowed: a number above 0 and below 1
    """
    try:
        return msgspec.convert(mapping, form)
    except msgspec.ValidationError as error:
        raise _explained(str(error), mapping, form) from None


def _explained(message: str, mapping: Mapping[str, Any], form: type) -> InvalidConfiguration:
    match = _WHERE.match(message)
    assert match is not None
    what, path = match["what"], (match["path"] or "$").removeprefix("$")
    found: Any = mapping
    kind: inspect.Type | None = inspect.type_info(form)
    for key, index in _STEP.findall("." + path.lstrip(".") if path and path[0] != "[" else path):
        found, kind = _step(found, kind, key, index)
    where = path.lstrip(".")
    kind = _plain(kind)
    unknown = _UNKNOWN.search(what)
    if unknown:
        fields = ", ".join(field.encode_name for field in kind.fields) if isinstance(kind, inspect.StructType) else ""
        return InvalidConfiguration(f"{where}.{unknown[1]}".lstrip("."), unknown[1], f"one of {fields}")
    if what.startswith("Object missing required field"):
        missing = what.removeprefix("Object missing required field ")
        return InvalidConfiguration(where, sorted(found) if isinstance(found, Mapping) else found, f"with {missing}")
    allowed = what.removeprefix("Expected ").split(", got")[0].replace("`", "")
    # what a section checks itself is told in its own words
    said = _described(kind) if what.startswith(("Expected `", "Invalid ")) else ""
    return InvalidConfiguration(where, found, said or allowed)


def _step(found: Any, kind: inspect.Type | None, key: str, index: str) -> tuple[Any, inspect.Type | None]:
    kind = _plain(kind)
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if key:
        fields = kind.fields if isinstance(kind, inspect.StructType) else ()
        kind = next((field.type for field in fields if field.encode_name == key), None)
        return (found.get(key) if isinstance(found, Mapping) else None), kind
    kind = kind.item_type if isinstance(kind, inspect.ListType) else None
    if index == "..." or not isinstance(found, list | tuple):
        return None, kind
    return found[int(index)], kind


def _plain(kind: inspect.Type | None) -> inspect.Type | None:
    """Take ``T`` out of ``T | None``."""
    if isinstance(kind, inspect.UnionType):
        inner = [t for t in kind.types if not isinstance(t, inspect.NoneType)]
        return inner[0] if len(inner) == 1 else None
    return kind


def _described(kind: inspect.Type | None) -> str:
    """Say what a type allows, for people: its own description, its literal values, its bounds; or nothing."""
    match kind:
        case inspect.Metadata():
            return str((kind.extra_json_schema or {}).get("description", "")) or _described(kind.type)
        case inspect.LiteralType():
            return f"one of {', '.join(str(value) for value in kind.values)}"
        case inspect.IntType() | inspect.FloatType():
            what = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            return " ".join([what, _bounds(kind)]).strip()
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return "a text that is not empty" if kind.min_length else "a text"
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list{' with something in it' if kind.min_length else ''}"
        case inspect.StructType():
            return f"a mapping with {', '.join(field.encode_name for field in kind.fields)}"
        case inspect.DictType():
            return "a mapping"
    return ""


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    bounds = [("above", kind.gt), ("from", kind.ge), ("below", kind.lt), ("to", kind.le)]
    said = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    if len(said) == 1:  # "from 0" alone leaves open where it ends
        said = [said[0].replace("from", "of at least").replace("to", "of at most")]
    return " ".join(said) if kind.ge is not None and kind.le is not None else " and ".join(said)
