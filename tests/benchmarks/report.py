"""Report of a benchmark: medians of several runs with their spread, the machine, and the versions."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.support.paths import ROOT

PACKAGES = ("faust-streaming", "aiokafka", "msgspec", "orjson", "river", "numpy")
RESULTS = ROOT / "build" / "benchmarks"
"""Default folder of the JSON of each benchmark."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one quantity.

    Attributes
    ----------
    median, least, most
        Median, minimum and maximum.
    runs
        All values, in the order in which they were measured.
    """

    median: float
    least: float
    most: float
    runs: tuple[float, ...]

    @classmethod
    def of(cls, runs: Iterable[float]) -> Spread:
        """Return the spread of one or more measurements.

        Examples
        --------
        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, least=1.0, most=3.0, runs=(3.0, 1.0, 2.0))
        """
        taken = tuple(runs)
        return cls(statistics.median(taken), min(taken), max(taken), taken)

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Spread:
        """Read a spread that was written as JSON."""
        return cls(written["median"], written["least"], written["most"], tuple(written["runs"]))

    def show(self, form: str = ",.0f", unit: str = "") -> str:
        """Format the median, with minimum and maximum.

        Examples
        --------
        >>> Spread.of([3.0, 1.0, 2.0]).show(".1f", " x")
        '2.0 x (1.0 to 3.0)'
        """
        shown = f"{self.median:{form}}{unit}"
        return shown if len(self.runs) == 1 else f"{shown} ({self.least:{form}} to {self.most:{form}})"


class Grid(NamedTuple):
    """A table: the first column holds names, the others figures.

    Attributes
    ----------
    title
        Title of the table.
    headings, rows
        Headings, and rows with the same number of cells.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def markdown(self) -> str:
        """The table in Markdown, without the title.

        Examples
        --------
        >>> print(Grid("Bytes", ("", "how many"), [("events", "3")]).markdown)
        | | how many |
        |---|--:|
        | events | 3 |
        """
        line = "|---|" + "--:|" * (len(self.headings) - 1)
        return "\n".join([_cells(self.headings), line, *map(_cells, self.rows)])


def _cells(words: Sequence[str]) -> str:
    return "|" + "|".join(f" {word} " if word else " " for word in words) + "|"


def machine() -> dict[str, Any]:
    """Describe the machine and its load."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) // 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "system": f"{platform.system()} {platform.release()}",
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "busy_before": busy(),
    }


def busy(seconds: float = 1.0) -> float | None:
    """Return the share of the cores that other programs use now; ``None`` if the system does not report it."""
    idle, every = _ticks()
    time.sleep(seconds)
    idle_then, every_then = _ticks()
    return round(1 - (idle_then - idle) / (every_then - every), 3) if every_then > every else None


def versions() -> dict[str, str]:
    """Return the versions of the code."""
    # Changed figures are no change of the code: an earlier benchmark of the same run may have written them.
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/benchmarks/figures")
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    found = {"perennial": version("perennial"), "commit": f"{commit}-dirty" if changed else commit}
    return found | {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


class BenchReport:
    """Results of one benchmark: printed as tables, and written as JSON.

    Parameters
    ----------
    name
        Name of the benchmark and of its file.
    output
        File for the JSON; by default in :data:`RESULTS`.
    **about
        Parameters of the measurement: broker, sizes, seed.

    Attributes
    ----------
    content
        Content of the JSON.
    """

    def __init__(self, name: str, output: Path | None, **about: Any) -> None:
        self._began = time.monotonic()
        self.name = name
        self.output = output or RESULTS / f"{name}.json"
        self.console = Console(stderr=False, width=None if os.isatty(1) else 160)
        self.content: dict[str, Any] = {
            "benchmark": name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            **about,
            "machine": machine(),
            "versions": versions(),
        }

    def say(self, line: str) -> None:
        """Print progress, on standard error."""
        Console(stderr=True).print(f"[dim]{line}[/dim]", highlight=False)

    def put(self, **parts: Any) -> None:
        """Add results to the content."""
        self.content |= {name: plain(part) for name, part in parts.items()}

    def show(self, grids: Iterable[Grid]) -> None:
        """Print tables."""
        for grid in grids:
            self.table(*grid)

    def table(self, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table: the first column is aligned to the left, and the figures to the right."""
        table = Table(title=title, title_justify="left")
        for number, heading in enumerate(headings):
            table.add_column(heading, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def print_json(self) -> None:
        """Print the content as JSON on standard output."""
        print(json.dumps(self.content, indent=2))

    def write(self) -> None:
        """Write the file, and print its path."""
        self.content["seconds_taken"] = round(time.monotonic() - self._began, 1)
        self.content["machine"]["load_average_after"] = [round(load, 2) for load in os.getloadavg()]
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.write_text(json.dumps(self.content, indent=2) + "\n")
        self.say(f"written to {self.output}")


def plain(part: Any) -> Any:
    """Convert results to types that JSON knows; floats keep six digits."""
    if is_dataclass(part) and not isinstance(part, type):
        return plain(asdict(part))
    if isinstance(part, Mapping):
        return {str(name): plain(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [plain(value) for value in part]
    return float(f"{part:.6g}") if isinstance(part, float) else part


def _ticks() -> tuple[int, int]:
    first = next(iter(_lines("/proc/stat")), "").split()[1:]
    ticks = [int(tick) for tick in first[:8]]  # user, nice, system, idle, waiting for I/O, interrupts (2), stolen
    return sum(ticks[3:5]), sum(ticks)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
