"""The canonical form of the settings file's text, for ``perennial fmt``: the conditions of segments by rule.

Only the segments are written again; every other character stays. A group (``all``, ``any``, ``none``) has a line for
each of its conditions. A clause has one line if it fits, with its keys in one sequence. Comments stay beside the
condition that they belong to.
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

SECTION = "segments"
"""Section that is formatted."""

_KEPT = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)


class Formatted(NamedTuple):
    """A formatted text.

    Attributes
    ----------
    text
        The text.
    note
        Reason why the segments are left as they are; empty if they are formatted.
    """

    text: str
    note: str = ""


class _Extent(NamedTuple):
    start: int
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
    """Write the segments of a settings file in their canonical form.

    Parameters
    ----------
    text
        The file's text: a mapping with valid segments, whose lines end with a line feed alone.

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
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    values, _ = plain_yaml.read(text)
    assert isinstance(root, yaml.MappingNode)
    place = _place(root)
    if place is None or not values[SECTION]:
        return Formatted(text)
    start, node, end = place
    tokens = tokens_of(text)
    inside = [token for token in tokens if start <= token.start_mark.index < end]
    if root.flow_style:
        return Formatted(text, "a file in braces has no lines of its own for conditions")
    if any(isinstance(token, _KEPT) or getattr(token, "style", None) in ("|", ">") for token in inside):
        return Formatted(text, "they have an anchor, an alias, a tag or a text over several lines")
    result = _Entries(text, Comments(text, tokens)).formatted(start, node, values[SECTION])
    expected = [{**entry, "when": plain(parse_condition(entry["when"], SECTION))} for entry in values[SECTION]]
    assert plain_yaml.read(result)[0] == {**values, SECTION: expected}, "a formatted file means something else"
    return Formatted(result)


def _place(root: yaml.MappingNode) -> tuple[int, yaml.SequenceNode, int] | None:
    """Return where the segments' key ends, their list, and where the next section begins."""
    keys = [key for key, _ in root.value]
    for i, (key, value) in enumerate(root.value):
        if key.value == SECTION:
            if not isinstance(value, yaml.SequenceNode):
                return None
            end = keys[i + 1].start_mark.index if i + 1 < len(keys) else root.end_mark.index
            return key.end_mark.index, value, end
    return None


class _Entries:
    """The segments of a text.

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

    def formatted(self, start: int, node: yaml.SequenceNode, values: list[Any]) -> str:
        """Return the text with the canonical form of the segments; ``start`` is where the key of their section ends."""
        pieces = [_Piece() for _ in values]
        head = self._spread(start, [_extent(entry) for entry in node.value], pieces, _end(node))
        lines = [_with(f"{self._text[:start]}:", head)]
        for entry, value, piece in zip(node.value, values, pieces, strict=True):
            before, written = self._entry(entry, value, piece.after, WIDTH - 4)
            lines += indent([*piece.before, *before, *begin_with("- ", written)])
        return "\n".join(lines) + self._text[_end(node) :]

    def _entry(
        self, node: yaml.MappingNode, value: dict[str, Any], after: list[str], room: int
    ) -> tuple[list[str], list[str]]:
        """Write a segment: its name, its condition, then everything else; return comments before it, and its lines."""
        pieces = {key.value: _Piece() for key, _ in node.value}
        extents = [_Extent(key.start_mark.index, _end(inner)) for key, inner in node.value]
        head = self._spread(node.start_mark.index, extents, [*pieces.values()], _end(node))
        if not node.flow_style:  # a comment after the last line belongs to that line, which may be moved
            pieces[node.value[-1][0].value].after += after
        written: dict[str, list[str]] = {}
        for key, inner in node.value:
            name, piece = key.value, pieces[key.value]
            if name == "when":
                condition = self._condition(inner, value[name])
                piece.before += [*self._between(key.end_mark.index, inner.start_mark.index), *condition.before]
                piece.after = [*condition.after, *piece.after]
                lines = self._lines(condition, room - 2)
                is_short = len(lines) == 1 and not condition.key and len(lines[0]) + len("when: ") <= room
                written[name] = [f"when: {lines[0]}"] if is_short else ["when:", *indent(lines)]
            else:
                piece.before += self._between(key.end_mark.index, _end(inner))
                written[name] = write_member(one_line(name), value[name], room)
        names = sorted(written, key=lambda name: ("name", "when").index(name) if name in ("name", "when") else 2)
        found: list[str] = []
        for name in names:
            lines = [*filter(None, pieces[name].before), *written[name]]
            found += [*lines[:-1], _with(lines[-1], pieces[name].after)]
        if node.flow_style:
            found[-1] = _with(found[-1], after)
        alone = len([text for text in pieces[names[0]].before if text])
        return [*head, *found[:alone]], found[alone:]

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
        clause = plain(parse_condition(value, SECTION))
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
