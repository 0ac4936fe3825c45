"""Text of ``perennial user USER --why-not JOURNEY``: what decides about the entry, and about each message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from stream.cli.output import short_time
from stream.cli.user_messages import print_decision, print_named
from stream.cli.why import print_failing, print_tree

_PASSES = {True: "yes", False: "no", None: "?"}


def show_why_not(answer: dict[str, Any]) -> None:
    """Print why a user is not in a journey, or gets no message of it.

    Parameters
    ----------
    answer
        See :func:`models.fold.journey_reasons.why_not`. ``history`` is what has happened before.
    """
    console = Console(highlight=False)
    head = Text(answer["user"], style="bold")
    head.append(f" {_standing(answer)}")
    head.append(f"  as of {short_time(answer['as_of'])} UTC", style="not bold")
    console.print(head)
    for line in _remarks(answer):
        console.print(Text(line, style="dim"))
    if answer["checks"]:
        console.print()
    for check in answer["checks"]:
        until = f" (until {short_time(check['until'])})" if check["until"] else ""
        print_named(console, check["check"].replace("_", " "), f"{_PASSES[check['passes']]:<5}{check['found']}{until}")
    if answer["tree"] is not None:
        console.print(Text("\nThe condition of the entry", style="bold"))
        print_tree(console, answer["tree"])
        print_failing(console, answer["failing"])
    if answer["messages"]:
        console.print(Text("\nWhat would be decided about each message now", style="bold"))
    for one in answer["messages"]:
        print_named(console, one["step"], _decided(one))
    if answer["history"]:
        console.print(Text("\nWhat has happened", style="bold"))
    for one in reversed(answer["history"]):
        outcome = f": {one['outcome']}" if one["outcome"] else ""
        group = " (control group)" if one["control_group"] else ""
        console.print(Text(f"{short_time(one['at'])}  {one['what']}{outcome}{group}"))
    if answer["decided"]:
        console.print(Text("\nWhat was decided about its messages", style="bold"))
    for one in reversed(answer["decided"]):
        print_decision(console, one)


def _standing(answer: dict[str, Any]) -> str:
    name, runs = answer["journey"], answer["runs"]
    if not runs:
        return f"is not in {name}"
    run = runs[0]
    group = ", in the control group" if run["control_group"] else ""
    until = f" until {short_time(run['until'])}" if run["until"] else ""
    return f"is in {name} since {short_time(run['entered'])}, at {run['step'] or '?'}{until}{group}"


def _remarks(answer: dict[str, Any]) -> Iterator[str]:
    if len(answer["runs"]) > 1:
        yield f"and has {len(answer['runs']) - 1} more runs in it"
    if answer["belongs_to"] is not None:
        yield f"this id belongs to {answer['belongs_to']}: ask about that user"
    if answer["version"] is None:
        yield "the configuration in use does not have this journey, so no one enters it"
    if answer["adopts_at"] is not None:
        until = short_time(answer["adopts_at"])
        yield f"configuration {answer['configuration']} is new; it decides about this user by {until} or before"
    said = {True: "the next trigger begins a run", False: "a trigger would begin no run now", None: ""}
    if answer["version"] is not None and (line := said[answer["would_enter"]]):
        yield line


def _decided(one: dict[str, Any]) -> str:
    if one["outcome"] == "sent":
        return f"sent over {one['channel']}"
    until = f" until {short_time(one['until'])}" if one["until"] else ""
    detail = f": {one['detail']}" if one["detail"] else ""
    blocked = one["blocked"] if len(one["blocked"]) > 1 else {}
    others = f" ({', '.join(f'{channel}: {reason}' for channel, reason in blocked.items())})" if blocked else ""
    return f"{one['outcome']}{until}, {one['because'] or one['reason']}{detail}{others}"
