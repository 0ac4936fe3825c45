"""Random layouts of plain values as YAML, with comments wherever YAML allows them."""

from __future__ import annotations

import json
import random
from typing import Any

_NOT_WORDS = ("true", "false", "null")


class RandomLayout:
    """Writer of plain values in random layouts.

    Parameters
    ----------
    rng
        Source of the choices.
    comments
        Share of the places with a comment, 0 to 1.

    Attributes
    ----------
    written
        The comments so far, each different.
    """

    def __init__(self, rng: random.Random, comments: float) -> None:
        self._rng = rng
        self._share = comments
        self.written: list[str] = []

    def section(self, name: str, value: Any) -> str:
        """Write a top-level key and its value."""
        return "\n".join(self._member(name, value, 0)) + "\n"

    def _comment(self) -> str:
        if self._rng.random() >= self._share:
            return ""
        self.written.append(f"# {len(self.written)} 'a': [b, {{c")
        return self.written[-1]

    def _alone(self, column: int) -> list[str]:
        comment = self._comment()
        blank = [""] if self._rng.random() < self._share else []
        return [*blank, " " * (self._rng.randrange(column + 1) + column) + comment] if comment else blank

    def _ended(self, lines: list[str]) -> list[str]:
        comment = self._comment()
        return [*lines[:-1], f"{lines[-1]}{' ' * self._rng.randint(1, 9)}{comment}"] if comment else lines

    def _scalar(self, value: Any) -> str:
        is_plain = (
            isinstance(value, str) and value.replace("_", "").isalpha() and value not in ("true", "false", "null")
        )
        if is_plain and self._rng.random() < 0.7:
            return str(value)
        if isinstance(value, str) and self._rng.random() < 0.3 and "'" not in value:
            return f"'{value}'"
        return json.dumps(value)

    def _flow(self, value: Any, column: int) -> str:
        if isinstance(value, dict):
            inner = [f"{self._scalar(key)}: {self._flow(one, column)}" for key, one in self._shuffled(value)]
            return "{" + self._joined(inner, column) + "}"
        if isinstance(value, list):
            return "[" + self._joined([self._flow(one, column) for one in value], column) + "]"
        return self._scalar(value)

    def _joined(self, parts: list[str], column: int) -> str:
        text = self._gap(column)
        for i, part in enumerate(parts):
            text += part + self._gap(column) + (", " if i + 1 < len(parts) else "") + self._gap(column)
        return text

    def _gap(self, column: int) -> str:
        if self._rng.random() < 0.8:
            return ""
        lines = [f" {self._comment()}", *self._alone(column)]
        return "\n".join([*lines, " " * (column + 1)])

    def _shuffled(self, value: dict[str, Any]) -> list[tuple[str, Any]]:
        members = list(value.items())
        self._rng.shuffle(members)
        return members

    def _member(self, key: str, value: Any, column: int) -> list[str]:
        """Write a key and its value; the lines begin at ``column``."""
        lines = self._alone(column)
        head = " " * column + f"{self._scalar(key) if column else key}:"
        if not isinstance(value, dict | list) or not value or self._rng.random() < 0.4:
            return [*lines, *self._ended(f"{head} {self._flow(value, column + 1)}".split("\n"))]
        return [*lines, *self._ended([head]), *self._block(value, column + self._rng.randint(1, 3))]

    def _block(self, value: Any, column: int) -> list[str]:
        if isinstance(value, dict):
            return [line for key, one in self._shuffled(value) for line in self._member(key, one, column)]
        lines: list[str] = []
        for one in value:
            lines += self._alone(column)
            if not isinstance(one, dict | list) or not one or self._rng.random() < 0.4:
                lines += self._ended(f"{' ' * column}- {self._flow(one, column + 1)}".split("\n"))
            else:
                inner = self._block(one, column + 2)
                if inner[0].lstrip().startswith("#") or not inner[0]:
                    lines += [f"{' ' * column}-", *inner]
                else:
                    lines += [f"{' ' * column}- {inner[0].lstrip()}", *inner[1:]]
        return lines
