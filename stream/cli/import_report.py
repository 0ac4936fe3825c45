"""What a run of ``perennial import`` has read and would change, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.counting import counted
from models.events import Channel
from models.fold.moments import moment
from models.imports.columns import ColumnUses
from models.imports.runs import ImportRun
from models.imports.tables import BadLine
from stream.cli.output import print_error, print_json, print_line, print_table, short_time
from stream.imports.spool import Spool

SHOWN = 10
"""Number of refused lines that are listed; ``--json`` lists all."""

_READ = ("read", "refused", "left_out", "says_nothing", "repeated")
_WOULD = ("new", "changed", "unchanged", "outweighed")
_WORDS = {
    "left_out": "with a detail left out",
    "says_nothing": "that say nothing",
    "outweighed": "outweighed by a newer no",
}


def columns_report(columns: ColumnUses) -> dict[str, Any]:
    """Return what the columns of a file are used for."""
    return {
        "tool": columns.tool,
        "columns": {use: one.column for use, one in columns.uses.items()},
        "recognised": [one.column for one in columns.uses.values() if not one.stated],
        "unused": list(columns.unused),
    }


def print_columns(columns: ColumnUses, what: str = "") -> None:
    """Print what the columns of a file are used for, one line for each fact."""
    known = f"looks like an export of {columns.tool}" if columns.tool else what
    if known:
        print_line(f"the file {known}")
    for name, are_stated in (("by --map", True), ("by their names", False)):
        found = [f"{use} = {one.column!r}" for use, one in columns.uses.items() if one.stated is are_stated]
        if found:
            print_line(f"columns {name}: {', '.join(found)}")
    if columns.unused:
        print_line(f"not used: {', '.join(map(repr, columns.unused))}")


def print_counts(counts: Mapping[str, int], reachable: Mapping[Channel, int]) -> None:
    """Print what was read, and what it changes."""
    print_line("lines: " + _listed(counts, _READ))
    print_line("statements: " + _listed(counts, _WOULD))
    if counts.get("grants") or counts.get("withdrawals"):
        print_line(f"consent: {counts.get('grants', 0):,} grants, {counts.get('withdrawals', 0):,} withdrawals")
    found = ", ".join(f"{number:,} by {channel}" for channel, number in reachable.items())
    print_line(f"{counted(counts.get('people', 0), 'user')}; reachable for marketing afterwards: {found}")


def print_bad(spool: Spool, file: str) -> None:
    """Print the first lines that are refused, or of which a detail is left out, and the number of all by reason."""
    for refused, what in ((True, "refused"), (False, "left out")):
        reasons = spool.reasons(refused=refused)
        if not reasons:
            continue
        for line in spool.bad(SHOWN, refused=refused):
            print_error(f"{file}: {line.text}" + ("" if refused else " (left out)"))
        print_line(f"{what}: " + ", ".join(f"{number:,} {reason}" for reason, number in reasons.items()))


def bad_report(spool: Spool) -> dict[str, Any]:
    """Return all lines that are refused, or of which a detail is left out."""
    return {
        "refused_by_reason": spool.reasons(refused=True),
        "refused_lines": [_as_row(line) for line in spool.bad(refused=True)],
        "left_out_lines": [_as_row(line) for line in spool.bad(refused=False)],
    }


def run_row(run: ImportRun) -> dict[str, Any]:
    """Return a run for programs."""
    return {
        "id": run.id,
        "content": run.content,
        "file": run.file,
        "digest": run.digest,
        "by": run.by,
        "began": moment(run.at),
        "state": run.state,
        "ended": moment(run.ended_at) if run.ended_at else None,
        "counts": run.counts,
        "options": run.options,
        "text": run.text or None,
        "undone": None if not run.undone_at else {"at": moment(run.undone_at), "by": run.undone_by, **run.undone},
    }


def print_runs(runs: list[ImportRun]) -> None:
    """Print a table of runs."""
    print_table(
        ("id", "content", "file", "by", "began", "state", "read", "new", "changed", "unchanged", "refused", "undone"),
        [
            (
                run.id, run.content, run.file, run.by, short_time(moment(run.at)), run.state,
                *(f"{run.counts.get(name, 0):,}" for name in ("read", "new", "changed", "unchanged", "refused")),
                short_time(moment(run.undone_at)) if run.undone_at else "-",
            )
            for run in runs
        ],
    )  # fmt: skip


def print_done(run: ImportRun, *, json: bool) -> None:
    """Print that a file was imported before, so that there is nothing to do."""
    if json:
        print_json({"run": run.id, "written": False, "state": run.state, "counts": run.counts})
        return
    print_line(f"this file was imported before: run {run.id}, {short_time(moment(run.ended_at))}, by {run.by}")
    print_line(f"nothing to do; `perennial import undo {run.id}` takes it back")


def _as_row(line: BadLine) -> dict[str, Any]:
    return line._asdict()


def _listed(counts: Mapping[str, int], names: tuple[str, ...]) -> str:
    always = {"read", "refused", "new", "changed", "unchanged"}
    shown = [name for name in names if name in always or counts.get(name)]
    return ", ".join(f"{counts.get(name, 0):,} {_WORDS.get(name, name)}" for name in shown)
