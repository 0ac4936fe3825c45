"""Tables of the documents, made from the committed JSON: ``perennial bench table --write``.

A program writes every figure. The README shows aims and measurements, ``docs/benchmarks.md`` the tables of each
benchmark, and ``docs/capacity.md`` the resources that an installation needs according to these measurements.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from models.errors import PerennialError
from tests.benchmarks import capacity, engine, idle, latency, pipeline, profiling, scaling, segment_costs
from tests.benchmarks.load_choice import Workload, title_of
from tests.benchmarks.report import Grid, Spread
from tests.support.paths import ROOT

FIGURES = capacity.FIGURES
FOLDERS = {Workload.VISITS: FIGURES, Workload.SINGLE: FIGURES / "single"}
"""Folder of the committed figures of each load. The README and ``docs/capacity.md`` show those of the visits."""
BEGIN = "<!-- perennial bench table --write -->"
END = "<!-- until here -->"
README, DETAILS, CAPACITY = ROOT / "README.md", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "capacity.md"
CAPACITY_USERS = (10_000, 1_000_000, 100_000_000)
MILLION = 1_000_000

Content = Mapping[str, Any]


class NoPlace(PerennialError):
    """A document has no place for its table."""


class SummaryRow(NamedTuple):
    """One line of the README's table.

    Attributes
    ----------
    what, measured, aim
        Texts of the columns; the aim may be empty.
    name
        Name of the benchmark.
    """

    what: str
    measured: str
    aim: str
    name: str


def read(folder: Path = FIGURES) -> dict[str, Content]:
    """Read all committed figures, by benchmark, in the order of the tables."""
    files = {name: folder / f"{name}.json" for name in {**ROWS, **_GRIDS}}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def summary(found: Mapping[str, Content]) -> str:
    """Format the README's table, and the machine of its figures."""
    rows = [row for name, content in found.items() if name in ROWS for row in ROWS[name](content)]
    grid = Grid(
        "",
        ("what", "measured", "aimed at", "by"),
        [
            (
                row.what,
                row.measured,
                row.aim,
                f"[`bench {_COMMANDS.get(row.name, row.name)}`](tests/benchmarks/figures/{row.name}.json)",
            )
            for row in rows
        ],
    )
    return f"{grid.markdown}\n\n{_taken(found)}"


def details(found: Mapping[str, Content]) -> str:
    """Format the tables of each benchmark."""
    grids = [grid for name, content in found.items() if name in _GRIDS for grid in _GRIDS[name](content)]
    return "\n\n".join(f"**{grid.title}**\n\n{grid.markdown}" for grid in grids)


def put(page: str, text: str) -> str:
    """Put a text between the two marks of a page.

    Raises
    ------
    NoPlace
        The page does not have the marks.

    Examples
    --------
    >>> print(put(f"a\\n{BEGIN}\\nold\\n{END}\\nb", "new"))
    a
    <!-- perennial bench table --write -->
    new
    <!-- until here -->
    b
    """
    before, begin, rest = page.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise NoPlace(f"no {BEGIN} with an {END} after it")
    return f"{before}{begin}{text}\n{end}{after}"


def put_instead(page: str, table: str) -> str:
    """Replace the table with the same headings in a page.

    Raises
    ------
    NoPlace
        The page has no such table.
    """
    lines, headings = page.splitlines(), table.splitlines()[0]
    if headings not in lines:
        raise NoPlace(f"no table with the headings {headings}")
    first = last = lines.index(headings)
    while last < len(lines) and lines[last].startswith("|"):
        last += 1
    return "\n".join([*lines[:first], table, *lines[last:]]) + "\n"


def documents(folder: Path = FIGURES) -> dict[Path, str]:
    """Return the new text of each document; single events and the embedded broker have separate folders of figures."""
    found = read(folder)
    parts = [details(found), *(details(read(folder / name)) for name in ("single", "embedded"))]
    costs = capacity.Costs.read(folder)
    needs = [capacity.needs(users, costs, capacity.Assumptions()) for users in CAPACITY_USERS]
    page = put_instead(CAPACITY.read_text(), capacity.costs_markdown(costs))
    return {
        README: put(README.read_text(), summary(found)),
        DETAILS: put(DETAILS.read_text(), "\n\n".join(filter(None, parts))),
        CAPACITY: put_instead(page, capacity.markdown(needs)),
    }


