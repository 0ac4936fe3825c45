"""``perennial replay``: write recorded events into a log whose clock follows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.interruptible import run
from stream.cli.output import Config, Json, debugging
from stream.cli.progress import progress_bar
from stream.cli.replay_report import report
from stream.cli.temporary import temporary_folder
from stream.cluster.topics import require_topics
from stream.feed.reconciliation import Reconciliation, reconcile
from stream.feed.recording import CannotReplay, Recording, survey
from stream.feed.replaying import replay as feed
from stream.installation.recognition import opened
from stream.installation.running import StartOptions, await_folding, own_ports, running
from stream.settings.loading import Settings, load


def replay(
    path: Annotated[
        Path,
        typer.Argument(
            help="The data set Online Retail (.csv, .csv.gz), or events as lines of JSON (.jsonl, .jsonl.gz)."
        ),
    ],
    embedded: Annotated[bool, typer.Option("--embedded", help="Start a broker and a worker for the replay.")] = False,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Multiple of real time; by default as fast as the events can be folded."),
    ] = None,
    rejected: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write each refused line to this file, as a line of JSON.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Write recorded events into an empty log, whose clock then follows the times of the events.

    The replay is never more than one day of these times ahead of the slowest
    fold. None of its messages reaches a real provider. A log is refused if it has
    live events, or if another replay or simulation was written into it.

    The report at the end counts every line. A line counts in a profile, repeats
    an event or an order that counts, or was refused, with the reason.

    Exit codes: 0 if every line counts or is a repeat. 1 if lines are missing.
    2 if all lines were refused, or the call has a mistake. 3 if some lines were
    refused, and none is missing.
    """
    recording = survey(path)
    if not recording.lines:
        raise CannotReplay(f"{path} holds no records")
    if rejected is not None:
        _require_writable(rejected)
    found, seconds = _embedded(config, recording, speed) if embedded else _into(opened(config), recording, speed)
    report(found, seconds, json=json, rejected=rejected)


def _require_writable(file: Path) -> None:
    """Refuse a file that cannot be written; a replay calls this first, because its report would be lost otherwise."""
    try:
        file.open("wb").close()
    except OSError as error:
        raise CannotReplay(f"--rejected {file} cannot be written: {error.strerror or error}") from error


def _into(settings: Settings, recording: Recording, speed: float | None) -> tuple[Reconciliation, float]:
    require_topics(settings.connection(), settings.partitions)
    return _fed(settings, recording, speed)


def _fed(settings: Settings, recording: Recording, speed: float | None) -> tuple[Reconciliation, float]:
    """Feed a log that a worker folds, and compare the lines read with the events folded."""
    with progress_bar("replay", recording.lines) as moved:
        done = run(feed(settings, recording, speed=speed, on_progress=moved))
    return run(reconcile(settings.connection(), settings.partitions, recording, done)), done.seconds


def _embedded(config: Path | None, recording: Recording, speed: float | None) -> tuple[Reconciliation, float]:
    with temporary_folder("replay") as folder:
        # Whatever the settings say, this is a separate installation, which ends with the command.
        flags = {**own_ports(), "folder": folder, "kafka.servers": "127.0.0.1:0", "kafka.embedded": True}
        settings = load(config, flags)
        with running(settings, ("worker",), StartOptions(clock="feeder", keeps_logs=debugging())) as installation:
            await_folding(installation)
            return _fed(installation.settings, recording, speed)
