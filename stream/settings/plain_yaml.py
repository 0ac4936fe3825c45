"""Reader of settings in YAML: plain values, each with its line. The time to read grows only with the text's length.

No text can make reading it slow. Its length, its number of values and its nesting have limits, and each alias counts as
often as it is used. Nothing is read twice, and tags that build other objects are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 2_000_000
"""Maximum length of a text."""
MAX_VALUES = 100_000
"""Maximum number of keys and values of a text: about 5,000 rules."""
MAX_DEPTH = 50
"""Maximum nesting of lists and mappings."""

_TAG = "tag:yaml.org,2002:"
_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGERS = range(-(1 << 63), 1 << 63)


class Unreadable(ValueError):
    """A text that is not YAML, or that has a value which settings cannot hold.

    Parameters
    ----------
    problem
        The parser's words, or the text found.
    line
        Number of the line, from 1; 0 if it is not known.
    path, allowed
        Path of the setting, and what is allowed there; empty for a text that is not YAML at all.
    """

    def __init__(self, problem: str, line: int, path: str = "", allowed: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.path = path
        self.allowed = allowed


class _Parser(yaml.SafeLoader):
    """Parser of YAML 1.2's plain scalars: ``no`` and ``21:00`` are words, and nothing becomes a date."""


def add_resolvers(kind: Any) -> None:
    """Make a parser or a writer of PyYAML recognize the plain scalars that are not texts here."""
    for name, form, first in (
        ("bool", r"^(?:true|false)$", "tf"),
        ("null", r"^(?:~|null|)$", ["~", "n", ""]),
        ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
        ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+0123456789."),
    ):
        kind.add_implicit_resolver(f"{_TAG}{name}", re.compile(form), list(first))


_Parser.yaml_implicit_resolvers = {}
add_resolvers(_Parser)


@dataclass(slots=True, eq=False)
class _Node:
    """A value in its written form.

    Attributes
    ----------
    kind
        ``map``, ``seq``, or the kind of a scalar: ``str``, ``int``, ``float``, ``bool``, ``null``. Otherwise an
        unknown tag.
    line
        Number of the line, from 1.
    text
        Text of a scalar.
    items
        Values of a list, or alternately the keys and values of a mapping.
    size, depth
        Number of values, itself included, and levels of nesting; 0 until it is complete.
    """

    kind: str
    line: int
    text: str = ""
    items: list[_Node] = field(default_factory=list)
    size: int = 0
    depth: int = 0


def read(text: str) -> tuple[Any, dict[str, int]]:
    """Read a text.

    Returns
    -------
    tuple
        The value, and the line of every value in it by its path, such as ``rules[0].when``.

    Raises
    ------
    Unreadable
        The text cannot be read; the error has the line of the problem.

    Examples
    --------
    >>> read("rules: [{name: x}]")
    ({'rules': [{'name': 'x'}]}, {'rules': 1, 'rules[0]': 1, 'rules[0].name': 1})
    """
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"it has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read", 0)
    try:
        root = _compose(text)
    except yaml.YAMLError as error:
        raise Unreadable(_problem(error), _line(error, text)) from error
    lines: dict[str, int] = {}
    return (None if root is None else _value(root, "", lines)), lines


def is_torn(text: str) -> bool:
    """Return whether a text has half of a character, so that it cannot be written in UTF-8."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"the character #x{error.character:04x} is not allowed"
    return str(getattr(error, "problem", None) or error)


def _line(error: yaml.YAMLError, text: str) -> int:
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1
    mark = getattr(error, "problem_mark", None)
    return 0 if mark is None else int(mark.line) + 1


def _events(parser: _Parser) -> Iterator[Any]:
    while parser.check_event():
        yield parser.get_event()  # type: ignore[no-untyped-call]


def _compose(text: str) -> _Node | None:
    """Build the tree without recursion, because deep nesting must do no harm before it is counted."""
    parser = _Parser(text)
    root: _Node | None = None
    open_nodes: list[_Node] = []
    anchors: dict[str, _Node] = {}
    count = documents = 0
    for event in _events(parser):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable("a second document begins here", line)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            _close(open_nodes.pop())
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        node = _node(event, parser, anchors, line)
        count += max(node.size, 1)
        if count > MAX_VALUES:
            raise Unreadable(f"more than {MAX_VALUES:,} values, each alias counted as often as it is used", line)
        if len(open_nodes) + max(node.depth, 1) > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH} levels", line)
        if open_nodes:
            open_nodes[-1].items.append(node)
        else:
            root = node
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(node)
    return root


def _node(event: Any, parser: _Parser, anchors: dict[str, _Node], line: int) -> _Node:
    if isinstance(event, yaml.AliasEvent):
        known = anchors.get(event.anchor or "")
        if known is None:
            raise Unreadable(f"found undefined alias {event.anchor!r}", line)
        if not known.size:
            raise Unreadable(f"the alias {event.anchor!r} is used inside the value that it names", line)
        return known
    if isinstance(event, yaml.ScalarEvent):
        if is_torn(event.value):
            raise Unreadable("half of a character (a lone surrogate)", line)
        node = _Node(_scalar_kind(event, parser), line, event.value, size=1, depth=1)
    else:
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        plain = event.tag in (None, "!", f"{_TAG}{kind}")
        node = _Node(kind if plain else event.tag, line)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _scalar_kind(event: Any, parser: _Parser) -> str:
    tag: str = parser.resolve(yaml.ScalarNode, event.value, (True, False))  # type: ignore[no-untyped-call]
    plain = tag.removeprefix(_TAG)
    if event.tag is None:
        return plain if event.implicit[0] else "str"
    asked = str(event.tag).removeprefix(_TAG)
    return "str" if asked in ("str", "!") else plain if asked == plain else str(event.tag)


def _close(node: _Node) -> None:
    node.size = 1 + sum(item.size for item in node.items)
    node.depth = 1 + max((item.depth for item in node.items), default=0)


def _value(node: _Node, path: str, lines: dict[str, int]) -> Any:
    match node.kind:
        case "map":
            return _mapping(node, path, lines)
        case "seq":
            found = []
            for i, item in enumerate(node.items):
                lines[f"{path}[{i}]"] = item.line
                found.append(_value(item, f"{path}[{i}]", lines))
            return found
        case "str":
            return node.text
        case "null":
            return None
        case "bool":
            return node.text == "true"
        case "int":
            # a longer number is not converted, because that takes time that grows with the square of its length
            number = int(node.text) if len(node.text) <= 20 else _INTEGERS.stop
            if number not in _INTEGERS:
                raise Unreadable(node.text, node.line, path, "a whole number of at most 64 bits")
            return number
        case "float":
            if not math.isfinite(float(node.text)):
                raise Unreadable(node.text, node.line, path, "a number of at most 308 digits")
            return float(node.text)
    tag = node.kind.replace(_TAG, "!!")
    raise Unreadable(tag, node.line, path, "plain values, without a tag")


def _mapping(node: _Node, path: str, lines: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in zip(node.items[::2], node.items[1::2], strict=True):
        if key.kind in ("map", "seq"):
            raise Unreadable(f"a {'mapping' if key.kind == 'map' else 'list'} as a key", key.line, path, "a text")
        inner = f"{path}.{key.text}" if path else key.text
        if key.text in found:
            raise Unreadable(f"{key.text} again", key.line, inner, f"each key once; line {lines[inner]} has it, too")
        lines[inner] = key.line
        found[key.text] = _value(value, inner, lines)
    return found
