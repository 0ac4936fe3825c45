"""``perennial dlq``: list and show dead letters, and send them again after their cause was corrected."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from datetime import UTC, datetime
from heapq import nlargest
from typing import Annotated, Any

import typer

from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table
from stream.cli.past_times import past_time
from stream.cluster.topic_reader import blocking
from stream.cluster.topics import require_topics
from stream.dead_letters.reading import Letter, letters
from stream.dead_letters.replay import replay as send_again
from stream.dead_letters.selection import Selection
from stream.installation.recognition import opened

app = typer.Typer(
    help="List and show records that were refused (dead letters), and send them again.",
    no_args_is_help=True,
    add_completion=False,
)

Reason = Annotated[str | None, typer.Option(help="Only dead letters with this reason, such as bad_time.")]
Since = Annotated[
    str | None,
    typer.Option(help="Only those refused in the last 2h or 7d, or since a time with its zone (2026-05-01T12:00Z)."),
]
Source = Annotated[
    str | None, typer.Option(help="Only those whose source begins with this text: events.in, door:, file:.")
]


@app.command("list")
def list_(
    reason: Reason = None,
    since: Since = None,
    source: Source = None,
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of dead letters to show, the newest first.")] = 20,
    config: Config = None,
    json: Json = False,
) -> None:
    """Count dead letters by reason, and show the newest."""
    wanted = _selection((), reason, since, source)
    counts: dict[str, dict[str, Any]] = {}
    stored = blocking(letters(opened(config).connection()))
    found = {letter.id: letter for letter in stored if wanted.takes(letter)}
    for letter in found.values():
        row = counts.setdefault(letter.rejected.reason, {"reason": letter.rejected.reason, "count": 0, "latest": 0})
        row["count"] += 1
        row["latest"] = max(row["latest"], letter.rejected.at)
    reasons = sorted(counts.values(), key=lambda row: (-row["count"], row["reason"]))
    newest = nlargest(limit, found.values(), key=lambda letter: (letter.rejected.at, letter.id))
    if json:
        print_json({"total": len(found), "reasons": reasons, "letters": [_as_row(letter) for letter in newest]})
        return
    if not found:
        print_line("none")
        return
    print_table(
        ("reason", "count", "latest"), [(row["reason"], str(row["count"]), _time(row["latest"])) for row in reasons]
    )
    print_line()
    print_table(
        ("id", "at", "reason", "field", "found"),
        [
            (one.id, _time(one.rejected.at), one.rejected.reason, one.rejected.field, one.rejected.found)
            for one in newest
        ],
    )


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="Id that `perennial dlq list` shows: topic/partition/offset.")],  # noqa: A002 - the help shows this name
    config: Config = None,
    json: Json = False,
) -> None:
    """Show one dead letter: why it was refused, where it came from, and its content."""
    found = [letter for letter in blocking(letters(opened(config).connection())) if letter.id == id]
    if not found:
        print_error(f"{id}: no such dead letter; `perennial dlq list` shows what there is")
        raise typer.Exit(2)
    whole = _in_full(found[-1])
    if json:
        print_json(whole)
        return
    width = max(map(len, whole))
    for name, value in whole.items():
        if name != "content":
            print_line(f"{name:<{width}}  {value}")
    print_line()
    print_line(str(whole["content"]))


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids that `perennial dlq list` shows.")] = None,
    reason: Reason = None,
    since: Since = None,
    source: Source = None,
    everything: Annotated[bool, typer.Option("--all", help="Send all dead letters again.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also send those that were refused because they came too late (too_late).")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Send dead letters again, after their cause was corrected. Each keeps its messageId, and is sent only once.

    A dead letter that still cannot become an event is listed with the reason,
    and stays a dead letter. Then the exit code is 1.
    """
    wanted = _selection(tuple(ids or ()), reason, since, source)
    if wanted.is_everything and not everything:
        print_error("name what to replay: IDs, --reason, --since, --source, or --all")
        raise typer.Exit(2)
    settings = opened(config)
    connection = settings.connection()
    require_topics(connection, settings.partitions)
    chosen = (letter async for letter in letters(connection) if wanted.takes(letter))
    done = asyncio.run(send_again(connection, settings.partitions, chosen, force=force))
    missing = sorted(wanted.ids - {*done.sent, *done.before, *done.refused})
    for name in missing:
        done.refused[name] = "there is no such dead letter"
    if json:
        print_json({"sent": done.sent, "sent_before": done.before, "refused": done.refused})
    else:
        for name, why in done.refused.items():
            print_line(f"{name}: {why}")
        print_line(f"{len(done.sent)} sent, {len(done.before)} were sent before, {len(done.refused)} refused")
    if done.refused:
        raise typer.Exit(1)


def _selection(ids: tuple[str, ...], reason: str | None, since: str | None, source: str | None) -> Selection:
    return Selection(frozenset(ids), reason, None if since is None else past_time("--since", since), source)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _as_row(letter: Letter) -> dict[str, Any]:
    rejected = letter.rejected
    return {
        "id": letter.id,
        "at": _time(rejected.at),
        "reason": rejected.reason,
        "field": rejected.field,
        "found": rejected.found,
        "allowed": rejected.allowed,
        "length": rejected.length,
    }


def _in_full(letter: Letter) -> dict[str, Any]:
    rejected = letter.rejected
    key = None if rejected.key is None else b64decode(rejected.key)
    return {
        **_as_row(letter),
        "topic": rejected.topic,
        "partition": rejected.partition,
        "offset": rejected.offset,
        "sha256": rejected.sha256,
        "kept": len(rejected.value),
        "key": None if key is None else _text(key),
        "content": _text(rejected.value),
    }


def _text(value: bytes) -> str:
    """Decode UTF-8, and escape the control characters of a terminal. Other bytes are returned with escapes."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return repr(value)
    return "".join(sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text)
