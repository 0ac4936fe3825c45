"""``perennial apply``: rules, caps, quiet hours and templates of the file act from now on."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from stream.cli.output import Config, Json, print_json, print_line


def apply(
    config: Config = None,
    clock: Annotated[
        Literal["wall", "feeder"],
        typer.Option(help="Of a log that is still empty: wall for live events, feeder for a replay or a simulation."),
    ] = "wall",
    json: Json = False,
) -> None:
    """Put rules, caps, quiet hours, templates and churn's definition of the file into use.

    They act from their place in the log on: what was decided before stays, and a replay decides the same.
    """
    from stream.configuration import apply as put_into_use
    from stream.configuration import configuration
    from stream.settings import load
    from stream.topics import require_topics

    settings = load(config)
    wanted = configuration(settings)
    require_topics(settings.connection(), settings.partitions)
    applied = put_into_use(settings, clock)
    if json:
        print_json({"version": applied.version, "changed": applied.changed, "rules": [r.name for r in wanted.rules]})
        return
    rules = ", ".join(rule.name for rule in wanted.rules) or "none"
    done = "is in use" if applied.changed else "was in use, and was sent again"
    print_line(f"configuration version {applied.version} {done}; rules: {rules}")
