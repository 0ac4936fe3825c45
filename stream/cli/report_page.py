"""One page about journeys or campaigns, with charts as SVG. It loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, ROW = 760, 26
"""Width of a chart, and height of its rows, pixels."""
_LEFT, _RIGHT = 220, 700
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem } th, td { padding: 0.25rem 0.8rem; text-align: right }
th:first-child, td:first-child { text-align: left } th { border-bottom: 1px solid #8895a3; font-weight: 600 }
tr + tr td { border-top: 1px solid #e3e8ee } .note { color: #55636f } h2 { margin-top: 2.5rem }
@media (prefers-color-scheme: dark) { body { background: #14191f; color: #e6ebf0 } .note { color: #9fb0bf } }
"""


def report_page(report: Mapping[str, Any]) -> str:
    """Return a page about a report of :mod:`models.fold.engagement_report`.

    Parameters
    ----------
    report
        Its ``journeys`` or its ``campaigns``, and the time ``as_of``.
    """
    parts: list[str] = []
    for one in report.get("journeys", ()):
        parts.append(f"<h2>{escape(one['journey'])}</h2>")
        parts += _lift(one["lift"], "run")
        parts += _messages(one["messages"], ("step", "arm", "channel"))
        if one["arms"]:
            parts += ["<h3>Arms</h3>", *_messages(one["arms"], ("arm",))]
    for one in report.get("campaigns", ()):
        parts.append(f"<h2>{escape(one['campaign'])}</h2>")
        for start in one["starts"]:
            parts.append(f"<h3>Start {start['number']}, {escape(str(start['begins']))}</h3>")
            parts += _lift(start["lift"], "user")
        parts += _messages(one["messages"], ("channel",))
    kind = "Journeys" if "journeys" in report else "Campaigns"
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>',
            f"<title>{kind}</title><style>{_STYLE}</style></head><body>",
            f'<h1>{kind}</h1><p class="note">As of {escape(str(report["as_of"]))}. Intervals are 95% intervals: ',
            "Newcombe for shares, Welch for money. A conversion gives one credit, to the newest message.</p>",
            *parts,
            "</body></html>",
        )
    )


# --- the lift --------------------------------------------------------------------------------------------------------


def _lift(lift: Mapping[str, Any], unit: str) -> Iterable[str]:
    found = [] if lift["conversions"] is None else [("conversions, percentage points", lift["conversions"], 100.0)]
    found += [(f"{one['currency'] or 'value'} per {unit}", one, 1.0) for one in lift["money"]]
    for name, one, scale in found:
        if one["too_few"]:
            yield f'<p class="note">{escape(name)}: too few: {escape(one["too_few"])}</p>'
        else:
            yield _interval(name, one["difference"] * scale, one["low"] * scale, one["high"] * scale)
    for text in (lift["reason"] and f"No lift: {lift['reason']}.", lift["note"]):
        if text:
            yield f'<p class="note">{escape(text)}</p>'
    groups = (("treatment", lift["treatment"]), ("control group", lift["control"]))
    rows = [(name, f"{one['number']:,}", f"{one['converted']:,}", amounts(one["revenue"])) for name, one in groups]
    yield _table(("group", f"{unit}s", "conversions", "revenue"), rows)


def _interval(name: str, difference: float, low: float, high: float) -> str:
    """Draw the interval of a difference beside the line of no difference."""
    reach = max(abs(low), abs(high), 1e-9) * 1.15
    middle, scale = (_LEFT + _RIGHT) / 2, (_RIGHT - _LEFT) / 2 / reach
    first, last, point = middle + low * scale, middle + high * scale, middle + difference * scale
    colour = "#54a24b" if low > 0 else "#e45756" if high < 0 else "#8895a3"
    said = f"{name}: {difference:+.2f}, from {low:+.2f} to {high:+.2f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="46" viewBox="0 0 {WIDTH} 46" role="img" '
        f'font-family="sans-serif" font-size="13" fill="currentColor"><title>{escape(said)}</title>'
        f'<text x="0" y="18">{escape(name)}</text>'
        f'<line x1="{middle}" y1="4" x2="{middle}" y2="30" stroke="#8895a3" stroke-dasharray="3 3"/>'
        f'<text x="{middle}" y="43" text-anchor="middle" font-size="11">no difference</text>'
        f'<line x1="{first:.1f}" y1="16" x2="{last:.1f}" y2="16" stroke="{colour}" stroke-width="6" '
        f'stroke-linecap="round"/><circle cx="{point:.1f}" cy="16" r="6" fill="{colour}"/>'
        f'<text x="{first:.1f}" y="33" text-anchor="middle" font-size="11">{low:+.2f}</text>'
        f'<text x="{last:.1f}" y="33" text-anchor="middle" font-size="11">{high:+.2f}</text></svg>'
    )


# --- messages --------------------------------------------------------------------------------------------------------


def _messages(rows: Sequence[Mapping[str, Any]], places: tuple[str, ...]) -> Iterable[str]:
    if not rows:
        yield '<p class="note">No message was decided yet.</p>'
        return
    names = [" ".join(str(row[place]) for place in places if row[place]) for row in rows]
    yield _bars(names, rows)
    head = (*places, "sent", "delivered", "clicked", "dropped", "converted", "assisted", "revenue", "cost")
    yield _table(head, [(*(str(row[place] or "-") for place in places), *_cells(row)) for row in rows])


def _bars(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw a bar for the sent messages of each row, and within it one for its credits."""
    largest, height = max(*(row["sent"] for row in rows), 1), ROW * len(rows) + 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" font-family="sans-serif" font-size="13" fill="currentColor">'
    )
    shown = [head, "<title>Messages sent, and their credits</title>"]
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        y, scale = number * ROW, (_RIGHT - _LEFT) / largest
        sent, credited = row["sent"] * scale, min(row["converted"] * scale, _RIGHT - _LEFT)
        label = f"{row['sent']:,} sent, {row['converted']:,} converted"
        shown.append(
            f'<text x="{_LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LEFT}" y="{y + 5}" width="{max(sent, 1):.1f}" height="14" fill="#72b7b2"/>'
            f'<rect x="{_LEFT}" y="{y + 9}" width="{credited:.1f}" height="6" fill="#4c78a8"/>'
            f"<g><title>{escape(label)}</title>"
            f'<rect x="{_LEFT}" y="{y}" width="{_RIGHT - _LEFT}" height="{ROW}" fill="transparent"/></g>'
        )
    shown.append(f'<text x="{_LEFT}" y="{height - 6}" font-size="11">light: sent, dark: converted</text></svg>')
    return "".join(shown)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['sent']:,}",
        *("not measured" if row[name] is None else f"{row[name]:,}" for name in ("delivered", "clicked")),
        f"{sum(row['dropped'].values()):,}",
        f"{row['converted']:,}",
        f"{row['assisted']:,}",
        amounts(row["revenue"]),
        "not stated" if row["cost"] is None else amounts(row["cost"]),
    )


def amounts(money: Mapping[str, float]) -> str:
    """Return amounts by currency as a text.

    Examples
    --------
    >>> amounts({"EUR": 1234.5, "": 3.0}), amounts({})
    ('1,234.50 EUR, 3.00', '0')
    """
    return ", ".join(f"{value:,.2f} {currency}".strip() for currency, value in money.items()) or "0"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{body}</table>"