def write(folder: Path = FIGURES) -> list[Path]:
    """Write the documents, and return those that have changed."""
    changed = [path for path, text in documents(folder).items() if text != path.read_text()]
    for path, text in documents(folder).items():
        path.write_text(text)
    return changed


def _engine(content: Content) -> Iterator[SummaryRow]:
    rate = Spread.read(content["events_per_second"]["perennial"]).show()
    yield SummaryRow("read, decode, acknowledge, one process: events/s", rate, "", "engine")
    aims = {"bytewax": "2.0 x", "aiokafka": "1.5 x", "faust": "30 x", "quix": "", "pathway": ""}
    yield from _beside(content["perennial_is_times"], content["peer_versions"], aims, "engine")


def _pipeline(content: Content) -> Iterator[SummaryRow]:
    ours = {name: Spread.read(spread) for name, spread in content["perennial"].items()}
    what = "the whole pipeline, one worker, durable, transactions on: events/s"
    yield SummaryRow(what, ours["events_per_second"].show(), "50,000", "pipeline")
    yield SummaryRow(
        "CPU time per event of this pipeline, us; of its learners",
        _each(ours, "cpu_us", "learners_cpu_us"),
        "",
        "pipeline",
    )
    aims = {"quix": "5 x", "faust": "15 x", "bytewax": "5 x", "aiokafka": "5 x", "pathway": "5 x"}
    times = {side: peer["perennial_is_times_faster"] for side, peer in content["peers"].items()}
    versions = {side: peer.get("version", "") for side, peer in content["peers"].items()}
    yield from _beside({side: one for side, one in times.items() if one}, versions, aims, "pipeline")


def _latency(content: Content) -> Iterator[SummaryRow]:
    aims = {"50 events/s": "5; 15", "1,000 events/s": "10; 30", "5,000 events/s": "20; 60"}
    for load, result in content["loads"].items():
        due = {name: Spread.read(result["due"][name]) for name in ("p50", "p99")}
        what = f"from an event's due time to its readable message at {load}, ms: p50; p99"
        yield SummaryRow(what, _each(due, "p50", "p99"), aims.get(load, ""), "latency")


def _idle(content: Content) -> Iterator[SummaryRow]:
    total = content["perennial"]["total"]
    what = "`perennial up` while no event comes: per cent of a core; wake-ups a second"
    shown = "; ".join((Spread.read(total["percent"]).show(".1f"), Spread.read(total["wakeups"]).show()))
    yield SummaryRow(what, shown, "5", "idle")


def _memory(content: Content) -> Iterator[SummaryRow]:
    sizes = {one["users"]: one["folded"] for one in content["sizes"]}
    how, held = "measured", sizes.get(MILLION)
    if held is None and "formula" in content:
        how = f"computed from {' and '.join(f'{users:,}' for users in sizes)}"
        held = content["formula"]["fixed_bytes"] + MILLION * content["formula"]["bytes_per_user"]
    if held is not None:
        what = f"memory of a worker with a million profiles after 30 days, {how}: GiB"
        yield SummaryRow(what, f"{held / 2**30:.2f}", "1", "memory")


def _restart(content: Content) -> Iterator[SummaryRow]:
    sizes = {one["users"]: one for one in content["sizes"]}
    if MILLION in sizes:
        held = {name: Spread.read(sizes[MILLION][name]) for name in ("first_s", "every_s")}
        measured = _each(held, "first_s", "every_s")
    elif "formula" in content:
        formula = content["formula"]
        measured = f"{formula['fixed_s'] + formula['seconds_per_million_users']:.1f} in all of them, computed"
    else:
        return
    what = "from `kill -9` with a million profiles to the next folded event; in every partition, s"
    yield SummaryRow(what, measured, "15", "restart")


