"""Text of ``perennial user USER --messages``: the decisions about messages to a user, the newest first."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.cli.output import short_time

INDENT = 14
"""Width of a name and the space after it, columns."""


def print_named(console: Console, name: str, value: str) -> None:
    """Print a name and its value; a long value continues below its beginning."""
    line = Table.grid(padding=(0, 0))
    line.add_column(width=INDENT)
    line.add_column()
    # values from the log are text, not markup
    line.add_row(Text(name, style="dim"), Text(value, style="" if name else "dim"))
    console.print(line)


def show_messages(answer: dict[str, Any]) -> None:
    """Print the decisions about messages to a user.

    Parameters
    ----------
    answer
        See :func:`models.fold.message_view.describe_messages`.
    """
    console = Console(highlight=False)
    head = Text(answer["user"], style="bold")
    head.append(f"  messages as of {short_time(answer['as_of'])} UTC, the newest first", style="not bold")
    console.print(head)
    since = answer["decisions_since"]
    said = f"all decisions since {short_time(since)}; before that" if since else "the topic has no decision;"
    console.print(Text(f"{said} only what the profile keeps", style="dim"))
    if not answer["messages"]:
        console.print("none")
    for one in reversed(answer["messages"]):
        print_decision(console, one)


def print_decision(console: Console, one: dict[str, Any]) -> None:
    """Print a decision: its outcome with the reason, and what delivery has reported."""
    channel = f"  {one['channel']}" if one["channel"] else ""
    console.print(Text(f"{short_time(one['at'])}{channel}  {one['rule']}: {_outcome(one)}"))
    for line in (one["subject"], one["because"], one["detail"], _blocked(one), one["why"], _delivery(one)):
        if line:
            print_named(console, "", line)


def _outcome(one: dict[str, Any]) -> str:
    said = str(one["outcome"])
    if one["reason"]:
        said += f" ({one['reason']})"
    if one["until"]:
        said += f" until {short_time(one['until'])}"
    if one["waits"]:
        said += ", and waits now"
    if one["delivery"] is not None:
        said += f", {one['delivery']['outcome'] or 'on its way'}"
    return said


def _blocked(one: dict[str, Any]) -> str:
    """Return the reasons by channel, if there are several channels."""
    blocked = one["blocked"]
    return ", ".join(f"{channel}: {reason}" for channel, reason in blocked.items()) if len(blocked) > 1 else ""


def _delivery(one: dict[str, Any]) -> str:
    said = one["delivery"] or {}
    return "; ".join(f"delivery: {said[name]}" for name in ("because", "detail") if said.get(name))
