"""Text of ``perennial user USER --why SEGMENT``: the tree of clauses, and the smallest set of clauses that fail."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from models.fold.deciding_events import NOT_READ, WITHOUT_EVENT
from stream.cli.output import short_time

_TRUTHS = {True: "yes", False: "no", None: "unknown"}
_WIDTH = max(map(len, _TRUTHS.values()))


def show_why(answer: dict[str, Any]) -> None:
    """Print why a user is in a segment by rule or not.

    Parameters
    ----------
    answer
        See :func:`models.fold.membership_view.why`.
    """
    console = Console(highlight=False)
    head = Text(answer["user"], style="bold")
    since = answer["since"]
    head.append(f" is in {answer['segment']} since {short_time(since)}" if since else f" is not in {answer['segment']}")
    head.append(f"  as of {short_time(answer['as_of'])} UTC", style="not bold")
    console.print(head)
    if answer["adopts_at"] is not None:
        until = short_time(answer["adopts_at"])
        said = f"configuration {answer['configuration']} is new; it decides about this user by {until} or before"
        console.print(Text(said, style="dim"))
    console.print()
    print_tree(console, answer["tree"])
    print_failing(console, answer["failing"])


def print_tree(console: Console, tree: dict[str, Any]) -> None:
    """Print a condition, clause by clause."""
    for depth, one in _lines(tree, 0):
        line = Text("  " * depth)
        line.append(f"{_TRUTHS[one['truth']]:<{_WIDTH}}", style=_style(one["truth"]))
        line.append(f"  {one['group'] if 'group' in one else written(one['clause'])}")
        console.print(line)
        for detail in _details(one):
            console.print(Text(f"{'  ' * depth}{'':<{_WIDTH}}    {detail}", style="dim"))


def print_failing(console: Console, failing: Sequence[Any]) -> None:
    """Print the smallest set of clauses that would have to change."""
    if failing:
        console.print(Text("\nto enter, these would have to change:", style="bold"))
        for clause in failing:
            ends = list(clause) == ["not"]
            console.print(Text(f"  no longer {written(clause['not'])}" if ends else f"  {written(clause)}"))


def written(condition: Any) -> str:
    """Return a written condition on one line, as YAML allows it.

    Examples
    --------
    >>> written({"event": "product_view", "times": {"at_least": 3}, "within": "7d"})
    '{event: product_view, times: {at_least: 3}, within: 7d}'
    """
    if isinstance(condition, dict):
        return "{" + ", ".join(f"{_word(name)}: {written(value)}" for name, value in condition.items()) + "}"
    if isinstance(condition, list | tuple):
        return "[" + ", ".join(map(written, condition)) + "]"
    return _word(condition) if isinstance(condition, str) else json.dumps(condition)


def _word(text: str) -> str:
    """Return a text, in quotes unless it certainly reads as the same text without them."""
    letters = text.replace("_", "").replace(" ", "").replace(".", "").replace("%", "")
    plain = letters.isalnum() and text == text.strip() and text.lower() not in _NOT_TEXT and not _is_number(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "none"}


def _is_number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return False
    return True


def _lines(one: dict[str, Any], depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
    yield depth, one
    for inner in one.get("of", ()):
        yield from _lines(inner, depth + 1)


def _event(one: dict[str, Any]) -> str:
    """Return the deciding event, or why there is none."""
    event = one["event"]
    if event is not None:
        later = "" if event["at"] == one["decided_at"] else f" of {short_time(event['at'])}"
        return f" by {event['name'] or event['type']} {event['id']}{later}"
    if one["no_event"] not in (None, NOT_READ):
        return f"; {WITHOUT_EVENT[one['no_event']]}"
    return "" if one["decided_by"] is None else f", event {one['decided_by']}"


def _style(truth: bool | None) -> str:
    return {True: "green", False: "red", None: "yellow"}[truth]


def _details(one: dict[str, Any]) -> Iterator[str]:
    """Yield what was measured, which event decides, what the clause has not seen, and when it changes next."""
    if "group" in one:
        return
    bound = f"; wanted {written(one['bound'])[1:-1]}" if one["bound"] else ""
    roughly = " (approximate)" if one["approximate"] else ""
    yield f"found {one['value']}{roughly}{bound}"
    if one["decided_at"] is not None:
        yield f"decided at {short_time(one['decided_at'])}{_event(one)}"
    elif one["no_event"] not in (None, NOT_READ):
        yield WITHOUT_EVENT[one["no_event"]]
    if one["waits_for_history"]:
        yield "unknown until its history is read from the log"
    elif one["truth"] is None:
        until = one["unknown_until"]
        yield "unknown until " + (short_time(until) if until else "an event decides it")
    if one["covered_from"] is not None:
        yield f"has seen all events since {short_time(one['covered_from'])}"
    if one["changes_at"] is not None:
        yield f"changes at {short_time(one['changes_at'])} without an event"
