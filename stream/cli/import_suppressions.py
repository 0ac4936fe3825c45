"""``perennial import suppressions``: the exports of providers become entries of the suppression list."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import typer

from models.counting import counted
from models.delivery.suppression import STOPPING, Stopping
from models.imports.cells import CellForms
from models.imports.columns import ColumnUses
from models.imports.listed import ExportForm, ListedAddress, form_of, read_listed
from models.imports.runs import ImportRun, run_id
from models.imports.tables import BadLine, Table
from models.units import now_ms
from stream.cli.import_options import (
    By,
    CannotImport,
    Delimiter,
    Encoding,
    File,
    Map,
    SkipBad,
    TableForm,
    Yes,
    Zone,
    columns_in,
    opened_table,
    progress,
    zone_of,
)
from stream.cli.import_report import bad_report, columns_report, print_bad, print_columns, print_done
from stream.cli.interruptible import run as run_interruptible
from stream.cli.output import Config, Json, print_json, print_line
from stream.cli.suppression_access import SuppressionAccess
from stream.cluster.topics import require_topics
from stream.imports.files import digest_of
from stream.imports.listing import ListImport
from stream.imports.run_store import read_runs
from stream.imports.spool import Spool
from stream.installation.recognition import opened


class _ListRequest(NamedTuple):
    form: TableForm
    written: list[str] | None
    reason: Stopping | None
    forms: CellForms


def suppressions(
    file: File,
    columns: Map = None,
    reason: Annotated[
        Stopping | None, typer.Option(help=f"Reason of lines that state none: {', '.join(STOPPING)}.")
    ] = None,
    scope: Annotated[
        Literal["marketing", "all"] | None,
        typer.Option(help="Messages to stop: marketing, or all (receipts, too); by default as the reason says."),
    ] = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    timezone: Zone = None,
    skip_bad: SkipBad = False,
    by: By = None,
    yes: Yes = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import addresses that bounced, complained or unsubscribed elsewhere. Nothing is written without --yes.

    Uses of columns: address (needed), channel, reason, scope, at, code. Exports of
    SendGrid, Mailgun, Postmark, Amazon SES and Mailchimp are recognised. The list
    stores hashes of the addresses, and not the addresses.
    """
    settings = opened(config)
    connection, partitions = settings.connection(), settings.partitions
    require_topics(connection, partitions)
    request = _ListRequest(
        TableForm(file, encoding, delimiter), columns, reason, CellForms(zone_of(timezone), now=now_ms())
    )
    stated = {"reason": reason or "", "scope": scope or "", "timezone": timezone or "", "map": ",".join(columns or ())}
    known, digest = asyncio.run(read_runs(connection)), digest_of(file)
    found = run_id("suppressions", digest, stated, known)
    run = next((one for one in known if one.id == found), None)
    if run is not None and run.state == "done":
        print_done(run, json=json)
        return
    run = run or ImportRun(
        id=found, content="suppressions", file=file.name, digest=digest, at=now_ms(), by=by or getpass.getuser(),
        options=stated,
    )  # fmt: skip
    access = SuppressionAccess.read(settings)
    with Spool() as spool:
        work = ListImport(access.entries, access.hashes(), spool, run)
        with opened_table(request.form) as table:
            used, export = columns_in("suppressions", table, columns), form_of(table.header)
            work.read(_lines(request, table, used, export), scope)
        if not json:
            print_columns(used, "" if export is None else f"looks like an export: {export.name}")
            print_bad(spool, str(file))
            print_line(", ".join(f"{number:,} {name}" for name, number in work.counts.items()))
        if yes and work.counts["refused"] and not skip_bad:
            refused = counted(work.counts["refused"], "line")
            raise CannotImport(f"{file}: {refused} refused; nothing was written (see --skip-bad)")
        if yes:
            with progress("writing", work.counts["new"] + work.counts["changed"]) as show:
                run = run_interruptible(work.write(connection, partitions, show))
        if json:
            print_json(
                {
                    "run": run.id, "written": yes, "state": run.state if yes else "dry run",
                    "counts": run.counts or dict(work.counts), "export": export.name if export else "",
                    **columns_report(used), **bad_report(spool),
                }
            )  # fmt: skip
        elif yes:
            print_line(f"{run.counts['written']:,} entries written as run {run.id}")
        else:
            print_line("nothing was written; --yes writes it")


def _lines(
    request: _ListRequest, table: Table, columns: ColumnUses, export: ExportForm | None
) -> Iterator[ListedAddress | BadLine]:
    for row in table.rows():
        if isinstance(row, BadLine):
            yield row
        else:
            yield read_listed(row, columns, request.forms, export, request.reason)
