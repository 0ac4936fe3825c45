"""Reading of plain mappings into structs; errors give the place, the value found and the values allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from models.errors import InvalidConfiguration

T = TypeVar("T")
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def read(mapping: Mapping[str, Any], form: type[T]) -> T:
    """Read ``mapping`` as a ``form``.

    Raises
    ------
    InvalidConfiguration
        A value has another type or range, or a field is missing or unknown.

    Examples
    --------
    >>> from models.configuration.definition import Definition
    >>> read({"rules": [{"name": "x", "when": {"churn_risk": {"crosses": 7}}}]}, Definition)
    Traceback (most recent call last):
    ...
    models.errors.InvalidConfiguration: rules[0].when.churn_risk.crosses: found 7; allowed: a number above 0 and below 1
    """
    try:
        return msgspec.convert(mapping, form)
    except msgspec.ValidationError as error:
        raise _explained(str(error), mapping, form) from None


def read_at(mapping: Mapping[str, Any], form: type[T], path: str) -> T:
    """Read ``mapping``, which is at ``path`` of a file, as a ``form``; errors name the whole path."""
    try:
        return read(mapping, form)
    except InvalidConfiguration as error:
        within = error.path
        whole = path if not within else f"{path}{within}" if within[0] == "[" else f"{path}.{within}"
        raise InvalidConfiguration(whole, error.found, error.allowed) from None


def _explained(message: str, mapping: Mapping[str, Any], form: type) -> InvalidConfiguration:
    match = _WHERE.match(message)
    assert match is not None
    what, path = match["what"], (match["path"] or "$").removeprefix("$")
    at = _Place("", mapping, form)
    for key, index in _STEP.findall("." + path.lstrip(".") if path and path[0] != "[" else path):
        at = at.member(key) if key else at.free_key() if index == "..." else at.element(int(index))
    where, found = at.path, at.found
    kind = None if at.form is None else _plain(inspect.type_info(at.form))
    unknown = _UNKNOWN.search(what)
    if unknown:
        allowed = f"one of {', '.join(_fields(kind))}"
        return InvalidConfiguration(f"{where}.{unknown[1]}".lstrip("."), unknown[1], allowed)
    if what.startswith("Object missing required field"):
        missing = what.removeprefix("Object missing required field ")
        return InvalidConfiguration(where, sorted(found) if isinstance(found, Mapping) else found, f"with {missing}")
    allowed = what.removeprefix("Expected ").split(", got")[0].replace("`", "")
    # If a section's check has failed, use the section's description instead of msgspec's message.
    described = _described(kind) if what.startswith(("Expected `", "Invalid ")) else ""
    return InvalidConfiguration(where, found, described or allowed)


class _Place(NamedTuple):
    """A place in the mapping that was read.

    Attributes
    ----------
    path
        Path from the top, such as ``rules[0].when``.
    found
        Value at that place.
    form
        Type that is expected there; ``None`` if unknown.
    """

    path: str
    found: Any
    form: Any

    def member(self, key: str) -> _Place:
        """Return the place of a field of a struct."""
        found = self.found.get(key) if isinstance(self.found, Mapping) else None
        form = None
        for option in _options(self.form):
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                names = {field.encode_name: field.name for field in msgspec.structs.fields(option)}
                form = get_type_hints(option, include_extras=True).get(names.get(key, ""))
        return _Place(f"{self.path}.{key}".lstrip("."), found, form)

    def element(self, index: int) -> _Place:
        """Return the place of an element of a list."""
        form = next((get_args(option)[0] for option in _options(self.form) if _is_list(option)), None)
        found = self.found[index] if isinstance(self.found, list | tuple) and index < len(self.found) else None
        return _Place(f"{self.path}[{index}]", found, form)

    def free_key(self) -> _Place:
        """Find the first value with a wrong type in a mapping with free keys, because msgspec does not name its key."""
        form = next((get_args(option)[1] for option in _options(self.form) if get_origin(option) is dict), None)
        if form is None or not isinstance(self.found, Mapping):
            return self
        for key, value in self.found.items():
            try:
                msgspec.convert(value, form)
            except msgspec.ValidationError:
                return _Place(f"{self.path}.{key}".lstrip("."), value, form)
        return self


def _is_list(form: Any) -> bool:
    """Return whether a type hint is a list, or a tuple of any length."""
    return get_origin(form) is list or (get_origin(form) is tuple and get_args(form)[1:] == (Ellipsis,))


def _options(form: Any) -> tuple[Any, ...]:
    """List the types that a type hint allows, each without its annotations."""
    if get_origin(form) is Annotated:
        return _options(get_args(form)[0])
    if get_origin(form) in (Union, UnionType):
        return tuple(option for each in get_args(form) for option in _options(each))
    return (form,)


def _plain(kind: inspect.Type) -> inspect.Type:
    """Return ``T`` of ``T | None``; any other type is returned unchanged."""
    if isinstance(kind, inspect.UnionType):
        inner = [t for t in kind.types if not isinstance(t, inspect.NoneType)]
        return inner[0] if len(inner) == 1 else kind
    return kind


def _described(kind: inspect.Type | None) -> str:
    """Describe the values that a type allows; return an empty text if the type gives no description."""
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
        case inspect.UnionType():
            return _either(kind)
    return ""


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    bounds = [("above", kind.gt), ("from", kind.ge), ("below", kind.lt), ("to", kind.le)]
    parts = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    if len(parts) == 1:  # "from 0" alone would look as if the upper bound were missing.
        parts = [parts[0].replace("from", "of at least").replace("to", "of at most")]
    return " ".join(parts) if kind.ge is not None and kind.le is not None else " and ".join(parts)


def _either(kind: inspect.UnionType) -> str:
    """Describe the values that a union of scalars, lists and structs allows."""
    named = (
        ("a text", inspect.StrType),
        ("a number", inspect.IntType | inspect.FloatType),
        ("true or false", inspect.BoolType),
        ("a list of these", inspect.ListType),
    )
    words = [_described(each) for each in kind.types if isinstance(each, inspect.Metadata)]
    words += [word for word, form in named if any(isinstance(each, form) for each in kind.types)]
    words += [_described(each) for each in kind.types if isinstance(each, inspect.StructType)]
    return ", or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _fields(kind: inspect.Type | None) -> list[str]:
    """List the fields of a struct, or of the structs in a union."""
    if isinstance(kind, inspect.UnionType):
        return [name for each in kind.types for name in _fields(each)]
    return [field.encode_name for field in kind.fields] if isinstance(kind, inspect.StructType) else []
