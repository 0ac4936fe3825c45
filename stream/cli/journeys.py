"""``perennial journeys``: the journeys, how many runs they have, and how the others have ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from models.fold.journey_view import JourneyState
from models.fold.moments import moment
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time
from stream.cli.recording_journeys import record
from stream.cli.testing_journeys import run_tests
from stream.installation.recognition import opened
from stream.lookup.identity import identity_of
from stream.lookup.journeys import JourneyLookups, JourneyStates
from stream.settings.worker_addresses import worker_urls

app = typer.Typer(help="Show the journeys: runs, exits, goals. Test them.", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="Name of a journey.")]


@app.command("list")
def list_(config: Config = None, json: Json = False) -> None:
    """List the journeys with the numbers of their runs.

    The workers answer from counters, and no user is read. All partitions must
    have a worker on this machine.
    """
    found = _states(config)
    if json:
        print_json({**_place(found), "journeys": [_described(one) for one in found.journeys]})
        return
    if not found.journeys:
        print_line("the configuration has no journeys; add the section `journeys` (docs/journeys.md)")
        return
    print_table(
        ("journey", "entered", "under way", "ended", "converted", "control group", "refused"),
        [_row(one) for one in found.journeys],
    )
    print_line()
    print_line(f"as of {short_time(moment(found.now))} UTC; configuration {found.configuration}")


@app.command()
def show(name: Name, config: Config = None, json: Json = False) -> None:
    """Show a journey: its version, the runs under way by version, exits, refusals and conversions."""
    found = _states(config)
    one = found.of(name)
    if json:
        print_json({**_place(found), **_described(one)})
        return
    counts = one.counts
    print_line(f"{one.name}: version {one.version or 'none: only older runs walk it'}")
    print_line()
    rows = [(f"under way in version {version}", f"{number:,}") for version, number in counts.active.items()]
    rows += [(f"ended: {outcome}", f"{number:,}") for outcome, number in counts.ended.items()]
    rows += [(f"not begun: {reason}", f"{number:,}") for reason, number in counts.refused.items()]
    print_table(("runs", "number"), [("entered", f"{counts.entered:,}"), *rows])
    print_line()
    treated, held_out = counts.entered - counts.held_out, counts.held_out
    converted = counts.converted - counts.converted_held_out
    print_table(
        ("group", "runs", "conversions", "rate"),
        [
            ("with messages", f"{treated:,}", f"{converted:,}", _rate(converted, treated)),
            (
                "control group",
                f"{held_out:,}",
                f"{counts.converted_held_out:,}",
                _rate(counts.converted_held_out, held_out),
            ),
        ],
    )
    print_line()
    print_line(f"as of {short_time(moment(found.now))} UTC; configuration {found.configuration}")


app.command("test")(run_tests)
app.command("record")(record)


def _states(config: Path | None) -> JourneyStates:
    settings = opened(config)
    lookups = JourneyLookups(
        worker_urls(settings.sections.worker), settings.partitions, identity_of(settings.connection())
    )
    return asyncio.run(lookups.states())


def _place(found: JourneyStates) -> dict[str, Any]:
    return {"as_of": moment(found.now), "configuration": found.configuration}


def _row(one: JourneyState) -> tuple[str, ...]:
    counts = one.counts
    numbers = (
        *(counts.entered, sum(counts.active.values()), sum(counts.ended.values())),
        *(counts.converted, counts.held_out, sum(counts.refused.values())),
    )
    return (one.name, *(f"{number:,}" for number in numbers))


def _described(one: JourneyState) -> dict[str, Any]:
    counts = one.counts
    return {
        "name": one.name,
        "version": one.version or None,
        "entered": counts.entered,
        "under_way": counts.active,
        "ended": counts.ended,
        "refused": counts.refused,
        "converted": counts.converted,
        "control_group": {"entered": counts.held_out, "converted": counts.converted_held_out},
    }


def _rate(number: int, of: int) -> str:
    return f"{number / of:.1%}" if of else "-"
