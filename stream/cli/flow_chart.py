"""A chart of flows between stages as SVG: on the left where users were, on the right where they went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 900, 560
"""Size of the chart, pixels."""
_LEFT, _RIGHT, _BAR, _TOP, _GAP, _MIN = 190, 690, 16, 60, 14, 1.5
_COLOURS = (
    *("#4c78a8", "#72b7b2", "#54a24b", "#88d27a", "#2f6b3a"),
    *("#f58518", "#b79a20", "#e45756", "#b279a2", "#9d755d"),
)


class StageFlow(NamedTuple):
    """A flow of users.

    Attributes
    ----------
    origin, target
        Names of the stages; the origin of new users is empty.
    users
        Number of users who have moved.
    """

    origin: str
    target: str
    users: int


def draw_flows(title: str, stages: Sequence[str], flows: Sequence[StageFlow], members: Mapping[str, int]) -> str:
    """Draw flows as bands whose height is the number of users.

    Parameters
    ----------
    title
        Text above the chart.
    stages
        All stages in their sequence.
    flows
        The flows; each names stages of ``stages``, and an empty origin stands for new users.
    members
        Number of users who are in each stage now.

    Examples
    --------
    >>> flows = [StageFlow("", "new", 3), StageFlow("new", "loyal", 1)]
    >>> drawn = draw_flows("Moves", ["new", "loyal"], flows, {"new": 2})
    >>> drawn.count("<path"), "new → loyal: 1" in drawn
    (2, True)
    """
    total = max(sum(flow.users for flow in flows), 1)
    rows = len(stages) + 1
    scale = (HEIGHT - _TOP - _GAP * rows - 20) / total
    origins, targets = ["", *stages], list(stages)
    left = _places(origins, {name: sum(one.users for one in flows if one.origin == name) for name in origins}, scale)
    right = _places(targets, {name: sum(one.users for one in flows if one.target == name) for name in targets}, scale)
    shown = [_head(title)]
    offsets = {"left": dict.fromkeys(origins, 0.0), "right": dict.fromkeys(targets, 0.0)}
    order = {name: number for number, name in enumerate(origins)}
    for flow in sorted(flows, key=lambda one: (order[one.origin], order[one.target])):
        height = flow.users * scale
        begin = left[flow.origin].y + offsets["left"][flow.origin]
        end = right[flow.target].y + offsets["right"][flow.target]
        offsets["left"][flow.origin] += height
        offsets["right"][flow.target] += height
        shown.append(_band(flow, begin, end, height, _COLOURS[order[flow.origin] % len(_COLOURS)]))
    for name, bar in left.items():
        shown.append(_bar(_LEFT - _BAR, bar, _COLOURS[order[name] % len(_COLOURS)]))
        shown.append(_label(_LEFT - _BAR - 8, bar, f"{name or '(new users)'} {bar.users:,}", "end"))
    for name, bar in right.items():
        shown.append(_bar(_RIGHT, bar, _COLOURS[order[name] % len(_COLOURS)]))
        label = f"{bar.users:,} {name}, {members.get(name, 0):,} now"
        shown.append(_label(_RIGHT + _BAR + 8, bar, label, "start"))
    return "\n".join([*shown, "</svg>"]) + "\n"


class _Bar(NamedTuple):
    y: float
    height: float
    users: int


def _places(names: Sequence[str], users: Mapping[str, int], scale: float) -> dict[str, _Bar]:
    found, y = {}, float(_TOP)
    for name in names:
        height = max(users[name] * scale, _MIN)
        found[name] = _Bar(y, height, users[name])
        y += height + _GAP
    return found


def _head(title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="20" y="30" font-size="16">{escape(title)}</text>'
    )


def _band(flow: StageFlow, begin: float, end: float, height: float, colour: str) -> str:
    middle = (_LEFT + _RIGHT) / 2
    name = escape(f"{flow.origin or 'new users'} → {flow.target}: {flow.users:,}")
    return (
        f'<path d="M{_LEFT},{begin:.1f} C{middle:.0f},{begin:.1f} {middle:.0f},{end:.1f} {_RIGHT},{end:.1f} '
        f"L{_RIGHT},{end + height:.1f} C{middle:.0f},{end + height:.1f} {middle:.0f},{begin + height:.1f} "
        f'{_LEFT},{begin + height:.1f} Z" fill="{colour}" fill-opacity="0.45"><title>{name}</title></path>'
    )


def _bar(x: float, bar: _Bar, colour: str) -> str:
    return f'<rect x="{x}" y="{bar.y:.1f}" width="{_BAR}" height="{bar.height:.1f}" fill="{colour}"/>'


def _label(x: float, bar: _Bar, text: str, anchor: str) -> str:
    y = bar.y + bar.height / 2 + 4
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
