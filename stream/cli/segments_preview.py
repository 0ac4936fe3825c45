"""``perennial segments preview FILE --replay LOG``: the segments of a file on recorded events, without a broker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from models.batch import Output
from models.conditions.writing import plain
from models.counting import counted
from models.events import Event
from models.fold.moments import moment
from models.fold.preview import SegmentPreview
from models.rejected import decode_rejected
from models.units import now_ms
from stream.cli.output import Json, print_error, print_json, print_line, short_time
from stream.cli.past_times import past_time
from stream.cli.progress import progress_bar
from stream.cli.segment_report import SegmentReport, described, show_report
from stream.feed.recording import CannotReplay, Recording, survey
from stream.feed.replaying import reads
from stream.settings.loading import load
from stream.settings.rules import read_configuration

PORTION = 1_000
"""Number of events that are folded between two moves of the progress bar."""


def preview(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Settings file with the segments.")],
    replay: Annotated[
        Path,
        typer.Option(metavar="LOG", help="Recorded events: .jsonl, .jsonl.gz, or Online Retail as .csv, .csv.gz."),
    ],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Stop at this time (2026-05-01T12:00Z); by default at the last event."),
    ] = None,
    json: Json = False,
) -> None:
    """Show which users the segments of a file would have, on recorded events.

    The events are folded in memory, by the fold that production uses. The command
    needs no broker, and changes nothing. Scores and learned segments are missing,
    because no model has learned from these events.
    """
    until = None if at is None else past_time("--at", at)
    configuration, recording = read_configuration(load(file)), survey(replay)
    if not configuration.segments:
        raise typer.BadParameter(f"{file}: found no segments; allowed: a file with a section segments")
    folded, rejected = SegmentPreview(configuration), list[Output]()
    with progress_bar("fold", recording.lines) as moved:
        events = _events(recording, until, rejected)
        while portion := list(islice(events, PORTION)):
            folded.fold(portion)
            moved(folded.events + len(rejected), folded.now)
        if until is not None:
            folded.pass_to(until)
    if rejected:
        first = decode_rejected(rejected[0].value)
        print_error(
            f"refused: {counted(len(rejected), 'line')}; the first for {first.field or 'its form'}: found "
            f"{first.found}; allowed: {first.allowed}"
        )
    if not folded.events:
        raise CannotReplay(f"{replay} holds no event that can be folded" + (f" up to {at}" if at is not None else ""))
    if folded.reads_models:
        print_error("a condition reads a score or a learned segment, which a preview does not have")
    reports = [
        SegmentReport(one.name, plain(one.when), folded.members(one.name), folded.now) for one in configuration.segments
    ]
    if json:
        totals = {"as_of": moment(folded.now), "events": folded.events, "users": folded.users}
        print_json({**totals, "refused": len(rejected), "segments": [described(one) for one in reports]})
        return
    print_line(
        f"{folded.events:,} events of {counted(folded.users, 'user')}, up to {short_time(moment(folded.now))} UTC"
    )
    for report in reports:
        print_line()
        show_report(report)


def _events(recording: Recording, until: int | None, rejected: list[Output]) -> Iterator[Event]:
    """Yield the events up to the first one after a time, and collect the dead letters."""
    for read in reads(recording, now_ms()):
        if read.rejected is not None:
            rejected.append(read.rejected)
        if read.event is not None:
            if until is not None and read.event.at > until:
                return
            yield read.event
