"""``perennial suppressions``: the addresses that get no messages, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from models.batch import Output
from models.counting import counted
from models.delivery.suppression import LOST, SCOPE_OF, STOPPING, Stopping
from models.delivery.suppression_file import Mistake, Row, read_rows
from models.encoding import TEXT
from models.events import Channel
from models.units import now_ms
from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table, short_time
from stream.cli.suppression_access import CannotSuppress, NewEntry, SuppressionAccess, parsed_address
from stream.installation.recognition import opened
from stream.suppressions.store import Listed

app = typer.Typer(
    help="List, add, remove and import addresses that get no messages. The list contains keyed hashes instead of the "
    "addresses, but an address can be looked up.",
    no_args_is_help=True,
    add_completion=False,
)

SHOWN = 10
"""Number of mistakes of a file that are listed; the others are counted."""

Address = Annotated[str, typer.Argument(help="E-mail address, or phone number with its country (+49...).")]
AddressChannel = Annotated[
    Channel | None, typer.Option("--channel", help="email or sms; by default the kind of the address.")
]
OnlyReason = Annotated[Stopping | None, typer.Option("--reason", help="Only entries with this reason.")]


@app.command("list")
def list_(
    reason: OnlyReason = None,
    channel: Annotated[Channel | None, typer.Option(help="Only entries of this channel.")] = None,
    address: Annotated[str | None, typer.Option(help="Look up one address.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also show entries that stop no message, such as those that have ended.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the entries, oldest first. They contain no addresses; --address looks one up."""
    access = SuppressionAccess.read(opened(config))
    wanted = None if address is None else access.hashes_of(address, channel)
    found = [
        one
        for one in access.entries
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
    channel: AddressChannel = None,
    scope: Annotated[
        Literal["marketing", "all"] | None,
        typer.Option(help="Messages to stop: marketing, or all (receipts, too); by default as the reason says."),
    ] = None,
    reason: Annotated[Stopping, typer.Option(help=f"One of {', '.join(STOPPING)}.")] = "manual",
    config: Config = None,
) -> None:
    """Stop messages to an address. The list does not contain the address, so keep your own note of the reason."""
    kind, delivered = parsed_address(address, channel)
    chosen = scope or SCOPE_OF[reason]
    access = SuppressionAccess.read(opened(config))
    hashes = access.hashes()
    at = access.time_in_force(hashes.every(kind, delivered), reason)
    access.write([NewEntry(kind, delivered, reason, at, "perennial suppressions add", chosen).output(hashes)])
    stopped = "marketing" if chosen == "marketing" else "message"
    print_line(f"{delivered} gets no {stopped} by {kind} any more ({reason})")


