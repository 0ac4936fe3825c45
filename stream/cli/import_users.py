"""``perennial import people`` and ``consent``: lines about users become events."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from models.counting import counted
from models.encoding import TEXT
from models.events import Channel
from models.imports.cells import CellForms
from models.imports.columns import ColumnUses, Content
from models.imports.lines import ConsentDefaults, LineRead, RunMark, read_consent, read_person
from models.imports.runs import ImportRun, run_id
from models.imports.tables import BadLine, Table, TableRow
from models.profile import purposes
from models.units import now_ms
from models.wire.currencies import CURRENCIES
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
from stream.cli.import_report import bad_report, columns_report, print_bad, print_columns, print_counts, print_done
from stream.cli.interruptible import run as run_interruptible
from stream.cli.output import Config, Json, print_json, print_line
from stream.cli.suppression_access import SuppressionAccess
from stream.cluster.connection import Connection
from stream.cluster.topics import require_topics
from stream.imports.files import digest_of
from stream.imports.importing import IsSuppressed, UserImport
from stream.imports.run_store import read_runs
from stream.imports.spool import Spool
from stream.installation.recognition import opened
from stream.log.levels import level_in_use
from stream.settings.loading import Settings

ReadLine = Callable[[TableRow, ColumnUses, RunMark], LineRead]


class ImportRequest(NamedTuple):
    """The import that a person has asked for.

    Attributes
    ----------
    content, form
        What the file is about, and how it is written.
    written, rest
        ``--map``, and whether all other columns become traits.
    read
        Function that reads a line.
    options
        Everything stated that changes what the lines say, by option.
    text
        The text that people have agreed to.
    enters, yes, skip_bad, by, json
        Options of the command.
    """

    content: Content
    form: TableForm
    written: list[str] | None
    read: ReadLine
    options: dict[str, str]
    rest: bool = False
    text: str = ""
    enters: bool = False
    yes: bool = False
    skip_bad: bool = False
    by: str | None = None
    json: bool = False


def people(
    file: File,
    columns: Map = None,
    traits: Annotated[
        Literal["mapped", "rest"],
        typer.Option(help="Columns that become traits: those of --map, or all others, too."),
    ] = "mapped",
    currency: Annotated[str, typer.Option(metavar="CODE", help="Currency of amounts that name none.")] = "",
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma", help="Amounts are written as 1.234,50.")] = False,
    enter: Annotated[
        bool, typer.Option("--enter", help="Let rules and journeys react as to other events; messages may go out.")
    ] = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    timezone: Zone = None,
    skip_bad: SkipBad = False,
    by: By = None,
    yes: Yes = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import people: traits, addresses, and what they did before the log. Nothing is written without --yes.

    Every file needs a column for user. Other uses are email, phone, firstName and
    other traits. The past before the log is first_seen, last_seen, orders, spent,
    currency and last_order. With updated, a trait that is newer than its line stays.
    Headers of Mailchimp, Klaviyo, Brevo, HubSpot and Customer.io are recognised.
    age:number and vip:bool give other traits than text.

    No rule, journey or message reacts to imported people, unless --enter is given.
    """
    if currency and currency.upper() not in CURRENCIES:
        raise CannotImport(f"--currency: found {currency!r}; allowed: a code of ISO 4217 such as EUR")
    forms = CellForms(zone_of(timezone), currency.upper(), decimal_comma, now_ms())
    options = {"currency": currency.upper(), "decimal_comma": str(decimal_comma), "enter": str(enter), "traits": traits}
    _act(
        opened(config),
        ImportRequest(
            content="people",
            form=TableForm(file, encoding, delimiter),
            written=columns,
            read=lambda row, used, mark: read_person(row, used, mark, forms),
            options={**options, "timezone": timezone or "", "map": ",".join(columns or ())},
            rest=traits == "rest",
            enters=enter,
            yes=yes,
            skip_bad=skip_bad,
            by=by,
            json=json,
        ),
    )