def _scaling(content: Content) -> Iterator[SummaryRow]:
    for curve, points in content["curves"].items():
        counts = ", ".join(f"{point['count']:,}" for point in points)
        if curve == "workers":
            rates = "; ".join(Spread.read(point["events_per_second"]).show() for point in points)
            yield SummaryRow(f"events/s of {counts} workers, on the same cores", rates, "", "scaling")
            continue
        first = points[0]["cpu_us"]["median"]
        costs = "; ".join(f"{point['cpu_us']['median'] / first:.2f} x" for point in points)
        yield SummaryRow(f"CPU time per event with {counts} {curve}", costs, "flat", "scaling")


def _segments(content: Content) -> Iterator[SummaryRow]:
    first, *_, most = content["segments"]["points"]
    what = f"CPU time of an event that touches the same five of {most['count']} segments, relative to {first['count']}"
    aim = f"{segment_costs.MAX_RATIO} x"
    yield SummaryRow(what, Spread.read(most["relative"]).show(".2f", " x"), aim, "segments")
    what = "bytes that a segment of five clauses adds to a user who does nothing that it asks for"
    yield SummaryRow(what, f"{content['segments']['idle_bytes']}", f"{segment_costs.MAX_IDLE_BYTES}", "segments")


_COMMANDS = {"segments": "scaling --curves segments"}
"""Commands of the benchmarks that are named differently."""
_WITHOUT_LOAD = ("memory", "restart")
"""Benchmarks that measure profiles after a simulated month, and no load."""

ROWS: dict[str, Callable[[Content], Iterator[SummaryRow]]] = {
    "engine": _engine,
    "pipeline": _pipeline,
    "latency": _latency,
    "memory": _memory,
    "restart": _restart,
    "scaling": _scaling,
    "segments": _segments,
    "idle": _idle,
}
NAMES = {
    "aiokafka": "a bare loop of aiokafka",
    "bytewax": "Bytewax",
    "faust": "stock Faust",
    "pathway": "Pathway",
    "quix": "Quix Streams",
}
_GRIDS: dict[str, Callable[[Content], list[Grid]]] = {
    "engine": engine.tables,
    "pipeline": pipeline.tables,
    "latency": latency.tables,
    "scaling": scaling.tables,
    "segments": scaling.tables,
    "profile": profiling.tables,
    "idle": idle.tables,
}


def _beside(
    times: Mapping[str, Any], versions: Mapping[str, str], aims: Mapping[str, str], name: str
) -> Iterator[SummaryRow]:
    for side, aim in aims.items():
        if side in times:
            system = f"{NAMES[side]} {versions[side]}".strip()
            yield SummaryRow(f"compared with {system}, same run", Spread.read(times[side]).show(".2f", " x"), aim, name)


def _each(spreads: Mapping[str, Spread], *names: str) -> str:
    return "; ".join(spreads[name].show(".1f") for name in names)


def _taken(found: Mapping[str, Content]) -> str:
    """Describe machine, date and load of the measurements. The description says whether the machine was busy."""
    found = {name: content for name, content in found.items() if name in ROWS}
    machines = {_machine(content) for content in found.values()}
    taken = "".join(
        f"\n- {name}: {content['at'][:10]}, commit {content['versions']['commit']}, {_busy(content['machine'])}"
        f"{'' if name in _WITHOUT_LOAD else ', ' + title_of(content)}"
        for name, content in found.items()
    )
    first = f"Medians, with minimum and maximum of several runs. {'. '.join(sorted(machines))}."
    second = "For each command: date, commit, share of the cores that other programs used before the run, and load:"
    return f"{textwrap.fill(first, width=120, break_on_hyphens=False)}\n\n{second}\n{taken}"


def _machine(content: Content) -> str:
    about = content["machine"]
    return (
        f"{about['processor']}, {about['cores']} cores that broker, load and worker share, {about['memory_gib']} GiB, "
        f"Python {content['versions']['python']}, {content['broker']}"
    )


def _busy(machine: Mapping[str, Any]) -> str:
    share = machine.get("busy_before")
    return f"load {machine['load_average'][0]:g}" if share is None else f"{share:.0%}"
