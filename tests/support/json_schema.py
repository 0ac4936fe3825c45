"""A validator for the keywords of JSON Schema that the schema of the settings file uses."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_NOTES = {"title", "description", "default", "$schema", "$defs"}


class JsonSchema:
    """A JSON Schema.

    Parameters
    ----------
    schema
        The schema, with the schemas that it refers to in ``$defs``.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    def allows(self, value: Any) -> bool:
        """Return whether a value is valid."""
        return self._allows(self._schema, value)

    def _allows(self, schema: dict[str, Any], value: Any) -> bool:
        return all(self._meets(key, asked, schema, value) for key, asked in schema.items() if key not in _NOTES)

    def _meets(self, key: str, asked: Any, schema: dict[str, Any], value: Any) -> bool:
        match key:
            case "$ref":
                return self._allows(self._schema["$defs"][asked.removeprefix("#/$defs/")], value)
            case "anyOf":
                return any(self._allows(one, value) for one in asked)
            case "type":
                is_flag = isinstance(value, bool)
                return isinstance(value, _TYPES[asked]) and (not is_flag or asked == "boolean")
            case "enum":
                return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in asked)
            case "properties":
                return all(self._allows(asked[name], inner) for name, inner in value.items() if name in asked)
            case "required":
                return bool(value.keys() >= set(asked))
            case "additionalProperties":
                others = [inner for name, inner in value.items() if name not in schema.get("properties", {})]
                return not others if asked is False else all(self._allows(asked, inner) for inner in others)
            case "items":
                return all(self._allows(asked, inner) for inner in value)
            case "pattern":
                return re.search(asked, value) is not None
        return self._is_within(key, asked, value)

    def _is_within(self, key: str, asked: Any, value: Any) -> bool:
        match key:
            case "minItems" | "minLength":
                return bool(len(value) >= asked)
            case "maxItems" | "maxLength":
                return bool(len(value) <= asked)
            case "minimum":
                return bool(value >= asked)
            case "maximum":
                return bool(value <= asked)
            case "exclusiveMinimum":
                return bool(value > asked)
            case "exclusiveMaximum":
                return bool(value < asked)
        raise AssertionError(f"{key} is not known here")
