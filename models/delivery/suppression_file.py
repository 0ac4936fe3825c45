"""Files of addresses for the suppression list: CSV with a header, or one address per line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import NamedTuple, assert_never, cast

from models.addresses import e164, mailbox
from models.delivery.push_address import InvalidPushAddress, parse_push_address, write_push_address
from models.delivery.suppression import STOPPING, Reason
from models.events import CHANNELS, Channel

_ADDRESS_COLUMNS = ("address", "email", "e-mail", "email address", "email_address", "phone", "number")
COLUMNS = ("address", "channel", "reason", "at")
"""Columns that are read in a file with a header. ``address`` has other names, too, such as ``email``."""
_WORDS: dict[str, Reason] = {
    "unsubscribed": "unsubscribe",
    "complained": "complaint",
    "spam": "complaint",
    "bounced": "bounce",
    "hard bounce": "bounce",
    "hard_bounce": "bounce",
}
_DELIMITERS = ",;\t"


class Row(NamedTuple):
    """One address of a file.

    Attributes
    ----------
    line
        Number of the line, from 1.
    channel, address
        Channel and delivery form of the address.
    reason, at
        Reason and time that the file states, or ``None``. ``at`` is in milliseconds.
    """

    line: int
    channel: Channel
    address: str
    reason: Reason | None = None
    at: int | None = None


class Mistake(NamedTuple):
    """A line that cannot be read, and the reason."""

    line: int
    what: str


class _Wrong(ValueError):
    pass


def delivery_address(written: str, channel: Channel | None = None) -> tuple[Channel, str] | None:
    """Return channel and delivery form of an address that a person wrote; ``None`` if it is invalid.

    Without a channel, an address with ``@`` is an e-mail address, and any other one a phone number with its country.

    Examples
    --------
    >>> delivery_address(" Ada@Example.COM"), delivery_address("+49 30 901820"), delivery_address("030 901820")
    (('email', 'Ada@example.com'), ('sms', '+4930901820'), None)
    """
    kind: Channel = channel or ("email" if "@" in written else "sms")
    match kind:
        case "email":
            found = mailbox(written)
        case "sms":
            found = e164(written.strip(), None)
        case "push":
            found = _push_address(written)
        case _:
            assert_never(kind)
    return None if found is None else (kind, found)


def _push_address(written: str) -> str | None:
    try:
        return write_push_address(parse_push_address(written))
    except InvalidPushAddress:
        return None


def read_rows(lines: Iterable[str], now: int) -> Iterator[Row | Mistake]:
    """Yield an address or a mistake for each line of a file; skip blank lines and the header.

    Parameters
    ----------
    lines
        Lines of the file, without a byte order mark.
    now
        Time now, milliseconds. A later time in the file is a mistake.

    Examples
    --------
    >>> list(read_rows(["ada@example.com", "", "what?"], 0))
    [Row(line=1, channel='email', address='ada@example.com', reason=None, at=None), Mistake(line=3, what="address: \
found 'what?'; allowed: an e-mail address, or a phone number with its country such as +4930901820")]
    >>> list(read_rows(["email;reason;at", "ada@example.com;complaint;1970-01-01"], 0))
    [Row(line=2, channel='email', address='ada@example.com', reason='complaint', at=0)]
    """
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    header: Sequence[str] | None = None
    delimiter = ","
    for index, (number, line) in enumerate(numbered):
        if index == 0:
            delimiter = next((one for one in _DELIMITERS if one in line), ",")
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True))]
            if index == 0 and _is_header(cells):
                header = [cell.lower() for cell in cells]
                continue
            yield _row(number, _named(cells, header), now)
        except (csv.Error, _Wrong) as error:
            yield Mistake(number, str(error))


def _is_header(cells: Sequence[str]) -> bool:
    return not any("@" in cell for cell in cells) and any(cell.lower() in _ADDRESS_COLUMNS for cell in cells)


def _named(cells: Sequence[str], header: Sequence[str] | None) -> Mapping[str, str]:
    if header is None:
        if len(cells) != 1:
            raise _Wrong(f"found {len(cells)} values; allowed: one address, or a header in the first line")
        return {"address": cells[0]}
    if len(cells) > len(header):
        raise _Wrong(f"found {len(cells)} values; allowed: {len(header)}, one for each column")
    row = dict(zip(header, cells, strict=False))
    address = next((row[name] for name in _ADDRESS_COLUMNS if row.get(name)), "")
    return {**row, "address": address}


def _row(line: int, row: Mapping[str, str], now: int) -> Row:
    written = row.get("channel", "").lower()
    channel = next((one for one in CHANNELS if one == written), None)
    if written and channel is None:
        raise _Wrong(f"channel: found {written!r}; allowed: {', '.join(CHANNELS)}")
    found = delivery_address(row["address"], channel)
    if found is None:
        allowed = "an e-mail address, or a phone number with its country such as +4930901820"
        raise _Wrong(f"address: found {row['address'][:60]!r}; allowed: {allowed}")
    return Row(line, *found, _reason(row.get("reason", "")), _time(row.get("at", ""), now))


def _reason(written: str) -> Reason | None:
    if not written:
        return None
    word = written.lower()
    found = _WORDS.get(word, cast("Reason", word))
    if found not in STOPPING:
        raise _Wrong(f"reason: found {written[:60]!r}; allowed: {', '.join(STOPPING)}")
    return found


def _time(written: str, now: int) -> int | None:
    if not written:
        return None
    try:
        if len(written) == len("2026-05-01"):
            at = datetime.combine(date.fromisoformat(written), time(), UTC)
        else:
            at = datetime.fromisoformat(written)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise _Wrong(f"at: found {written[:60]!r}; allowed: a day, or a time with its zone such as 2026-05-01T12:00Z")
    milliseconds = int(at.timestamp() * 1_000)
    if milliseconds > now:
        raise _Wrong(f"at: found {written[:60]!r}; allowed: a time in the past")
    return milliseconds