@app.command()
def remove(
    address: Annotated[str | None, typer.Argument(help="E-mail address, or phone number with its country.")] = None,
    channel: AddressChannel = None,
    reason: OnlyReason = None,
    domain: Annotated[
        str | None, typer.Option(help="All bounces of this domain; needs --reason bounce, --from and --to.")
    ] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Entries since this time: 2026-05-01T12:00Z.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Entries until this time.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="Id (8 digits) of a lost secret: remove all entries that were made with it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the entries; without --yes they are only shown.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Remove an address from the list, for all reasons or one; or remove the bounces of a domain between two times.

    An address is removed immediately. Bounces of a domain, and entries of a lost
    secret, are only shown; with --yes they are removed.

    Remove a complaint or an unsubscription only if the owner of the address has
    asked for it.
    """
    if (address is None) == (domain is None and secret is None):
        raise CannotSuppress(
            "name what to remove: an ADDRESS, or --reason bounce --domain DOMAIN --from TIME --to TIME, or --secret ID"
        )
    if domain is not None and (reason != "bounce" or begin is None or end is None):
        raise CannotSuppress("--domain needs --reason bounce, --from and --to: only bounces can be undone for a domain")
    access = SuppressionAccess.read(opened(config))
    if address is not None:
        wanted = access.hashes_of(address, channel)
        found = [one for one in access.entries if one.place.address in wanted and reason in (None, one.place.reason)]
    elif secret is not None:
        found = [one for one in access.entries if one.place.secret == secret and one.place.reason != LOST]
    else:
        found = access.bounces(str(domain), _milliseconds(str(begin), "--from"), _milliseconds(str(end), "--to"))
    removes = bool(found) and (yes or address is not None)
    if removes:
        access.remove(found, secret)
    if json:
        print_json({"removed": removes, "entries": [_as_row(one) for one in found]})
    elif not found:
        print_line("nothing to remove")
    else:
        _print(found)
        number = counted(len(found), "record")
        print_line(f"{number} removed" if removes else f"{number} would be removed; --yes removes them")
    if not found:
        raise typer.Exit(1)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or one address per line.")],
    reason: Annotated[Stopping, typer.Option(help="Reason for addresses without one in the file.")] = "import",
    scope: Annotated[
        Literal["marketing", "all"] | None,
        typer.Option(help="Messages to stop: marketing or all; by default as the reason says."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the lines that can be read, even if others cannot be read.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Import addresses that unsubscribed, complained or bounced elsewhere.

    Columns: address (or email, phone), channel, reason, at (a day, or a time with
    its zone). If a line cannot be read, nothing is imported. The list stores
    hashes of the addresses, and not the addresses.
    """
    settings, now = opened(config), now_ms()
    rows, mistakes = _read(file, now)
    _report_mistakes(file, mistakes, skip_bad=skip_bad)
    if not rows:
        raise CannotSuppress(f"{file}: there is no address")
    access = SuppressionAccess.read(settings)
    hashes = access.hashes()
    known = {one.place.key(): one.entry.at for one in access.entries}
    in_force = {(one.place.key(), one.entry.scope) for one in access.entries if not one.ended}
    wanted: dict[bytes, tuple[int, Output]] = {}
    for row in rows:
        why, at = row.reason or reason, now if row.at is None else row.at
        made = NewEntry(row.channel, row.address, why, at, f"import of {file.name}", scope).output(hashes)
        if row.at is None and (made.key, scope or SCOPE_OF[why]) in in_force:
            at = known[made.key]  # a line without a time adds nothing to an entry in force
        if at >= wanted.get(made.key, (at, made))[0]:
            wanted[made.key] = at, made
    # the time of an entry never decreases
    written = [made for key, (at, made) in wanted.items() if at > known.get(key, -1)]
    access.write(written, "importing")
    new = sum(made.key not in known for made in written)
    done = {
        "read": len(rows), "addresses": len(wanted), "new": new, "newer": len(written) - new,
        "unchanged": len(wanted) - len(written), "bad": len(mistakes),
    }  # fmt: skip
    if json:
        print_json(done)
    else:
        print_line(", ".join(f"{number:,} {name}" for name, number in done.items()))


def _read(file: Path, now: int) -> tuple[list[Row], list[Mistake]]:
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
        raise CannotSuppress(f"{file}: it is not text in UTF-8: {error}") from error
    except OSError as error:
        raise CannotSuppress(f"{file}: cannot be read: {error.strerror or error}") from error
    return rows, mistakes


def _report_mistakes(file: Path, mistakes: Sequence[Mistake], *, skip_bad: bool) -> None:
    """Print the mistakes of a file, and refuse the file unless ``skip_bad`` is set."""
    for line, mistake in mistakes[:SHOWN]:
        print_error(f"{file}: line {line}: {mistake}")
    if len(mistakes) > SHOWN:
        print_error(f"{file}: and {len(mistakes) - SHOWN} more lines that cannot be read")
    if mistakes and not skip_bad:
        raise CannotSuppress(
            f"{file}: {counted(len(mistakes), 'line')} cannot be read; nothing was written (see --skip-bad)"
        )


def _milliseconds(written: str, option: str) -> int:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CannotSuppress(f"{option}: found {written!r}; allowed: a time with its zone, such as 2026-05-01T12:00Z")
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
