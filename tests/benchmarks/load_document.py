"""The page ``docs/load.md``: tables and a plot of the fitted laws, made from the committed JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.load_choice import Workload
from tests.benchmarks.load_laws import FIT
from tests.benchmarks.report import Grid
from tests.benchmarks.table import put
from tests.chaos.plot import Panel, draw
from tests.support.paths import ROOT

PAGE, PLOT = ROOT / "docs" / "load.md", ROOT / "docs" / "load.svg"

Content = Mapping[str, Any]


def tables(content: Content) -> str:
    """Format the laws, the quantiles of data and laws, and the comparison of what was not fitted."""
    return "\n\n".join(f"**{grid.title}**\n\n{grid.markdown}" for grid in _grids(content)) + "\n\n" + _about(content)


def plot(content: Content) -> str:
    """Draw the share of longer values in data and law over the logarithm of the value, as an SVG document."""
    panels = []
    for one in content["fits"]:
        points = [point for point in one["points"] if point[0] > 0]
        over = [math.log10(value) for value, _, _ in points]
        lines = {"data": [data for _, data, _ in points], "law": [law for _, _, law in points]}
        panels.append(Panel(f"{one['what']}: share of larger values", over, lines))
    return draw("The load of a shop: data and fitted laws", panels, "logarithm (base 10) of the value")


def documents() -> dict[Path, str]:
    """Return the new text of the page and of its plot."""
    content = json.loads(FIT.read_text())
    return {PAGE: put(PAGE.read_text(), tables(content)), PLOT: plot(content)}


def write() -> list[Path]:
    """Write the page and its plot, and return their paths."""
    found = documents()
    for path, text in found.items():
        path.write_text(text)
    return list(found)


def _grids(content: Content) -> list[Grid]:
    laws = content["laws"]
    lengths = [
        (f"events of a visit ({name})", f"{_log_normal(law)}, rounded up") for name, law in laws["lengths"].items()
    ]
    pauses = [
        (
            f"pause before a {kind}",
            f"under half a second: {law['at_once']:.1%}; otherwise in s, {_log_normal(law)}",
        )
        for kind, law in laws["pauses"].items()
    ]
    bought = laws["purchases"]
    returns = (
        "purchases of a user",
        f"constant rate; gamma law of rates: shape {bought['shape']:.3f}, scale 1 / {bought['scale_days']:.1f} days",
    )
    kinds = ("page", "view", "click")
    following = [
        (f"after a {before}" if before != "start" else "first", *(f"{row.get(kind, 0.0):.1%}" for kind in kinds))
        for before, row in laws["following"].items()
    ]
    quantiles = [f"{share * 100:g}%" for share in content["quantiles"]]
    fits = []
    for one in content["fits"]:
        for side in ("data", "law"):
            values = (f"{value:,.0f}" for value in one[side])
            first = (one["what"], f"{one['count']:,}", f"{one['ks']:.3f}") if side == "data" else ("fitted law", "", "")
            fits.append((*first, *values))
    beside = [(what, _short(pair["data"]), _short(pair["law"])) for what, pair in content["beside"].items()]
    loads = [_statistics_of(title, about) for title, about in content.get("loads", {}).items()]
    return [
        *([Grid("The loads", _LOAD_HEADINGS, loads)] if loads else []),
        Grid("The fitted laws", ("what", "law"), [*lengths, *pauses, returns]),
        Grid("Kind of the next event, by the kind of the event before", ("", *kinds), following),
        Grid("Quantiles of the data and of the fitted laws", ("", "values", "KS distance", *quantiles), fits),
        Grid("What was not fitted", ("", "data", "laws"), beside),
    ]


_TYPES = ("page_view", "product_view", "click", "cart_add", "purchase", "rating", "identify", "consent")
_LOAD_HEADINGS = (
    "",
    "users",
    "visits",
    "visits at a time",
    "users in 2,000 events",
    "days of a user for each 1,000 events",
    "by 1% of the users",
    *(f"`{name}`" for name in _TYPES),
)


def _statistics_of(title: str, about: Content) -> tuple[str, ...]:
    # Single events are no visits, and a log of seconds does not contain whole visits.
    has_visits = title.startswith(Workload.VISITS) and about["days"] > 1
    return (
        title,
        f"{about['users']:,}",
        f"{about['visits']:,}" if has_visits else "",
        f"{about['at_a_time']:,.0f}" if has_visits else "",
        f"{about['users_of_batch']:,.0f}",
        f"{about['user_days'] * 1_000:,.0f}",
        f"{about['by_one_percent']:.0%}",
        *(f"{about['types'].get(name, 0.0):.1%}" for name in _TYPES),
    )


def _log_normal(law: Content) -> str:
    return f"log-normal: mu {law['mu']:.3f}, sigma {law['sigma']:.3f}"


def _short(value: float) -> str:
    return f"{value:.1%}" if value < 1 else f"{value:.2f}"


def _about(content: Content) -> str:
    buying = content["buying"]
    bought = f"{buying['with_purchase']:,} visits with a purchase"
    lines = [
        f"Diginetica: {bought}, and {buying['visits']:,} visits with two or more views in the file.",
        f"Fitted at commit {content['commit']}, to these files (SHA-256):",
        "",
        *(f"- `{file}`: {checksum[:16]}..." for file, checksum in content["files"].items()),
    ]
    return "\n".join(lines)
