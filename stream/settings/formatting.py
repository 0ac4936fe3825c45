"""The canonical form of the settings file's text, for ``perennial fmt``: the sections that have conditions.

Only the segments by rule and the lifecycle are written again; every other character stays. A group (``all``, ``any``,
``none``) has a line for each of its conditions. A clause has one line if it fits, with its keys in one sequence.
Comments stay beside the condition that they belong to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from models.conditions.parsing import parse_condition
from models.conditions.schema import GROUPS
from models.conditions.writing import plain
from stream.settings import plain_yaml
from stream.settings.comments import Comments, tokens_of
from stream.settings.plain_writing import WIDTH, begin_with, indent, lines_of, one_line, write_member

SEGMENTS, LIFECYCLE = "segments", "lifecycle"
SECTIONS = (SEGMENTS, LIFECYCLE)
"""Sections that are formatted."""

_LEFT = {SEGMENTS: "the segments are left as they are", LIFECYCLE: "the lifecycle is left as it is"}
_MOVES = "moves"
_KEYS = {SEGMENTS: ("name", "when"), LIFECYCLE: ("defaults", "stages", _MOVES), _MOVES: ("from", "to", "when")}
"""The sequence of keys; any others come after them."""
_KEPT = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)


class Formatted(NamedTuple):
    """A formatted text.

    Attributes
    ----------
    text
        The text.
    notes
        Which sections are left as they are, each with the reason.
    """

    text: str
    notes: tuple[str, ...] = ()


class _Extent(NamedTuple):
    start: int
    end: int


class _Place(NamedTuple):
    """The place of a section: where its key ends, its value, and where the next section begins."""

    start: int
    node: yaml.CollectionNode
    end: int


@dataclass(slots=True)
class _Piece:
    """A condition with its comments.

    Attributes
    ----------
    key
        ``all``, ``any``, ``none`` or ``not``; empty for a clause.
    clause
        Written form of a clause.
    parts
        Conditions of a group.
    before
        Comments in lines of their own, before the condition.
    after
        Comments at the end of the last line.
    """

    key: str = ""
    clause: dict[str, Any] = field(default_factory=dict)
    parts: list[_Piece] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def formatted(text: str) -> Formatted:
    """Write the segments and the lifecycle of a settings file in their canonical form.

    Parameters
    ----------
    text
        The file's text: a mapping with valid sections, whose lines end with a line feed alone.

    Examples
    --------
    >>> print(formatted("segments: [{when: {all: [{is: pro, trait: plan}, {segment: a}]}, name: b}]  # ours").text)
    segments:
      - name: b
        when:
          all:
            - {trait: plan, is: pro}
            - {segment: a}  # ours
    """
    notes: list[str] = []
    for section in SECTIONS:
        text, reason = _with_section(text, section)
        if reason:
            notes.append(f"{_LEFT[section]}: {reason}")
    return Formatted(text, tuple(notes))


def _with_section(text: str, section: str) -> tuple[str, str]:
    """Return a text with the canonical form of one section, and the reason why the section is left as it is."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    values, _ = plain_yaml.read(text)
    assert isinstance(root, yaml.MappingNode)
    place = _place(root, section)
    if place is None or not values[section]:
        return text, ""
    if root.flow_style:
        return text, "a file in braces has no lines of its own for conditions"
    tokens = tokens_of(text)
    inside = [token for token in tokens if place.start <= token.start_mark.index < place.end]
    if any(isinstance(token, _KEPT) or getattr(token, "style", None) in ("|", ">") for token in inside):
        return text, "anchors, aliases, tags, and texts over several lines are not formatted"
    result = _Section(text, Comments(text, tokens)).formatted(place, values[section])
    expected = {**values, section: _canonical(section, values[section])}
    assert plain_yaml.read(result)[0] == expected, "a formatted file means something else"
    return result, ""


def _canonical(section: str, value: Any) -> Any:
    """Return the value of a section as its canonical form states it."""
    if section == LIFECYCLE:
        return {**value, _MOVES: _canonical(_MOVES, value[_MOVES])} if value.get(_MOVES) else value
    return [{name: _plain_member(name, inner) for name, inner in entry.items()} for entry in value]


