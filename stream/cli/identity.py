"""``perennial identity``: the ids that belong to one person."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Annotated, Any, Self
from urllib.parse import quote

import typer

from models.counting import counted
from stream.cli import identity_split
from stream.cli.identity_split import as_json, number_of, preview_of
from stream.cli.interruptible import run
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time
from stream.cli.progress import ShowProgress, progress_bar
from stream.cluster.topics import require_topics
from stream.installation.recognition import opened
from stream.installation.splitting import Splitting
from stream.lookup.client import ask_json
from stream.lookup.identity import identity_of
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Show the ids of one person, or split them.")


@app.callback()
def _identity() -> None:
    """Show the ids of one person, or split them."""


@app.command()
def show(
    user: Annotated[str, typer.Argument(help="The user's id; anonymous:ID for a visitor.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the anonymous ids of a user, or the user whose anonymous id this is.

    For each merge, it shows the login that caused it, its time, and how many
    events were merged and forwarded. It also shows links that were not made,
    because both ids belong to known users or their events have other origins.

    The worker that owns the user answers. It must run on this machine.
    """
    settings, path = load(config), f"/v1/users/{quote(user, safe='')}"
    answer = asyncio.run(ask_json(worker_urls(settings.sections.worker), path, identity_of(settings.connection())))
    if json:
        print_json({"user": answer["user"], "as_of": answer["as_of"], **answer["identity"]})
    else:
        _show(answer["user"], answer["identity"])


@app.command()
def split(
    user: Annotated[str, typer.Argument(help="The known user's id.")],
    anonymous: Annotated[str, typer.Argument(help="The anonymous id; anonymous: may be left out.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keep_past: Annotated[
        bool,
        typer.Option("--keep-past", help="Leave past events with the user, and keep only later ones apart."),
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Split a user and a visitor: both profiles are computed again from the log, as if never merged.

    The command shows what changes, and asks. Messages that were sent stay with
    the user who received them. Logins so far do not link the two any more; a
    later one does.

    It reads the partitions of both profiles from the beginning, beside the
    running system. If it was interrupted, the same command continues. With --json
    and without --yes, it changes nothing.

    The workers that own the two profiles must run on this machine.
    """
    settings = opened(config)
    require_topics(settings.connection(), settings.partitions)
    with _Reading() as reading:
        splitting = Splitting(settings, user, anonymous, reading)
        run(splitting.prepare(keep_past=keep_past))
    preview = preview_of(splitting, keep_past=keep_past)
    if not json:
        identity_split.show(preview, keep_past=keep_past)
        if not yes and not typer.confirm("Split them?", err=True):
            print_line("nothing was changed")
            return
    elif not yes:
        print_json(as_json(preview, None))
        return
    run(splitting.run(keep_past=keep_past))
    profiles = {key: one.customer for key, one in run(splitting.after()).items()}
    if json:
        print_json(as_json(preview, profiles))
        return
    counts = " and ".join(f"{counted(number_of(one), 'event')} for {key}" for key, one in profiles.items())
    print_line(f"split {preview.id} is done; {counts} now")


class _Reading:
    """The progress of reading the log."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._moved: ShowProgress | None = None
        self._positions: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def planned(self, records: int) -> None:
        self._moved = self._stack.enter_context(progress_bar("read the log", records))

    def folded(self, partition: int, position: int, now: int) -> None:
        self._positions[partition] = position
        if self._moved is not None:
            self._moved(sum(self._positions.values()), now)


def _show(user: str, identity: dict[str, Any]) -> None:
    owner, links = identity["owner"], identity["links"]
    if owner is not None:
        forwarded = counted(owner["forwarded"], "event")
        print_line(f"{user} belongs to {owner['user']} since {short_time(owner['login_at'])}; {forwarded} forwarded")
    elif not links:
        print_line(f"{user} has no other id")
    if links:
        rows = [
            (
                link["id"],
                short_time(link["login_at"]),
                "split" if link["is_split"] else link["outcome"],
                short_time(link["merged_at"]) if link["merged_at"] else "-",
                f"{link['events']:,}",
                f"{link['forwarded']:,}",
            )
            for link in links
        ]
        print_table(("id", "login", "outcome", "merged", "events", "forwarded"), rows)
    for other, made in _splits(identity):
        moved = f"{counted(made['events'], 'event')} went back" if made["events"] else "past events stayed"
        print_line(f"split {made['id']} from {other} at {short_time(made['at'])}; {moved}")
    for one in identity["conflicts"]:
        print_line(f"not linked with {one['other']} at {short_time(one['at'])}: {one['reason']}")


def _splits(identity: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the splits of a profile, with the other id of each."""
    known = [(link["id"], link["split"]) for link in identity["links"] if link["split"] is not None]
    return [*known, *((one["user"], one) for one in identity["splits"])]
