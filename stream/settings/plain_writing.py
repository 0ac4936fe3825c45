"""Writer of plain values as YAML that :mod:`stream.settings.plain_yaml` reads back as the same values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from stream.settings import plain_yaml

WIDTH = 120
"""Number of columns within which a value is written in one line."""

MAX_KEY = 128
"""Maximum length of a key that has a line of its own. YAML marks a longer one with ``?``."""

_ONE_LINE = 1 << 30
_BREAKS = frozenset("\n\r\x85\u2028\u2029")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Writer(yaml.SafeDumper):
    """Writer that quotes a text if our reader, or a reader of YAML 1.1, would take it for a number or a flag.

    A text that looks like a time has no quotes, because our reader keeps times as texts.
    """

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value again wherever it occurs."""
        del data
        return True


_Writer.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != _TIMESTAMP]
    for first, forms in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
plain_yaml.add_resolvers(_Writer)


def _represent_text(writer: _Writer, text: str) -> yaml.ScalarNode:
    # Only double quotes keep a text with line breaks in one line.
    style = '"' if not _BREAKS.isdisjoint(text) else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _represent_text)


def one_line(value: Any) -> str:
    """Write a value in one line.

    Examples
    --------
    >>> one_line({"event": "A", "where": {"plan": ["pro", "no", "21"]}, "within": "7d"})
    "{event: A, where: {plan: [pro, 'no', '21']}, within: 7d}"
    """
    text: str = yaml.dump(
        value, Dumper=_Writer, default_flow_style=True, width=_ONE_LINE, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def lines_of(value: Any, room: int) -> list[str]:
    """Write a value in one line if it fits into ``room`` columns, otherwise in as few lines as possible."""
    line = one_line(value)
    if len(line) <= room or not value or not isinstance(value, Mapping | list):
        return [line]
    if isinstance(value, Mapping) and max(len(one_line(key)) for key in value) > MAX_KEY:
        return [line]
    if isinstance(value, list):
        return [text for inner in value for text in begin_with("- ", lines_of(inner, room - 2))]
    return [text for key, inner in value.items() for text in write_member(one_line(key), inner, room)]


def write_member(key: str, value: Any, room: int) -> list[str]:
    """Write a key and its value; a value that needs several lines begins below the key."""
    line = f"{key}: {one_line(value)}"
    if len(line) <= room or not value or not isinstance(value, Mapping | list):
        return [line]
    return [f"{key}:", *indent(lines_of(value, room - 2))]


def indent(lines: list[str]) -> list[str]:
    """Move lines two columns to the right, except for empty ones."""
    return [f"  {line}" if line else line for line in lines]


def begin_with(prefix: str, lines: list[str]) -> list[str]:
    """Put a prefix before the first line, and indent the others as far."""
    return [prefix + lines[0], *(" " * len(prefix) + line if line else line for line in lines[1:])]
