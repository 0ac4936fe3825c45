"""``perennial suppressions``: which addresses are not written to, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from models.delivery.suppression import LOST, STOPPING, Reason, Scope, Stopping
from models.errors import PerennialError
from models.events import Channel
from models.units import now_ms
from stream.cli.output import Config, Json, counted, print_error, print_json, print_line, print_table, short_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.batch import Output
    from models.delivery.address_hashes import AddressHashes
    from models.delivery.suppression_file import Mistake, Row
    from stream.settings.loading import Settings
    from stream.suppressions.store import Listed

app = typer.Typer(
    help="List, add, remove and import addresses that are not written to. The list holds keyed hashes: an address "
    "cannot be read out of it, but it can be looked up.",
    no_args_is_help=True,
)

SHOWN = 10
"""Number of mistakes of a file that are listed; the others are counted."""

Address = Annotated[str, typer.Argument(help="E-mail address, or phone number with its country (+49...).")]
Of = Annotated[Channel | None, typer.Option("--channel", help="email or sms; by default as the address looks.")]
Why = Annotated[Stopping | None, typer.Option("--reason", help="Only of this reason.")]


class _Stopped(PerennialError):
    """A command cannot do what it was asked to."""


@app.command("list")
def list_(
    reason: Why = None,
    channel: Annotated[Channel | None, typer.Option(help="Only of this channel.")] = None,
    address: Annotated[str | None, typer.Option(help="Look up one address.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what has ended, and what only remembers a time.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the entries, oldest first. They contain no addresses; --address looks one up."""
    from stream.installation.recognition import opened

    settings = opened(config)
    listed = _list(settings)
    wanted = None if address is None else _hashes_of(settings, address, channel, listed)
    found = [
        one
        for one in listed
        if (everything or not one.ended)
        and (reason is None or one.place.reason == reason)
        and (channel is None or one.entry.channel == channel)
        and (wanted is None or one.place.address in wanted)
    ]
    if json:
        print_json([_as_row(one) for one in found])
    elif not found:
        print_line("no entries" if address is None else f"{address} is not on the list")
    else:
        _print(found)


@app.command()
def add(
    address: Address,
    channel: Of = None,
    scope: Annotated[
        Literal["marketing", "all"] | None,
        typer.Option(help="marketing, or all: also receipts. By default as the reason says."),
    ] = None,
    reason: Annotated[Stopping, typer.Option(help=f"One of {', '.join(STOPPING)}.")] = "manual",
    config: Config = None,
) -> None:
    """Stop messages to an address. The list does not contain the address itself: keep your own note of why."""
    from models.delivery.suppression import SCOPE_OF
    from stream.installation.recognition import opened

    settings = opened(config)
    kind, delivered = _parsed(address, channel)
    chosen = scope or SCOPE_OF[reason]
    listed = _list(settings)
    hashes = _hashes(settings, listed)
    at = _time_in_force(listed, hashes.every(kind, delivered), reason)
    output = _entry(hashes, kind, delivered, reason, at, "perennial suppressions add", chosen)
    _write(settings, [output])
    print_line(
        f"{delivered} gets no {'marketing' if chosen == 'marketing' else 'message'} by {kind} any more ({reason})"
    )


