"""``perennial apply``: put the rules, caps, quiet hours and templates of the settings file into use."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

from stream.cli.output import Config, Json, print_error, print_json, print_line
from stream.cluster.topics import require_topics
from stream.installation.applying import apply as put_into_use
from stream.installation.recognition import opened
from stream.installation.segment_names import names_in_use, notes
from stream.settings.rules import read_configuration


def apply(
    config: Config = None,
    clock: Annotated[
        Literal["wall", "feeder"],
        typer.Option(
            help="Clock of a log that is still empty: wall for live events, feeder for a replay or a simulation."
        ),
    ] = "wall",
    json: Json = False,
) -> None:
    """Put the settings file's rules, templates, caps, quiet hours, consent names and churn definition into use.

    They take effect for all later events in the log. Earlier decisions do not
    change, and a replay of the log makes the same decisions.
    """
    settings = opened(config)
    wanted, connection = read_configuration(settings), settings.connection()
    require_topics(connection, settings.partitions)
    applied = put_into_use(settings, clock)
    worth_knowing = list(notes(wanted, asyncio.run(names_in_use(connection))))
    names = [rule.name for rule in wanted.rules]
    if json:
        print_json(
            {"version": applied.version, "changed": applied.changed, "rules": names, "notes": worth_knowing},
        )
        return
    rules = ", ".join(names) or "none"
    if applied.changed:
        print_line(f"configuration version {applied.version} is in use from now on; rules: {rules}")
    else:
        print_line(f"nothing has changed: configuration version {applied.version} stays in use; rules: {rules}")
    for note in worth_knowing:
        print_error(f"note: {note}")
