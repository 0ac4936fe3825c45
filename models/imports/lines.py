"""Lines of a file as events: people, and what they have said about consent.

The id of an event follows from the run and from what the line says. So a line that is read again gives the same event,
and two equal lines are one event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import orjson

from models.errors import EventWarning, InvalidEvent
from models.events import ANONYMOUS, CHANNELS, TEST, Channel, Event
from models.imported import ImportNote, PastTotals
from models.imports.cells import CellForms, CellRefused, answer_in, count_in, money_in, time_in, trait_in
from models.imports.columns import PAST, SIDES, ColumnUses
from models.imports.tables import BadLine, TableRow
from models.source import Received, Source
from models.wire import convert
from models.wire.fields import MAX_MONEY, shown
from models.wire.withdrawals import normalized

_NO_TRAITS = frozenset({"user", "currency", "updated", *PAST})
_GRANTS = frozenset({"subscribed", "optedin", "optin", "granted", "given", "confirmed", "true", "yes", "y", "1"})
_WITHDRAWALS = frozenset(
    {
        "unsubscribed", "optedout", "optout", "withdrawn", "revoked", "denied", "suppressed", "blocked", "blacklisted",
        "blocklisted", "cleaned", "bounced", "false", "no", "n", "0",
    }
)  # fmt: skip
_COMPLAINTS = frozenset({"spam", "complained", "complaint", "markedasspam"})
_NOTHING = frozenset(
    {"", "neversubscribed", "nonsubscribed", "notsubscribed", "pending", "unconfirmed", "transactional"}
)


class RunMark(NamedTuple):
    """The part that all events of a run have in common.

    Attributes
    ----------
    run
        Id of the run.
    at
        Time of its events: when the run began, milliseconds.
    enters
        Whether rules and journeys react.
    """

    run: str
    at: int
    enters: bool = False


class ConsentDefaults(NamedTuple):
    """The part of a file about consent that no column states, because it is the same in all lines.

    Attributes
    ----------
    granted
        Whether all lines grant or withdraw; ``None`` if a column says it.
    channel, purpose, source, text
        Channel, purpose, source, and version of the text; empty if a column says it.
    confirmed
        Whether the owners of the addresses have confirmed the grants.
    """

    granted: bool | None = None
    channel: str = ""
    purpose: str = ""
    source: str = ""
    text: str = ""
    confirmed: bool = False


NO_DEFAULTS = ConsentDefaults()


class LineRead(NamedTuple):
    """The statements of a line.

    Attributes
    ----------
    line
        Number of the line, from 1.
    events
        Its events.
    remarks
        Details that cannot be used, and why the line or a part of it is refused.
    refused
        Whether the line, or one of its statements, is refused.
    """

    line: int
    events: tuple[Event, ...] = ()
    remarks: tuple[BadLine, ...] = ()
    refused: bool = False


def read_person(row: TableRow, columns: ColumnUses, mark: RunMark, forms: CellForms) -> LineRead:
    """Read a line about a person: traits, addresses, and totals from before the log."""
    try:
        traits = _traits(row, columns)
        totals, stated_at = _totals(row, columns, forms), _time("updated", row, columns, forms)
        said = {"type": "identify", "user": _user(row, columns), "traits": traits}
        note = ImportNote(mark.run, stated_at, mark.enters, totals)
        return _event(row, columns, mark, said, note)
    except _Refused as refused:
        return LineRead(row.line, (), (refused.line,), refused=True)


def read_consent(
    row: TableRow, columns: ColumnUses, mark: RunMark, forms: CellForms, defaults: ConsentDefaults = NO_DEFAULTS
) -> LineRead:
    """Read a line about consent: at most one statement for all channels or one channel, and one for each channel."""
    parts = list(_statements(row, columns, mark, forms, defaults))
    events = tuple(event for part in parts for event in part.events)
    remarks = tuple(remark for part in parts for remark in part.remarks)
    return LineRead(row.line, events, remarks, any(part.refused for part in parts))


class _Refused(Exception):
    def __init__(self, line: BadLine) -> None:
        super().__init__(line)
        self.line = line


# --- people ----------------------------------------------------------------------------------------------------------


def _user(row: TableRow, columns: ColumnUses) -> str:
    written = columns.value("user", row.values)
    if not written or written.startswith((ANONYMOUS, TEST)):
        allowed = f"the id of a known user, not beginning with {ANONYMOUS} or {TEST}"
        raise _refused(row, columns, "user", "bad_user" if written else "no_user", shown(written), allowed)
    return written


def _traits(row: TableRow, columns: ColumnUses) -> dict[str, Any]:
    found = {}
    for name, use in columns.uses.items():
        written = row.values[use.place].strip()
        if name in _NO_TRAITS or not written:
            continue
        try:
            found[name] = trait_in(written, use.kind)
        except CellRefused as error:
            raise _refused(row, columns, name, error.reason, error.found, error.allowed) from None
    return found


def _totals(row: TableRow, columns: ColumnUses, forms: CellForms) -> PastTotals | None:
    first, last, bought = (_time(use, row, columns, forms) for use in ("first_seen", "last_seen", "last_order"))
    count, spent = _cell("orders", row, columns, count_in), _spent(row, columns, forms)
    if count is None and spent:
        raise _refused(row, columns, "orders", "no_orders", "no number", "the number of orders, beside the money spent")
    if count and not bought:
        allowed = "the time of the last order, beside the number of orders"
        raise _refused(row, columns, "last_order", "no_last_order", "no time", allowed)
    if bought and not count:
        allowed = "at least 1 order, beside the time of the last order"
        raise _refused(row, columns, "orders", "no_orders", "no number", allowed)
    if first and last and first > last:
        allowed = "a time that is not before the first activity"
        raise _refused(row, columns, "last_seen", "bad_time", columns.value("last_seen", row.values), allowed)
    found = PastTotals(first, last, count or 0, spent, bought)
    return None if found == PastTotals() else found


def _spent(row: TableRow, columns: ColumnUses, forms: CellForms) -> dict[str, int]:
    currency = columns.value("currency", row.values)
    found = _cell("spent", row, columns, lambda written: money_in(written, forms, currency))
    if found is None or not found[1]:
        return {}
    if found[1] > MAX_MONEY:
        raise _refused(row, columns, "spent", "bad_money", columns.value("spent", row.values), "a smaller amount")
    return dict([found])


# --- consent ---------------------------------------------------------------------------------------------------------


def _statements(
    row: TableRow, columns: ColumnUses, mark: RunMark, forms: CellForms, defaults: ConsentDefaults
) -> Iterator[LineRead]:
    for side in SIDES:
        try:
            said = _said(row, columns, side, defaults)
            if said is None:
                continue
            raw = {"type": "consent", "user": _user(row, columns), **said}
            raw["channel"] = _channel(row, columns, side, defaults, granted=said["granted"])
            stated_at = _consent_time(row, columns, side, forms, granted=said["granted"])
            if said["granted"]:
                raw |= _proof(row, columns, defaults)
            elif source := columns.value("source", row.values) or defaults.source:
                raw["reason"] = source
            purpose = columns.value("purpose", row.values) or defaults.purpose
            if purpose:
                raw["purpose"] = purpose
            yield _event(row, columns, mark, raw, ImportNote(mark.run, stated_at, mark.enters))
        except _Refused as refused:
            yield LineRead(row.line, (), (refused.line,), refused=True)


def _said(row: TableRow, columns: ColumnUses, side: str, defaults: ConsentDefaults) -> dict[str, Any] | None:
    """Return whether a line grants or withdraws; ``None`` if it says nothing. A "no" outweighs a "yes"."""
    word = columns.value(f"consent{side}", row.values)
    plain = normalized(word)
    is_out = (
        _cell(f"withdrawn{side}", row, columns, answer_in)
        or plain in _WITHDRAWALS | _COMPLAINTS
        or (not side and bool(columns.value("withdrawn_at", row.values)))
    )
    if is_out:
        return {"granted": False, "complaint": plain in _COMPLAINTS}
    if plain in _GRANTS:
        return {"granted": True}
    if plain not in _NOTHING:
        allowed = "subscribed or unsubscribed, yes or no, true or false, or nothing"
        raise _refused(row, columns, f"consent{side}", "bad_consent", shown(word), allowed)
    if side or defaults.granted is None or "consent" in columns.uses:
        return None
    return {"granted": defaults.granted}


def _channel(row: TableRow, columns: ColumnUses, side: str, defaults: ConsentDefaults, *, granted: bool) -> str:
    written = side[1:] or columns.value("channel", row.values).lower() or defaults.channel
    if written in CHANNELS or written == "all" or (not written and not granted):
        return written or "all"
    allowed = f"{', '.join(CHANNELS)} or all, in a column for `channel` or as --channel"
    raise _refused(row, columns, "channel", "bad_channel", shown(written), allowed)


def _consent_time(row: TableRow, columns: ColumnUses, side: str, forms: CellForms, *, granted: bool) -> int:
    uses = (f"at{side}", "at") if granted else ("withdrawn_at", f"at{side}", "at")
    for use in dict.fromkeys(uses):
        if at := _time(use, row, columns, forms):
            return at
    if granted:
        allowed = "the time of the grant, in a column for `at`"
        raise _refused(row, columns, "at", "no_time", "no time", allowed)
    return 0


def _proof(row: TableRow, columns: ColumnUses, defaults: ConsentDefaults) -> dict[str, Any]:
    source = columns.value("source", row.values) or defaults.source
    text = columns.value("text", row.values) or defaults.text
    if not source:
        allowed = "where the grant was given, in a column for `source` or as --source"
        raise _refused(row, columns, "source", "no_source", "no source", allowed)
    if not text:
        allowed = "the text that the person agreed to, as --text FILE, or its version in a column for `text`"
        raise _refused(row, columns, "text", "no_text", "no text", allowed)
    confirmed = _cell("confirmed", row, columns, answer_in)
    return {"reason": source, "text": text, "confirmed": defaults.confirmed if confirmed is None else confirmed}


# --- both ------------------------------------------------------------------------------------------------------------


def _event(row: TableRow, columns: ColumnUses, mark: RunMark, said: Mapping[str, Any], note: ImportNote) -> LineRead:
    """Make the event of a line, with the checks of every other way into the log."""
    content = orjson.dumps([said, msgspec.to_builtins(note)], option=orjson.OPT_SORT_KEYS)
    raw = {**said, "id": f"import:{mark.run}:{blake2b(content, digest_size=12).hexdigest()}", "at": mark.at}
    warnings: list[EventWarning] = []
    try:
        event = convert(raw, Received(Source("import", 0, row.line), mark.at), warnings=warnings)
    except InvalidEvent as error:
        raise _refused(row, columns, _use(error.field), error.reason, error.found, error.allowed) from None
    remarks = tuple(
        BadLine(row.line, columns.name(_use(one.field)) or one.field, one.found, one.allowed, one.reason)
        for one in warnings
    )
    return LineRead(row.line, (msgspec.structs.replace(event, imported=note),), remarks)


def _use(field: str) -> str:
    """Return the use of the column from which a field of an event comes."""
    return {"reason": "source", "granted": "consent"}.get(field, field.removeprefix("traits."))


def _cell(use: str, row: TableRow, columns: ColumnUses, read: Any) -> Any:
    """Read a value by a function that may refuse it; ``None`` if it is empty."""
    written = columns.value(use, row.values)
    if not written:
        return None
    try:
        return read(written)
    except CellRefused as error:
        raise _refused(row, columns, use, error.reason, error.found, error.allowed) from None


def _time(use: str, row: TableRow, columns: ColumnUses, forms: CellForms) -> int:
    return _cell(use, row, columns, lambda written: time_in(written, forms)) or 0


def _refused(row: TableRow, columns: ColumnUses, use: str, reason: str, found: str, allowed: str) -> _Refused:
    return _Refused(BadLine(row.line, columns.name(use) or use, found, allowed, reason))


def channels_in(event: Event) -> tuple[Channel, ...]:
    """Return the channels of a statement about consent."""
    return CHANNELS if event.channel is None else (event.channel,)