@app.command()
def remove(
    address: Annotated[str | None, typer.Argument(help="E-mail address, or phone number with its country.")] = None,
    channel: Of = None,
    reason: Why = None,
    domain: Annotated[str | None, typer.Option(help="All bounces of this domain, with --reason bounce.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Entries since then: 2026-05-01T12:00Z.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Entries until then.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="All entries that were made with a secret that is lost: its id, 8 digits.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only what would be removed is shown.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Take an address off the list, all reasons or one; or undo the bounces of a domain and a window.

    An address is removed at once. A window, or what a lost secret made, is shown first and removed with --yes. Remove a
    complaint or an unsubscription only where its owner has asked you to.
    """
    from stream.installation.recognition import opened

    if (address is None) == (domain is None and secret is None):
        raise _Stopped(
            "say which: an ADDRESS, or --reason bounce --domain DOMAIN --from TIME --to TIME, or --secret ID"
        )
    if domain is not None and (reason != "bounce" or begin is None or end is None):
        raise _Stopped("--domain needs --reason bounce, --from and --to: only bounces are undone by window")
    settings = opened(config)
    listed = _list(settings)
    if address is not None:
        wanted = _hashes_of(settings, address, channel, listed)
        found = [one for one in listed if one.place.address in wanted and reason in (None, one.place.reason)]
    elif secret is not None:
        found = [one for one in listed if one.place.secret == secret and one.place.reason != LOST]
    else:
        found = _bounces(listed, str(domain), _milliseconds(str(begin), "--from"), _milliseconds(str(end), "--to"))
    does = bool(found) and (yes or address is not None)
    if does:
        _write(settings, [*map(_tombstone, found), *([] if secret is None else [_given_up(secret)])])
    if json:
        print_json({"removed": does, "entries": [_as_row(one) for one in found]})
    elif not found:
        print_line("nothing to remove")
    else:
        _print(found)
        what = counted(len(found), "record")
        print_line(f"{what} removed" if does else f"{what} would be removed; --yes removes them")
    if not found:
        raise typer.Exit(1)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or one address a line.")],
    reason: Annotated[Stopping, typer.Option(help="Of addresses for which the file names none.")] = "import",
    scope: Annotated[
        Literal["marketing", "all"] | None, typer.Option(help="marketing or all; by default as the reason says.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Write the lines that can be read, although others cannot.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import addresses that unsubscribed, complained or bounced elsewhere.

    Columns: address (or email, phone), channel, reason, at (a day, or a time with its zone). If a line cannot be read,
    nothing is written. The addresses cannot be read out of the list afterwards.
    """
    from models.delivery.suppression import SCOPE_OF
    from stream.installation.recognition import opened

    settings, now = opened(config), now_ms()
    rows, mistakes = _read(file, now)
    for line, what in mistakes[:SHOWN]:
        print_error(f"{file}: line {line}: {what}")
    if len(mistakes) > SHOWN:
        print_error(f"{file}: and {len(mistakes) - SHOWN} more lines that cannot be read")
    if mistakes and not skip_bad:
        raise _Stopped(f"{file}: {counted(len(mistakes), 'line')} cannot be read; nothing was written (see --skip-bad)")
    if not rows:
        raise _Stopped(f"{file}: there is no address")
    listed = _list(settings)
    known = {one.place.key(): one.entry.at for one in listed}
    in_force = {(one.place.key(), one.entry.scope) for one in listed if not one.ended}
    hashes = _hashes(settings, listed)
    wanted: dict[bytes, tuple[int, Output]] = {}
    for row in rows:
        at = now if row.at is None else row.at
        made = _entry(hashes, row.channel, row.address, row.reason or reason, at, f"import of {file.name}", scope)
        if row.at is None and (made.key, scope or SCOPE_OF[row.reason or reason]) in in_force:
            at = known[made.key]  # without a time, the line says nothing that the list does not say
        if at >= wanted.get(made.key, (at, made))[0]:
            wanted[made.key] = at, made
    # the time of an entry never moves back
    written = [made for key, (at, made) in wanted.items() if at > known.get(key, -1)]
    _write(settings, written, "importing")
    new = sum(made.key not in known for made in written)
    done = {
        "read": len(rows), "addresses": len(wanted), "new": new, "newer": len(written) - new,
        "unchanged": len(wanted) - len(written), "bad": len(mistakes),
    }  # fmt: skip
    if json:
        print_json(done)
    else:
        print_line(", ".join(f"{number:,} {name}" for name, number in done.items()))


def _list(settings: Settings) -> list[Listed]:
    from stream.cluster.topics import require_topics
    from stream.suppressions import store

    connection = settings.connection()
    require_topics(connection, settings.partitions)
    return store.read(connection)


def _read(file: Path, now: int) -> tuple[list[Row], list[Mistake]]:
    from models.delivery.suppression_file import Mistake, read_rows
    from models.encoding import TEXT

    rows: list[Row] = []
    mistakes: list[Mistake] = []
    try:
        with file.open(encoding=TEXT, newline="") as lines:
            for one in read_rows(lines, now):
                if isinstance(one, Mistake):
                    mistakes.append(one)
                else:
                    rows.append(one)
    except UnicodeDecodeError as error:
        raise _Stopped(f"{file}: it is no text in UTF-8: {error}") from error
    except OSError as error:
        raise _Stopped(f"{file}: cannot be read: {error.strerror or error}") from error
    return rows, mistakes


def _bounces(listed: Sequence[Listed], domain: str, begin: int, end: int) -> list[Listed]:
    return [
        one
        for one in listed
        if one.place.reason in ("bounce", "bounce_suspected")
        and one.entry.domain == domain.strip().lower()
        and begin <= one.entry.at <= end
    ]


def _parsed(address: str, channel: Channel | None) -> tuple[Channel, str]:
    from models.delivery.suppression_file import delivery_address

    found = delivery_address(address, channel)
    if found is None:
        raise _Stopped(
            f"address: found {address!r}; allowed: an e-mail address, or a phone number with its country (+49...)"
        )
    return found


def _hashes(settings: Settings, listed: Sequence[Listed]) -> AddressHashes:
    """Hash with the secrets of the settings, which must be those that the list was made with."""
    from stream.delivery.configured import suppression_hashes

    hashes = suppression_hashes(settings)
    if hashes.missing:
        raise _Stopped(hashes.missing)
    lost = {one.place.secret for one in listed if one.place.reason == LOST}
    used = {one.place.secret for one in listed} - (lost - hashes.ids)
    missing = used - hashes.ids
    if not used or (hashes.newest_id in used and not missing):
        return hashes
    why = (
        f"it was made with a secret that is not known here (id {', '.join(sorted(missing))})"
        if missing
        else "no process that delivers has started with the newest secret yet"
    )
    raise _Stopped(
        f"the suppression list cannot be used with these settings: {why}; run this where delivery runs, with the same "
        f"delivery.suppression_secrets, or the same data folder"
    )


def _hashes_of(settings: Settings, address: str, channel: Channel | None, listed: Sequence[Listed]) -> set[str]:
    return {*_hashes(settings, listed).every(*_parsed(address, channel))}


def _entry(
    hashes: AddressHashes, channel: Channel, address: str, reason: Reason, at: int, source: str, scope: Scope | None
) -> Output:
    from models.batch import Output
    from models.delivery.address_hashes import domain_of
    from models.delivery.suppression import SCOPE_OF, TOPIC, SuppressionEntry, encode_entry, key_of

    entry = SuppressionEntry(
        scope=scope or SCOPE_OF[reason],
        reason=reason,
        channel=channel,
        source=source,
        at=at,
        domain=domain_of(channel, address) if reason == "bounce" else "",
    )
    return Output(TOPIC, key_of(hashes.newest(channel, address), reason), encode_entry(entry))


def _time_in_force(listed: Sequence[Listed], addresses: Sequence[str], reason: Reason) -> int:
    """Return the time of an entry that holds from now on, whatever the clocks of other writers said."""
    from models.delivery.suppression_rules import SuppressionMark, time_in_force

    marks: dict[str, SuppressionMark] = {}
    for one in listed:  # ordered by time
        if one.place.address in addresses:
            marks[one.place.reason] = SuppressionMark(one.entry.scope, one.entry.at)
    return time_in_force(marks, reason, now_ms())


def _tombstone(one: Listed) -> Output:
    from models.batch import Output
    from models.delivery.suppression import TOPIC

    return Output(TOPIC, one.place.key(), None)


def _given_up(secret: str) -> Output:
    from models.batch import Output
    from models.delivery.suppression import TOPIC, given_up

    return Output(TOPIC, *given_up(secret))


def _write(settings: Settings, outputs: Sequence[Output], what: str | None = None) -> None:
    import asyncio
    from contextlib import ExitStack

    from stream.suppressions import store

    connection = settings.connection()
    with ExitStack() as stack:
        bar = None if what is None else stack.enter_context(_progress())
        task = None if bar is None else bar.add_task(str(what), total=len(outputs))

        def wrote(number: int) -> None:
            if bar is not None and task is not None:
                bar.update(task, completed=number)

        asyncio.run(store.write(connection, settings.partitions, outputs, wrote))


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True)


def _milliseconds(written: str, option: str) -> int:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise _Stopped(f"{option}: found {written!r}; allowed: a time with its zone, such as 2026-05-01T12:00Z")
    return int(at.timestamp() * 1_000)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_row(one: Listed) -> dict[str, Any]:
    return {
        "hash": one.place.address,
        "channel": one.entry.channel,
        "scope": one.entry.scope,
        "reason": one.place.reason,
        "at": _time(one.entry.at),
        "source": one.entry.source,
        "domain": one.entry.domain or None,
        "in_force": not one.ended,
    }


def _print(found: Sequence[Listed]) -> None:
    print_table(
        ("hash", "channel", "scope", "reason", "at", "source", "domain", "in force"),
        [
            (
                one.place.hash[:12], one.entry.channel, one.entry.scope, one.place.reason,
                short_time(_time(one.entry.at)), one.entry.source, one.entry.domain, "no" if one.ended else "yes",
            )
            for one in found
        ],
    )  # fmt: skip
