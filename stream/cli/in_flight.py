"""Numbers that ``perennial apply`` shows of runs under way, before a configuration changes their journeys."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import typer

from models import durations
from models.counting import counted
from models.fold.prospects import ConditionsPlan
from models.units import HOUR
from stream.cli.output import print_error, print_line, print_table
from stream.installation.in_flight import Choice, OlderRuns, OlderRunsNotAccepted, OlderRunsNotCounted, older_runs
from stream.settings.loading import Settings


def duration(text: str, option: str = "--spread") -> int:
    """Return a duration in milliseconds; stop the command if the text is none."""
    try:
        return durations.milliseconds(text)
    except ValueError as error:
        raise typer.BadParameter(f"found {text!r}; allowed: {durations.ALLOWED}", param_hint=option) from error


class Fate(NamedTuple):
    """The fate of runs under way: what happens to them, and over how many milliseconds due ones are released."""

    choice: Choice
    spread: int


def fate_of(text: str) -> Fate:
    """Read the option ``--in-flight``; stop the command if the text is wrong."""
    name, given, over = text.partition(":")
    if name == "move":
        return Fate("move", duration(over, "--in-flight") if given else HOUR)
    if text in ("finish", "exit"):
        return Fate("finish" if text == "finish" else "exit", 0)
    raise typer.BadParameter(f"found {text!r}; allowed: finish, move, move:2h, exit", param_hint="--in-flight")


def counted_runs(
    settings: Settings, plan: ConditionsPlan, choice: Choice, *, may_act: bool, is_plain: bool
) -> list[OlderRuns]:
    """Show the runs under way in other versions than the wanted ones; ask before they move or end.

    Parameters
    ----------
    settings, plan
        The settings, and the change of the configuration.
    choice
        What is to happen to the runs.
    may_act
        Whether it may happen without a question.
    is_plain
        Whether nothing is shown, because the output is for machines.
    """
    known, wanted = plan.known, plan.wanted
    if not wanted.journeys and (known is None or not known.journeys):
        return []
    try:
        runs = asyncio.run(older_runs(settings, wanted, choice))
    except OlderRunsNotCounted as error:
        if choice != "finish" and not may_act:
            raise OlderRunsNotAccepted(f"{error}; nothing was applied: `--yes` accepts it") from error
        print_error(f"note: {error}")
        return []
    number, needs_yes = sum(one.number for one in runs), choice != "finish" and not may_act
    if runs and not is_plain:
        _show(runs, choice)
    if not number or not needs_yes:
        return runs
    if is_plain:
        raise OlderRunsNotAccepted(f"{counted(number, 'run')} under way would {choice}; nothing was applied: add --yes")
    if not typer.confirm(f"{'Move' if choice == 'move' else 'End'} these runs?", err=True):
        print_line("nothing was applied")
        raise typer.Exit(1)
    return runs


def _show(runs: list[OlderRuns], choice: Choice) -> None:
    if choice == "move":
        rows = [(one.journey, *(f"{number:,}" for number in (one.number, *_moves(one)))) for one in runs]
        print_table(("journey", "under way", "go on", "wait shorter", "released now", "end: step_removed"), rows)
        return
    fate = "finish in their version" if choice == "finish" else "end as version_ended"
    changes = [(one.journey, "changed" if one.version else "removed", f"{one.number:,}", fate) for one in runs]
    print_table(("journey", "is", "under way", "these runs"), changes)


def _moves(one: OlderRuns) -> tuple[int, int, int, int]:
    move = one.move
    return (0, 0, 0, 0) if move is None else (move.goes_on, move.shorter, move.due, move.step_removed)


def as_json(one: OlderRuns) -> dict[str, Any]:
    """Describe the runs of a journey for machines."""
    goes_on, shorter, due, removed = _moves(one)
    said: dict[str, Any] = {"journey": one.journey, "version": one.version or None, "under_way": one.number}
    if one.move is None:
        return {**said, "move": None}
    return {**said, "move": {"go_on": goes_on, "wait_shorter": shorter, "released": due, "step_removed": removed}}