def consent(
    file: File,
    columns: Map = None,
    everyone: Annotated[
        Literal["granted", "withdrawn"] | None, typer.Option("--all", help="What every line says, if no column does.")
    ] = None,
    channel: Annotated[str, typer.Option(help="Channel of lines that name none: email, sms or all.")] = "",
    purpose: Annotated[str, typer.Option(help="Purpose of lines that name none; by default marketing.")] = "",
    source: Annotated[str, typer.Option(help="Where the grants were given, such as 'shop checkout'.")] = "",
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The text that the people agreed to; it is kept with the run.")
    ] = None,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="The owners of the addresses have confirmed the grants.")
    ] = False,
    no_suppressions: Annotated[
        bool, typer.Option("--no-suppressions", help="There are no addresses that must get no messages.")
    ] = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    timezone: Zone = None,
    skip_bad: SkipBad = False,
    by: By = None,
    yes: Yes = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import consent: withdrawals freely, grants only with source, time and text. Nothing is written without --yes.

    Every file needs a column for user. A column for consent says subscribed or
    unsubscribed, yes or no, beside a column for channel. Or there are columns for
    consent.email and consent.sms. The time of a grant is in at, at.email or at.sms.
    A column for withdrawn says yes for a withdrawal, and withdrawn_at its time.
    Other uses are purpose, source, text and confirmed.

    A grant never counts against a withdrawal that is as new. Import suppressions
    before consent.
    """
    settings = opened(config)
    if not no_suppressions:
        _require_suppressions(settings)
    content = "" if text is None else _text(text)
    version = "" if text is None else f"{text.stem[:60]} {sha256(content.encode()).hexdigest()[:12]}"
    granted = None if everyone is None else everyone == "granted"
    defaults = ConsentDefaults(granted, channel, purpose, source, version, confirmed)
    forms = CellForms(zone_of(timezone), now=now_ms())
    stated = {**{name: str(value) for name, value in defaults._asdict().items()}, "timezone": timezone or ""}
    _act(
        settings,
        ImportRequest(
            content="consent",
            form=TableForm(file, encoding, delimiter),
            written=columns,
            read=lambda row, used, mark: read_consent(row, used, mark, forms, defaults),
            options={**stated, "map": ",".join(columns or ())},
            text=content,
            yes=yes,
            skip_bad=skip_bad,
            by=by,
            json=json,
        ),
    )


def _require_suppressions(settings: Settings) -> None:
    connection = settings.connection()
    require_topics(connection, settings.partitions)
    runs = asyncio.run(read_runs(connection))
    if not any(run.content == "suppressions" and run.state == "done" for run in runs):
        raise CannotImport(
            "no suppressions were imported yet; allowed: `perennial import suppressions FILE --yes` first, so that no "
            "message goes to an address that bounced or complained elsewhere, or --no-suppressions if there are none"
        )


def _text(file: Path) -> str:
    try:
        found = file.read_text(encoding=TEXT).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotImport(f"--text: {file} cannot be read: {error}") from error
    if not found:
        raise CannotImport(f"--text: {file} is empty; allowed: the text that the people agreed to")
    return found


def _act(settings: Settings, request: ImportRequest) -> None:
    """Read the file, compare it with the profiles, show what it changes, and write it with ``--yes``."""
    connection, partitions = settings.connection(), settings.partitions
    require_topics(connection, partitions)
    _require_level(connection, partitions)
    known, digest = asyncio.run(read_runs(connection)), digest_of(request.form.file)
    found = run_id(request.content, digest, request.options, known)
    run = next((one for one in known if one.id == found), None)
    if run is not None and run.state == "done":
        print_done(run, json=request.json)
        return
    has_begun = run is not None
    run = run or ImportRun(
        id=found, content=request.content, file=request.form.file.name, digest=digest, at=now_ms(),
        by=request.by or getpass.getuser(), options=request.options, text=request.text,
    )  # fmt: skip
    is_suppressed = _suppressed(settings)
    with Spool() as spool:
        work = UserImport(connection, partitions, spool)
        with opened_table(request.form) as table:
            columns = columns_in(request.content, table, request.written, rest=request.rest)
            work.read(_lines(request, table, columns, RunMark(run.id, run.at, request.enters)), is_suppressed)
        run_interruptible(work.compare(is_suppressed))
        if not request.json:
            _print(request, columns, work, spool, has_begun=has_begun)
        refused = work.counts["refused"]
        if request.yes and refused and not request.skip_bad:
            lines = counted(refused, "line")
            raise CannotImport(f"{request.form.file}: {lines} refused; nothing was written (see --skip-bad)")
        if request.yes:
            with progress("writing", spool.verdicts().get("new", 0) + spool.verdicts().get("changed", 0)) as show:
                run = run_interruptible(work.write(run, show))
        _print_end(request, run, columns, work, spool)


def _lines(request: ImportRequest, table: Table, columns: ColumnUses, mark: RunMark) -> Iterator[LineRead | BadLine]:
    for row in table.rows():
        yield row if isinstance(row, BadLine) else request.read(row, columns, mark)


def _require_level(connection: Connection, partitions: int) -> None:
    level = asyncio.run(level_in_use(connection, partitions))
    if level < purposes.LEVEL:
        raise CannotImport(
            f"the log has format level {level}; allowed: {purposes.LEVEL}, which `perennial upgrade finish` puts into "
            "use once all workers run this release"
        )


def _suppressed(settings: Settings) -> IsSuppressed:
    """Return the function that says whether marketing to an address is stopped."""
    access = SuppressionAccess.read(settings)
    listed = {one.place.address for one in access.entries if not one.ended}
    if not listed:
        return lambda _channel, _address: False
    hashes = access.hashes()

    def is_suppressed(channel: Channel, address: str) -> bool:
        return not listed.isdisjoint(hashes.every(channel, address))

    return is_suppressed


def _print(request: ImportRequest, columns: ColumnUses, work: UserImport, spool: Spool, *, has_begun: bool) -> None:
    print_columns(columns)
    print_bad(spool, str(request.form.file))
    print_counts(work.counts, spool.reachable())
    if has_begun:
        print_line("this import was begun before and is not complete; the rest is written under the same ids")


def _print_end(request: ImportRequest, run: ImportRun, columns: ColumnUses, work: UserImport, spool: Spool) -> None:
    if request.json:
        said: dict[str, Any] = {
            "run": run.id, "written": request.yes, "state": run.state if request.yes else "dry run",
            "counts": dict(run.counts or work.counts), "reachable": spool.reachable(),
            **columns_report(columns), **bad_report(spool),
        }  # fmt: skip
        print_json(said)
    elif request.yes:
        print_line(f"{run.counts['written']:,} events written as run {run.id}; undo: perennial import undo {run.id}")
    else:
        print_line("nothing was written; --yes writes it")
