"""Lines over time as an SVG, without a library: a few panels below each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 130, 28, 24
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#7c3aed", "#d97706")


class Panel(NamedTuple):
    """One panel of a plot.

    Attributes
    ----------
    title
        Title with the unit.
    over
        Position of each value on the horizontal axis, ascending.
    lines
        Values by name; a NaN leaves a gap.
    """

    title: str
    over: Sequence[float]
    lines: Mapping[str, Sequence[float]]


def draw(title: str, panels: Sequence[Panel], axis: str) -> str:
    """Draw the panels as an SVG document.

    Examples
    --------
    >>> draw("memory", [Panel("MiB", [0, 1], {"fold": [1.0, 2.0]})], "minutes").count("<polyline")
    1
    """
    height = 40 + HEIGHT * len(panels) + 20
    size = f'width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, 40 + HEIGHT * number)
    parts.append(
        f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2:.0f}" y="{height - 6}" text-anchor="middle">{escape(axis)}</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: int) -> list[str]:
    bottom, right = top + HEIGHT - _BOTTOM, WIDTH - _RIGHT
    values = [value for line in panel.lines.values() for value in line if math.isfinite(value)]
    highest = _round_up(max(values, default=1.0) or 1.0)
    first, last = panel.over[0], max(panel.over[-1], panel.over[0] + 1e-9)

    def x(value: float) -> float:
        return _LEFT + (value - first) / (last - first) * (right - _LEFT)

    def y(value: float) -> float:
        return bottom - value / highest * (bottom - top - _TOP)

    parts = [f'<text x="{_LEFT}" y="{top + 16}" font-weight="bold">{escape(panel.title)}</text>']
    for step in range(5):
        value = highest * step / 4
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e5e7eb"/>'
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.4g}</text>'
        )
        over = first + (last - first) * step / 4
        parts.append(f'<text x="{x(over):.1f}" y="{bottom + 15}" text-anchor="middle">{over:,.3g}</text>')
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(
            f"{x(over):.1f},{y(value):.1f}"
            for over, value in zip(panel.over, line, strict=True)
            if math.isfinite(value)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{right + 10}" y="{top + 40 + 16 * number}" fill="{colour}">{escape(name)}</text>')
    return parts


def _round_up(value: float) -> float:
    """Round up to 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)