def _plain_member(name: str, value: Any) -> Any:
    """Return the value of a key of a segment or a move: a condition as it is written, and one stage without a list."""
    if name == "when" and isinstance(value, dict):
        return plain(parse_condition(value, name))
    return value[0] if name == "from" and isinstance(value, list) and len(value) == 1 else value


def _place(root: yaml.MappingNode, section: str) -> _Place | None:
    keys = [key for key, _ in root.value]
    for i, (key, value) in enumerate(root.value):
        if key.value == section:
            if not isinstance(value, yaml.CollectionNode):
                return None
            end = keys[i + 1].start_mark.index if i + 1 < len(keys) else root.end_mark.index
            return _Place(key.end_mark.index, value, end)
    return None


class _Value(NamedTuple):
    """A value in the text, and the extent of the comments that belong to it."""

    node: Any
    value: Any
    start: int
    end: int


class _Section:
    """A section of a text.

    Parameters
    ----------
    text
        The text.
    comments
        Its comments.
    """

    def __init__(self, text: str, comments: Comments) -> None:
        self._text = text
        self._comments = comments

    def formatted(self, place: _Place, value: Any) -> str:
        """Return the text with the canonical form of the section."""
        end = self._text.find("\n", _end(place.node))
        end = len(self._text) if end < 0 else end
        one = _Value(place.node, value, place.start, end)
        if isinstance(place.node, yaml.SequenceNode):
            head, lines = self._entries(one, SEGMENTS, [], WIDTH - 4)
        else:
            head, before, lines = self._mapping(one, LIFECYCLE, [], WIDTH - 2)
            lines = [*before, *lines]
        return "\n".join([_with(f"{self._text[: place.start]}:", head), *indent(lines)]) + self._text[end:]

    def _entries(self, one: _Value, kind: str, after: list[str], room: int) -> tuple[list[str], list[str]]:
        """Write a list of segments or moves; return the comments of the whole list, and its lines."""
        pieces = [_Piece() for _ in one.value]
        head = self._spread(one.start, [_extent(entry) for entry in one.node.value], pieces, one.end)
        pieces[-1].after += after
        found: list[str] = []
        for entry, value, piece in zip(one.node.value, one.value, pieces, strict=True):
            inner = _Value(entry, value, entry.start_mark.index, _end(entry))
            whole, before, lines = self._mapping(inner, kind, piece.after, room)
            found += [*piece.before, *whole, *before, *begin_with("- ", lines)]
        return head, found

    def _mapping(self, one: _Value, kind: str, after: list[str], room: int) -> tuple[list[str], list[str], list[str]]:
        """Write keys and values in their sequence; return the comments of the whole, those before it, and its lines."""
        node = one.node
        pieces = {key.value: _Piece() for key, _ in node.value}
        extents = [_Extent(key.start_mark.index, _end(inner)) for key, inner in node.value]
        head = self._spread(one.start, extents, [*pieces.values()], one.end)
        if not node.flow_style:  # a comment after the last line belongs to that line, which may be moved
            pieces[node.value[-1][0].value].after += after
        written: dict[str, list[str]] = {}
        for key, inner in node.value:
            member = _Value(inner, one.value[key.value], key.end_mark.index, _end(inner))
            written[key.value] = self._member(key.value, member, pieces[key.value], room)
        names = sorted(written, key=lambda name: _KEYS[kind].index(name) if name in _KEYS[kind] else len(_KEYS[kind]))
        found: list[str] = []
        for name in names:
            lines = [*filter(None, pieces[name].before), *written[name]]
            found += [*lines[:-1], _with(lines[-1], pieces[name].after)]
        if node.flow_style:
            found[-1] = _with(found[-1], after)
        alone = len([text for text in pieces[names[0]].before if text])
        return head, found[:alone], found[alone:]

    def _member(self, name: str, one: _Value, piece: _Piece, room: int) -> list[str]:
        """Write a key and its value; comments inside of the value are moved into the piece."""
        if name == "when" and isinstance(one.value, dict):
            condition = self._condition(one.node, one.value)
            piece.before += [*self._between(one.start, one.node.start_mark.index), *condition.before]
            piece.after = [*condition.after, *piece.after]
            lines = self._lines(condition, room - 2)
            is_short = len(lines) == 1 and not condition.key and len(lines[0]) + len("when: ") <= room
            return [f"when: {lines[0]}"] if is_short else ["when:", *indent(lines)]
        if name == _MOVES and one.value:
            head, lines = self._entries(one, _MOVES, piece.after, room - 4)
            piece.after = []
            return [_with(f"{_MOVES}:", head), *indent(lines)]
        piece.before += self._between(one.start, one.end)
        return write_member(one_line(name), _plain_member(name, one.value), room)

    def _condition(self, node: yaml.MappingNode, value: dict[str, Any]) -> _Piece:
        key = next(iter(value))
        if len(value) == 1 and key in GROUPS:
            inner = node.value[0][1]
            parts = [self._condition(one, held) for one, held in zip(inner.value, value[key], strict=True)]
            extents = [_extent(one) for one in inner.value]
            head = self._spread(node.start_mark.index, extents, parts, _end(node))
            return _simple(_Piece(key, parts=parts, before=head))
        if len(value) == 1 and key == "not":
            inner = node.value[0][1]
            part = self._condition(inner, value[key])
            part.before = [*self._between(node.start_mark.index, inner.start_mark.index), *part.before]
            part.before += self._between(_end(inner), _end(node))
            return _simple(_Piece(key, parts=[part]))
        clause = plain(parse_condition(value, "when"))
        return _Piece(clause=clause, before=self._between(node.start_mark.index, _end(node)))

    def _lines(self, piece: _Piece, room: int) -> list[str]:
        if not piece.key:
            return lines_of(piece.clause, room)
        if piece.key == "not":
            (part,) = piece.parts
            lines = self._lines(part, room - 2)
            is_short = len(lines) == 1 and not part.key and len(lines[0]) + len("not: ") <= room
            return [f"not: {lines[0]}"] if is_short else ["not:", *indent(lines)]
        found = [f"{piece.key}:"]
        for part in piece.parts:
            lines = [*part.before, *begin_with("- ", self._lines(part, room - 4))]
            found += indent([*lines[:-1], _with(lines[-1], part.after)])
        return found

    def _between(self, start: int, end: int) -> list[str]:
        return [comment.text for comment in self._comments.between(start, end) if comment.text]

    def _spread(self, start: int, extents: list[_Extent], pieces: list[_Piece], end: int) -> list[str]:
        """Give each comment between the members of a list or mapping to one of them; return those of the whole.

        A comment in a line of its own and an empty line belong to the member after them. Any other comment belongs to
        the member before it. An empty line stays only between two members, and only one of several.
        """
        head: list[str] = []
        done, before = start, head
        for i, (extent, piece) in enumerate(zip(extents, pieces, strict=True)):
            alone: list[str] = []
            for comment in self._comments.between(done, extent.start):
                if comment.text or (alone[-1] if alone else i > 0):
                    (alone if comment.is_alone else before).append(comment.text)
            piece.before = [*alone, *piece.before]
            done, before = extent.end, piece.after
        for comment in self._comments.between(done, end):
            if comment.text:
                (pieces[-1].before if comment.is_alone else before).append(comment.text)
        return head


def _extent(node: yaml.Node) -> _Extent:
    return _Extent(node.start_mark.index, _end(node))


def _end(node: yaml.Node) -> int:
    """Return where a value ends. If it has a line for each member, PyYAML's mark is where the next value begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _simple(piece: _Piece) -> _Piece:
    """Return a group as :func:`models.conditions.writing.plain` writes it, with all comments."""
    if len(piece.parts) == 1:
        (part,) = piece.parts
        before, after = [*piece.before, *part.before], [*part.after, *piece.after]
        if piece.key in ("all", "any"):
            part.before, part.after = before, after
            return part
        if part.key == "any":
            return _Piece("none", parts=part.parts, before=before, after=after)
        part.before, part.after = [], []
        return _Piece("not", parts=[part], before=before, after=after)
    return piece


def _with(line: str, comments: list[str]) -> str:
    return "  ".join([line, *comments])
