"""The names of everything that a struct can say in JSON: fields, and the values of those fields that have a choice."""

from __future__ import annotations

from typing import Any

import msgspec


def vocabulary(kind: type) -> set[str]:
    """Return ``Struct.field`` and ``Struct.field=value`` of a struct and of all structs inside it."""
    found: set[str] = set()
    for name, definition in msgspec.json.schema(kind)["$defs"].items():
        for field, content in definition.get("properties", {}).items():
            found.add(f"{name}.{field}")
            found |= {f"{name}.{field}={value}" for value in _choices(content)}
    return found


def _choices(content: Any) -> set[str]:
    if isinstance(content, dict):
        stated = {str(value) for value in content.get("enum", ()) if value is not None}
        return stated.union(*(_choices(part) for key, part in content.items() if key != "enum"))
    if isinstance(content, list):
        return set[str]().union(*map(_choices, content))
    return set()
