"""``perennial journeys record``: write a journey test from the events of a user in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from models.journey_tests.recording import RecordingWish, record_test
from stream.cli.output import Config, print_line
from stream.cli.past_times import past_time
from stream.cli.why import written
from stream.cluster.topics import require_topics
from stream.installation.recognition import opened
from stream.installation.recorded_events import events_of
from stream.settings.rules import read_configuration

HEADER = (
    "# Written by `perennial journeys record` from the events of a user.",
    "# Ids, addresses and texts are replaced. The expectations are what the settings file makes of the events.",
)


def record(
    user: Annotated[str, typer.Option(help="Id of the user.")],
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Begin: 7d, or 2026-05-01T12:00Z; by default all."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End of the test; by default the end of the log.")
    ] = None,
    of: Annotated[
        str | None, typer.Option(metavar="JOURNEY", help="The journey; by default the one that the user enters.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file, such as journeys/trial.test.yaml.")
    ] = None,
    config: Config = None,
) -> None:
    """Write a test of a journey from the events of a user, with ids, addresses and texts replaced.

    The test expects what the journeys of the settings file make of the events now.
    What the user did as a visitor before a login is not in it. Read the file before
    you share it.
    """
    settings = opened(config)
    configuration, connection = read_configuration(settings), settings.connection()
    require_topics(connection, settings.partitions)
    found = asyncio.run(events_of(connection, settings.partitions, user))
    wish = RecordingWish(
        user,
        0 if begin is None else past_time("--from", begin),
        found.now if end is None else past_time("--to", end),
        of or "",
    )
    text = "\n".join(_lines(record_test(found.events, configuration, wish)))
    if output is None:
        print_line(text)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(f"{text}\n", encoding="utf-8")


def _lines(test: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a test: a part on each, and a step on each."""
    yield from HEADER
    for name in ("of", "start", "given", "world", "steps"):
        value = test.get(name)
        if isinstance(value, list):
            yield f"{name}:"
            yield from (f"  - {written(one)}" for one in value)
        elif value is not None:
            yield f"{name}: {written(value)}"
