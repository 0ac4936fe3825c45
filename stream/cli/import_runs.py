"""``perennial import list`` and ``undo``: the runs so far, and taking one back."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Mapping
from typing import Annotated

import msgspec
import typer

from models.imports.runs import ImportRun
from models.units import now_ms
from stream.cli.import_options import By, CannotImport, progress
from stream.cli.import_report import print_runs, run_row
from stream.cli.interruptible import run as run_interruptible
from stream.cli.output import Config, Json, print_json, print_line
from stream.cli.suppression_access import SuppressionAccess
from stream.cluster.connection import Connection
from stream.cluster.topics import require_topics
from stream.imports.listing import entries_of, remove
from stream.imports.run_store import read_runs, run_named, write_run
from stream.imports.spool import Spool
from stream.imports.undoing import UserUndo
from stream.installation.recognition import opened
from stream.log.event_log import EventLog
from stream.settings.loading import Settings

Undo = Annotated[
    bool, typer.Option("--yes", help="Take it back; without --yes the command only shows what it would do.")
]


def list_(config: Config = None, json: Json = False) -> None:
    """Show all runs: the file, the person, the time, what they changed, and which were undone."""
    settings = opened(config)
    runs = asyncio.run(read_runs(_connection(settings)))
    if json:
        print_json([run_row(run) for run in runs])
    elif runs:
        print_runs(runs)
    else:
        print_line("no file was imported yet")


def undo(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id of the run, or its beginning.")],
    by: By = None,
    yes: Undo = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Take back what a run has changed and nothing newer has changed since. Nothing is written without --yes.

    Former traits, grants and totals come back. Withdrawals stay, and so do
    complaints, unsubscriptions and stops on the suppression list.
    """
    settings = opened(config)
    connection = _connection(settings)
    run = run_named(asyncio.run(read_runs(connection)), identity)
    if run.state == "undone":
        raise CannotImport(f"the run {run.id} is undone already")
    undone = msgspec.structs.replace(run, state="undone", undone_at=now_ms(), undone_by=by or getpass.getuser())
    if run.content == "suppressions":
        found, stays = _undo_listed(settings, connection, undone, yes=yes)
    else:
        found, stays = _undo_users(settings, connection, undone, yes=yes)
    if json:
        print_json({"run": run.id, "undone": yes, "takes_back": dict(found), "stays": dict(stays)})
        return
    print_line(f"run {run.id} of {run.file}")
    print_line(f"{'taken back' if yes else 'would be taken back'}: {_listed(found)}")
    print_line(f"stays: {_listed(stays)}")
    if not yes:
        print_line("nothing was written; --yes takes it back")


def _undo_users(
    settings: Settings, connection: Connection, undone: ImportRun, *, yes: bool
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Take back a run about users; return what is taken back and what stays, each by its description."""
    with Spool() as spool:
        work = UserUndo(connection, settings.partitions, spool, undone)
        run_interruptible(work.prepare())
        counts = work.counts
        if yes:
            with progress("writing", spool.keys()) as show:
                run_interruptible(work.write(show))
            recorded = msgspec.structs.replace(undone, undone=dict(counts))
            asyncio.run(_record(connection, settings.partitions, recorded))
    found = {name: counts[name] for name in ("people", "traits", "grants", "totals")}
    return found, {
        "people whose profile something newer has changed, or who are not remembered any more": counts["people_left"],
        "grants that a newer statement has replaced": counts["newer_grants"],
        "withdrawals (never undone)": undone.counts.get("withdrawals", 0),
    }


def _undo_listed(
    settings: Settings, connection: Connection, undone: ImportRun, *, yes: bool
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Take back a run of suppressions; return what is taken back and what stays, each by its description."""
    found = entries_of(undone, SuppressionAccess.read(settings).entries)
    stays = {
        "complaints, unsubscriptions and stops (never undone)": len(found.refusals),
        "addresses that were listed before": len(found.known_before),
    }
    if yes:
        recorded = msgspec.structs.replace(undone, undone={"entries": len(found.removed)})
        asyncio.run(remove(connection, settings.partitions, found.removed, recorded))
    return {"entries": len(found.removed)}, stays


async def _record(connection: Connection, partitions: int, run: ImportRun) -> None:
    async with EventLog(connection, partitions) as log:
        await write_run(log, run)


def _connection(settings: Settings) -> Connection:
    connection = settings.connection()
    require_topics(connection, settings.partitions)
    return connection


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items() if number) or "nothing"
