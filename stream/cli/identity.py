"""``perennial identity``: the ids that belong to one person."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import quote

import typer

from models.counting import counted
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time
from stream.lookup.client import ask_json
from stream.lookup.identity import identity_of
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Show which ids belong to one person.")


@app.callback()
def _identity() -> None:
    """Show which ids belong to one person."""


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
                link["outcome"],
                short_time(link["merged_at"]) if link["merged_at"] else "-",
                f"{link['events']:,}",
                f"{link['forwarded']:,}",
            )
            for link in links
        ]
        print_table(("id", "login", "outcome", "merged", "events", "forwarded"), rows)
    for one in identity["conflicts"]:
        print_line(f"not linked with {one['other']} at {short_time(one['at'])}: {one['reason']}")
