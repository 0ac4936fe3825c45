"""``perennial report``: what the installation has counted. No report goes through the users."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from models.fold.moments import moment
from models.units import DAY
from stream.cli.flow_chart import StageFlow, draw_flows
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time
from stream.installation.recognition import opened
from stream.lookup.identity import identity_of
from stream.lookup.segments import SegmentLookups, StageCounters
from stream.settings.worker_addresses import worker_urls

app = typer.Typer(help="Show what the installation has counted.", no_args_is_help=True, add_completion=False)


@app.callback()
def report() -> None:
    """Show what the installation has counted."""


@app.command()
def lifecycle(
    days: Annotated[int, typer.Option(min=1, max=35, help="Number of days up to now, in UTC.")] = 7,
    svg: Annotated[Path | None, typer.Option(help="Write a chart of the flows to this file.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show how many users are in each stage of the lifecycle, and how many have moved between them.

    The workers answer from counters, and no user is read. All partitions must
    have a worker on this machine.
    """
    settings = opened(config)
    lookups = SegmentLookups(
        worker_urls(settings.sections.worker), settings.partitions, identity_of(settings.connection())
    )
    found = asyncio.run(lookups.stages())
    flows, silent = moved(found, days)
    if svg is not None:
        title = f"Moves between stages in {days} day{'s' if days > 1 else ''} up to {short_time(moment(found.now))} UTC"
        svg.write_text(draw_flows(title, found.names, flows, found.stages.users), encoding="utf-8")
    if json:
        print_json(_described(found, days, flows, silent))
        return
    if not found.names:
        print_line("the configuration has no lifecycle; add the section `lifecycle` (docs/lifecycle.md)")
        return
    print_table(("stage", "users"), [(name, f"{found.stages.users.get(name, 0):,}") for name in found.names])
    print_line()
    if flows:
        rows = [(flow.origin or "(new user)", flow.target, f"{flow.users:,}") for flow in flows]
        print_table(("from", "to", f"moves in {days} days"), rows)
    else:
        print_line(f"no user has moved in {days} days")
    if silent:
        print_line(f"{silent:,} more users came to a new lifecycle, without a signal")
    print_line(f"as of {short_time(moment(found.now))} UTC")
    if svg is not None:
        print_line(f"the chart is in {svg}")


def moved(found: StageCounters, days: int) -> tuple[list[StageFlow], int]:
    """Return the moves of the last days, in the sequence of the stages, and the number of silent ones."""
    first, flows, silent = found.now // DAY - days + 1, Counter[str](), 0
    for day in found.stages.days:
        if day.day >= first:
            flows.update(day.moves)
            silent += sum(day.adopted.values())
    order = {name: number for number, name in enumerate(["", *found.names])}
    pairs = [(name.partition(">"), users) for name, users in flows.items()]
    known = [StageFlow(origin, to, users) for (origin, _, to), users in pairs if {origin, to} <= order.keys()]
    return sorted(known, key=lambda flow: (order[flow.origin], order[flow.target])), silent


def _described(found: StageCounters, days: int, flows: list[StageFlow], silent: int) -> dict[str, Any]:
    return {
        "as_of": moment(found.now),
        "days": days,
        "stages": [{"name": name, "users": found.stages.users.get(name, 0)} for name in found.names],
        "moves": [{"from": flow.origin or None, "to": flow.target, "users": flow.users} for flow in flows],
        "silent": silent,
    }
