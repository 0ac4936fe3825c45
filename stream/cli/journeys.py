"""``perennial journeys``: the journeys, how many runs they have, how the others have ended, and pauses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from models.fold.journey_view import JourneyState
from models.fold.moments import moment
from stream.cli.journey_pauses import pause, resume
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time
from stream.cli.recording_journeys import record
from stream.cli.testing_journeys import run_tests
from stream.installation.in_flight import journey_lookups
from stream.installation.recognition import opened
from stream.lookup.journeys import JourneyStates

app = typer.Typer(
    help="Show journeys and their runs; test, pause and resume them.",
    no_args_is_help=True,
    add_completion=False,
)

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
        ("journey", "state", "entered", "under way", "held", "ended", "converted", "control group", "refused"),
        [_row(one) for one in found.journeys],
    )
    print_line()
    _print_place(found)


app.command()(pause)
app.command()(resume)


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
    if one.pause is not None:
        since = short_time(moment(one.pause.since))
        print_line(f"paused since {since} UTC; new entries: {one.pause.entries}")
    print_line()
    rows = [(f"under way in version {version}", f"{number:,}") for version, number in counts.active.items()]
    if counts.held:
        rows.append(("of these, held by a pause", f"{counts.held:,}"))
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
    _print_place(found)


app.command("test")(run_tests)
app.command("record")(record)


def _states(config: Path | None) -> JourneyStates:
    return asyncio.run(journey_lookups(opened(config)).states())


def _print_place(found: JourneyStates) -> None:
    print_line(f"as of {short_time(moment(found.now))} UTC; configuration {found.configuration}")
    if found.reaches_until is not None:
        until = short_time(moment(found.reaches_until))
        print_line(f"an order about runs is being followed; the numbers are final at {until} UTC")


def _place(found: JourneyStates) -> dict[str, Any]:
    until = None if found.reaches_until is None else moment(found.reaches_until)
    return {"as_of": moment(found.now), "configuration": found.configuration, "orders_followed_by": until}


def _row(one: JourneyState) -> tuple[str, ...]:
    counts = one.counts
    numbers = (
        *(counts.entered, sum(counts.active.values()), counts.held, sum(counts.ended.values())),
        *(counts.converted, counts.held_out, sum(counts.refused.values())),
    )
    return (one.name, "in use" if one.pause is None else "paused", *(f"{number:,}" for number in numbers))


def _described(one: JourneyState) -> dict[str, Any]:
    counts = one.counts
    return {
        "name": one.name,
        "version": one.version or None,
        "entered": counts.entered,
        "under_way": counts.active,
        "held": counts.held,
        "paused": None if one.pause is None else {"since": moment(one.pause.since), "entries": one.pause.entries},
        "ended": counts.ended,
        "refused": counts.refused,
        "converted": counts.converted,
        "control_group": {"entered": counts.held_out, "converted": counts.converted_held_out},
    }


def _rate(number: int, of: int) -> str:
    return f"{number / of:.1%}" if of else "-"
