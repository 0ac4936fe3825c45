"""``perennial segments``: the segments by rule with their sizes, growth and members, and a preview on a recording."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from models.fold.members import Entrant
from models.fold.membership_view import NO_SEGMENTS
from models.fold.moments import moment
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time, waiting_line
from stream.cli.segment_report import SegmentReport, described, show_report
from stream.cli.segments_preview import preview
from stream.installation.recognition import opened
from stream.lookup.identity import identity_of
from stream.lookup.segments import SegmentLookups, SegmentSizes
from stream.settings.worker_addresses import worker_urls

app = typer.Typer(
    help="Show the segments by rule: sizes, growth and members. Preview them on recorded events.",
    no_args_is_help=True,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(help="Name of a segment by rule.")]


@app.command("list")
def list_(config: Config = None, json: Json = False) -> None:
    """List the segments by rule with their sizes.

    The workers answer from counters, and no user is read. All partitions must
    have a worker on this machine.
    """
    found = asyncio.run(_lookups(config).sizes())
    if json:
        print_json(
            {
                "as_of": moment(found.now),
                "configuration": found.configuration,
                "adopts_until": None if found.adopts_until is None else moment(found.adopts_until),
                "waiting": found.waiting,
                "segments": [
                    {"name": one.name, "members": one.members, "entered_today": one.entered, "left_today": one.left}
                    for one in found.segments
                ],
            }
        )
        return
    if not found.segments:
        print_line(NO_SEGMENTS)
        return
    print_table(
        ("segment", "members", "entered today", "left today"),
        [(one.name, f"{one.members:,}", f"{one.entered:,}", f"{one.left:,}") for one in found.segments],
    )
    print_line()
    print_line(f"as of {short_time(moment(found.now))} UTC; configuration {found.configuration}")
    _print_adoption(found)


@app.command()
def show(name: Name, config: Config = None, json: Json = False) -> None:
    """Show a segment by rule: condition, size, growth by day for 35 days, and the newest twenty members."""
    lookups = _lookups(config)
    found, members = asyncio.run(_both(lookups, name))
    report = SegmentReport(name, found.of(name).when, members, found.now)
    if json:
        adopts_until = None if found.adopts_until is None else moment(found.adopts_until)
        waits = {"adopts_until": adopts_until, "waiting": found.waiting}
        print_json({**described(report), "configuration": found.configuration, **waits})
        return
    show_report(report)
    _print_adoption(found)


@app.command()
def members(
    name: Name,
    every: Annotated[
        bool, typer.Option("--all", help="List all members, sorted by their ids in each partition.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="With --all: end the list after this many members.")] = None,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print each member as a line of JSON.")] = False,
) -> None:
    """List the newest twenty members of a segment by rule, with the time of their entry.

    The workers know them from counters, and no user is read. With --all, the
    workers go through their users in small slices. Who enters or leaves
    meanwhile may be missing or listed.
    """
    if limit is not None and not every:
        raise typer.BadParameter("--limit only with --all, because otherwise the newest twenty are listed")
    asyncio.run(_list_members(_lookups(config), name, _Wanted(every, limit), json=json))


app.command("preview")(preview)


def _lookups(config: Path | None) -> SegmentLookups:
    settings = opened(config)
    return SegmentLookups(
        worker_urls(settings.sections.worker), settings.partitions, identity_of(settings.connection())
    )


async def _both(lookups: SegmentLookups, name: str) -> tuple[Any, Any]:
    found = await lookups.sizes()
    found.of(name)  # refuses an unknown name
    return found, await lookups.members(name)


class _Wanted(NamedTuple):
    every: bool
    limit: int | None


async def _list_members(lookups: SegmentLookups, name: str, wanted: _Wanted, *, json: bool) -> None:
    (await lookups.sizes()).of(name)  # refuses an unknown name
    if not wanted.every:
        for member in reversed((await lookups.members(name)).newest):
            _print_member(member, json=json)
        return
    number = 0
    async for member in lookups.walk(name):
        _print_member(member, json=json)
        number += 1
        if number == wanted.limit:
            return


def _print_member(member: Entrant, *, json: bool) -> None:
    import msgspec

    since = moment(member.since)
    if json:
        print_line(msgspec.json.encode({"user": member.user, "since": since}).decode())
    else:
        print_line(f"{short_time(since)}  {member.user}")


def _print_adoption(found: SegmentSizes) -> None:
    if found.adopts_until is not None:
        print_line(waiting_line(found.waiting, found.adopts_until))
