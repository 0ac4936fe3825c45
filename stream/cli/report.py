"""``perennial report``: what the installation has counted. No report goes through the users."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from models.counting import counted
from models.fold.moments import moment
from models.learning.population import SHARES, Population
from models.units import DAY
from stream.cli.engagement_reports import campaigns, journeys
from stream.cli.flow_chart import StageFlow, draw_flows
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time, waiting_line
from stream.installation.recognition import opened
from stream.lookup.identity import identity_of
from stream.lookup.segments import BuyerCounters, SegmentLookups, StageCounters
from stream.settings.worker_addresses import worker_urls

app = typer.Typer(help="Show what the installation has counted.", no_args_is_help=True, add_completion=False)


app.command()(journeys)
app.command()(campaigns)


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
    found, buyers = asyncio.run(_both(_lookups(config)))
    flows, silent = moved(found, days)
    if svg is not None:
        title = f"Moves between stages in {days} day{'s' if days > 1 else ''} up to {short_time(moment(found.now))} UTC"
        svg.write_text(draw_flows(title, found.names, flows, found.stages.users), encoding="utf-8")
    if json:
        print_json(_described(found, days, flows, silent) | {"rfm": _scores(buyers)})
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
    if found.adopts_until is not None:
        print_line(waiting_line(found.waiting, found.adopts_until))
    if buyers.version:
        print_line(_outdated(buyers))
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
        "waiting": found.waiting,
        "adopts_until": None if found.adopts_until is None else moment(found.adopts_until),
    }


@app.command()
def rfm(config: Config = None, json: Json = False) -> None:
    """Show the cut points of the scores of buyers, and how many buyers still have scores by older ones.

    The workers answer from counters, and no user is read. All partitions must
    have a worker on this machine.
    """
    found = asyncio.run(_lookups(config).buyers())
    population = found.population
    if json:
        print_json({"as_of": moment(found.now), **_scores(found), "population": _public(population)})
        return
    if population is None:
        print_line("there are no cut points yet: too few buyers are known (docs/rfm.md)")
        return
    print_line(f"cut points of version {found.version}, from {counted(population.users, 'buyer')}")
    print_table(("score", *(f"{share:.0%} are at most" for share in SHARES)), _cut_points(population))
    print_line()
    if (gaps := population.gaps) is not None:
        lengths = f"half are at most {gaps.median:.1f} days, 75% {gaps.p75:.1f}, 90% {gaps.p90:.1f}"
        print_line(f"{counted(gaps.count, 'gap')} between two purchases: {lengths}")
    print_line(_outdated(found))
    print_line(f"as of {short_time(moment(found.now))} UTC")


def _lookups(config: Path | None) -> SegmentLookups:
    settings = opened(config)
    return SegmentLookups(
        worker_urls(settings.sections.worker), settings.partitions, identity_of(settings.connection())
    )


async def _both(lookups: SegmentLookups) -> tuple[StageCounters, BuyerCounters]:
    return await lookups.stages(), await lookups.buyers()


def _scores(found: BuyerCounters) -> dict[str, int]:
    return {"version": found.version, "buyers": found.buyers.number, "outdated": found.outdated}


def _public(population: Population | None) -> dict[str, Any] | None:
    if population is None:
        return None
    return {name: getattr(population, name) for name in ("users", "recency", "frequency", "monetary", "gaps")}


def _outdated(found: BuyerCounters) -> str:
    have = "has" if found.outdated == 1 else "have"
    older = f"{found.outdated:,} still {have} those of older cut points than version {found.version}"
    return f"{counted(found.buyers.number, 'buyer')} with scores; {older}"


def _cut_points(population: Population) -> Iterator[tuple[str, ...]]:
    yield "recency, days", *(f"{cut:,.1f}" for cut in population.recency)
    yield "frequency, orders", *(f"{cut:,.0f}" for cut in population.frequency)
    for currency, cuts in sorted(population.monetary.items()):
        yield f"monetary, {currency}", *(f"{cut:,.2f}" for cut in cuts)
