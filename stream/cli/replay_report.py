"""Report of ``perennial replay``: totals, refused lines with their reasons, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import typer

from models.counting import counted
from stream.cli.output import print_error, print_json, print_line
from stream.feed.reconciliation import Reconciliation

SHOWN = 10
"""Number of refused lines that are shown one by one."""
INCOMPLETE, NOTHING_TAKEN, SOME_REFUSED = 1, 2, 3
"""Exit codes; the exit code is 0 if every line of the file counts or is a repeat."""


def report(found: Reconciliation, seconds: float, *, json: bool, rejected: Path | None) -> None:
    """Print the report, and end the command with its exit code.

    Parameters
    ----------
    found
        Counts of the lines that were read, and of the events in the folded state.
    seconds
        Duration of the replay.
    json
        Whether to print one object instead of lines, with all refused lines in it.
    rejected
        File that gets all refused lines, one JSON object per line.
    """
    if rejected is not None:
        _write(found, rejected)
    if json:
        print_json(_report(found, seconds))
    else:
        _print(found, seconds)
    _print_problems(found, lists_all=json or rejected is not None)
    if not found.is_complete:
        raise typer.Exit(INCOMPLETE)
    if found.rejected:
        raise typer.Exit(SOME_REFUSED if found.rejected < found.lines else NOTHING_TAKEN)


def _report(found: Reconciliation, seconds: float) -> dict[str, Any]:
    by_currency = {currency: float(amount) for currency, amount in found.revenue.items()}
    return {
        "lines": found.lines,
        "folded": found.folded,
        "repeated": found.repeated,
        "orders_repeated": found.orders_repeated,
        "withdrawals": found.statements,
        "rejected": found.rejected,
        "customers": found.customers,
        "revenue": next(iter(by_currency.values())) if len(by_currency) == 1 else by_currency,
        "refused": [msgspec.to_builtins(refusal) for refusal in found.refused],
        "warnings": found.warnings,
        "missing": found.missing,
        "seconds": round(seconds, 3),
        "complete": found.is_complete,
    }


def _print(found: Reconciliation, seconds: float) -> None:
    revenue = ", ".join(f"{amount:,} {currency}" for currency, amount in found.revenue.items()) or "0"
    print_line(f"lines      {found.lines:>12,}   of the file")
    print_line(f"folded     {found.folded:>12,}   events counted in profiles")
    if found.repeated:
        print_line(f"repeated   {found.repeated:>12,}   ignored: an event with that id had counted")
    if found.orders_repeated:
        print_line(f"orders     {found.orders_repeated:>12,}   ignored: the order was known")
    if found.statements:
        print_line(f"withdrawn  {found.statements:>12,}   too late to count, except for their withdrawal of consent")
    print_line(f"rejected   {found.rejected:>12,}   dead letters")
    print_line(f"customers  {found.customers:>12,}   known by an id")
    print_line(f"revenue    {revenue:>12}   paid less refunded")
    rate = found.lines / seconds if seconds else 0.0
    print_line(f"{seconds:.1f} s, {rate:,.0f} lines/s; " + ("complete" if found.is_complete else "INCOMPLETE"))


def _print_problems(found: Reconciliation, *, lists_all: bool) -> None:
    """Print to standard error why the exit code is not 0."""
    if found.missing > 0:
        print_error(f"INCOMPLETE: {counted(found.missing, 'event')} went in and cannot be found")
    elif found.missing < 0:
        print_error(f"INCOMPLETE: {counted(-found.missing, 'event')} more are counted than went in")
    if found.warnings:
        print_error(f"{counted(found.warnings, 'warning')} about details of events that count; the first ones:")
        for example in found.examples:
            print_error(example)
    if not found.refused:
        return
    print_error(f"{found.rejected:,} of {counted(found.lines, 'line')} were rejected:")
    for refusal in found.refused[:SHOWN]:
        print_error(str(refusal))
    more = found.rejected - SHOWN
    if more > 0:
        print_error(
            f"and {counted(more, 'line')} more" + ("" if lists_all else "; --rejected FILE or --json shows all")
        )


def _write(found: Reconciliation, path: Path) -> None:
    with path.open("wb") as file:
        for refusal in found.refused:
            file.write(msgspec.json.encode(refusal) + b"\n")
