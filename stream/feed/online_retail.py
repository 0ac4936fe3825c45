"""UCI Online Retail as events: each line of an invoice is one purchase or one refund.

- A line with a quantity and a price above 0 is a purchase with one order line; ``order`` is the invoice.
- A line with a negative quantity (invoices with C) is a refund of quantity times price.
- A line with a negative price (two bad debts) is a refund of that amount.
- A line without a CustomerID belongs to an anonymous shopper: ``anonymous:invoice-`` and the invoice.
- InvoiceDate is UK wall clock time without a zone. It is read as UTC.
- UnitPrice is in pounds: ``GBP``, exact to the micro.

Lines that are equal in every field are still two events, because the id is the file's digest and the line's number.

References
----------
Daqing Chen, Online Retail, UCI Machine Learning Repository (2015), https://doi.org/10.24432/C5BW33, CC BY 4.0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from models import wire
from models.encoding import TEXT
from models.errors import InvalidEvent
from models.rejected import reject_value
from models.source import Received, Source
from stream.feed.recording import CannotReplay, ReadLine, Recording, opened

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
CURRENCY = "GBP"


def read_online_retail(recording: Recording, received_at: int) -> Iterator[ReadLine]:
    """Read the lines of the file in their order.

    Parameters
    ----------
    recording
        The file.
    received_at
        Time at which the replay began, milliseconds. No line may be later than a day after this time.

    Raises
    ------
    CannotReplay
        The columns are not those of Online Retail.
    """
    with opened(recording.path) as content:
        rows = csv.reader(io.TextIOWrapper(content, encoding=TEXT, errors="replace", newline=""))
        header = tuple(next((row for row in rows if not _is_blank(row)), ()))
        if header != COLUMNS:
            raise CannotReplay(
                f"{recording.path} is not UCI Online Retail: its columns are {', '.join(header)[:200] or '(none)'}; "
                f"expected {', '.join(COLUMNS)}"
            )
        for row in rows:
            if _is_blank(row):
                continue
            source = Source.line(recording.digest, rows.line_num)
            try:
                event = wire.convert(short_form(row), Received(source, received_at, "replay"))
            except InvalidEvent as error:
                value = ",".join(row).encode()
                yield ReadLine(rows.line_num, None, reject_value(value, source, error, at=received_at))
            else:
                yield ReadLine(rows.line_num, event, None)


def _is_blank(row: Sequence[str]) -> bool:
    """Return whether a row is a blank line; a row of empty fields is not blank."""
    return len(row) < 2 and not "".join(row).strip()


def short_form(row: Sequence[str]) -> dict[str, Any]:
    """Convert a line to the wire's short form.

    Raises
    ------
    InvalidEvent
        The line has too few or too many fields, or a field that should be a number is not.

    Examples
    --------
    >>> line = "C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527,United Kingdom".split(",")
    >>> short_form(line)  # doctest: +NORMALIZE_WHITESPACE
    {'type': 'refund', 'user': '14527', 'at': '2010-12-01T09:41:00Z', 'order': 'C536379', 'item': 'D', 'quantity': 1,
     'price': '27.5', 'currency': 'GBP'}
    """
    if len(row) != len(COLUMNS):
        raise InvalidEvent("bad_row", "", f"{len(row)} fields", f"{len(COLUMNS)} fields: {', '.join(COLUMNS)}")
    invoice, item, _, quantity, date, price, customer, _ = row
    try:
        pieces = int(quantity)
    except ValueError:
        raise InvalidEvent("wrong_type", "Quantity", quantity, "a whole number") from None
    try:
        paid = Decimal(price)
    except InvalidOperation:
        raise InvalidEvent("wrong_type", "UnitPrice", price, "an amount such as 2.55") from None
    return {
        "type": "refund" if pieces < 0 or paid < 0 else "purchase",
        "user": customer or f"anonymous:invoice-{invoice}",
        "at": date.replace(" ", "T", 1) + "Z",
        "order": invoice,
        "item": item,
        "quantity": abs(pieces),
        "price": price.removeprefix("-"),
        "currency": CURRENCY,
    }
