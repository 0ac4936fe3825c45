"""Lines of a file as entries of the suppression list, in the forms of the exports of providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.delivery.bounces import HARD, enhanced_code
from models.delivery.suppression import SCOPES, STOPPING, Reason, Scope
from models.delivery.suppression_file import delivery_address
from models.events import CHANNELS, Channel
from models.imports.cells import CellForms, CellRefused, time_in
from models.imports.columns import ColumnUses
from models.imports.tables import BadLine, TableRow
from models.wire.fields import shown
from models.wire.withdrawals import normalized

_REASONS: Mapping[str, Reason] = {
    "bounce": "bounce",
    "bounced": "bounce",
    "hardbounce": "bounce",
    "permanent": "bounce",
    "cleaned": "bounce",
    "complaint": "complaint",
    "complained": "complaint",
    "spam": "complaint",
    "spamcomplaint": "complaint",
    "spamreport": "complaint",
    "unsubscribe": "unsubscribe",
    "unsubscribed": "unsubscribe",
    "groupunsubscribe": "unsubscribe",
    "optout": "unsubscribe",
    "optedout": "unsubscribe",
    "manual": "manual",
    "manualsuppression": "manual",
    "import": "import",
    "stop": "stop",
}


class ExportForm(NamedTuple):
    """The form of an export.

    Attributes
    ----------
    name
        The provider, and what the export contains.
    needs
        Names of its columns.
    reason
        The reason of all its lines; ``None`` if a column says it.
    has_codes
        Whether only the lines with the code of a permanent failure of the address count.
    """

    name: str
    needs: tuple[str, ...]
    reason: Reason | None
    has_codes: bool = False


FORMS: tuple[ExportForm, ...] = (
    ExportForm("SendGrid bounces", ("status", "reason", "email", "created"), "bounce", has_codes=True),
    ExportForm("SendGrid spam reports", ("ip", "email", "created"), "complaint"),
    ExportForm("SendGrid unsubscribes", ("email", "created"), None),
    ExportForm("Mailgun bounces", ("address", "code", "error", "created_at"), "bounce", has_codes=True),
    ExportForm("Mailgun unsubscribes", ("address", "tag", "created_at"), "unsubscribe"),
    ExportForm("Mailgun unsubscribes", ("address", "tags", "created_at"), "unsubscribe"),
    ExportForm("Mailgun complaints", ("address", "created_at"), None),
    ExportForm("Postmark suppressions", ("EmailAddress", "SuppressionReason", "CreatedAt"), None),
    ExportForm("Amazon SES suppression list", ("EmailAddress", "Reason", "LastUpdateTime"), None),
    ExportForm("Mailchimp unsubscribed", ("Email Address", "UNSUB_TIME"), "unsubscribe"),
    ExportForm("Mailchimp cleaned", ("Email Address", "CLEAN_TIME"), "bounce"),
)
"""Exports that are recognised by their columns. The first form whose columns a file has counts."""


class ListedAddress(NamedTuple):
    """A line as an entry of the suppression list.

    Attributes
    ----------
    line
        Number of the line, from 1.
    channel, address
        Channel and delivery form of the address.
    reason, scope
        Reason, and what is stopped; ``None`` for the scope of the reason.
    at
        Time that the file states, milliseconds; 0 without one.
    """

    line: int
    channel: Channel
    address: str
    reason: Reason
    scope: Scope | None
    at: int


def form_of(header: Sequence[str]) -> ExportForm | None:
    """Return the form of an export by its columns; ``None`` if it is not known.

    Examples
    --------
    >>> form_of(["status", "reason", "email", "created"]).name, form_of(["email", "reason"])
    ('SendGrid bounces', None)
    """
    names = {normalized(name) for name in header}
    return next((form for form in FORMS if all(normalized(one) in names for one in form.needs)), None)


def read_listed(
    row: TableRow, columns: ColumnUses, forms: CellForms, form: ExportForm | None, reason: Reason | None
) -> ListedAddress | BadLine:
    """Read a line of a file of addresses.

    Parameters
    ----------
    row, columns, forms
        The line, the columns of the file, and how it writes its values.
    form
        The form of the export, if it is known.
    reason
        The reason of lines that state none.
    """
    values = row.values
    written, name = columns.value("channel", values).lower(), columns.name("address")
    channel = next((one for one in CHANNELS if one == written), None)
    if written and channel is None:
        return BadLine(row.line, columns.name("channel"), shown(written), ", ".join(CHANNELS), "bad_channel")
    address = columns.value("address", values)
    found = delivery_address(address, channel)
    if found is None:
        allowed = "an e-mail address, or a phone number with its country such as +4930901820"
        return BadLine(row.line, name, shown(address), allowed, "bad_address")
    why = _reason(row, columns, form, reason)
    if isinstance(why, BadLine):
        return why
    scope = columns.value("scope", values).lower()
    if scope and _scope(scope) is None:
        return BadLine(row.line, columns.name("scope"), shown(scope), ", ".join(SCOPES[:2]), "bad_scope")
    try:
        stated = columns.value("at", values)
        at = time_in(stated, forms) if stated else 0
    except CellRefused as error:
        return BadLine(row.line, columns.name("at"), error.found, error.allowed, error.reason)
    return ListedAddress(row.line, *found, why, _scope(scope), at)


def _scope(written: str) -> Scope | None:
    return next((one for one in SCOPES[:2] if one == written), None)


def _reason(row: TableRow, columns: ColumnUses, form: ExportForm | None, default: Reason | None) -> Reason | BadLine:
    if form is not None and form.reason is not None:
        code = columns.value("code", row.values)
        if form.has_codes and not _is_hard(code, columns.value("reason", row.values)):
            allowed = "a code which says that the address does not exist, such as 5.1.1 or 550; others say nothing"
            return BadLine(row.line, columns.name("code"), shown(code), f"{allowed} about the address", "not_hard")
        return form.reason
    written = columns.value("reason", row.values)
    if not written:
        if default is not None:
            return default
        allowed = f"{', '.join(STOPPING)}, in a column for `reason` or as --reason"
        return BadLine(row.line, columns.name("reason") or "reason", "no reason", allowed, "no_reason")
    found = _REASONS.get(normalized(written))
    if found is None:
        return BadLine(row.line, columns.name("reason"), shown(written), ", ".join(STOPPING), "bad_reason")
    is_by_recipient = normalized(columns.value("origin", row.values)) == "recipient"
    return "unsubscribe" if found == "manual" and is_by_recipient else found


def _is_hard(code: str, reason: str) -> bool:
    """Return whether a code of a bounce says that the address does not exist."""
    enhanced = enhanced_code(code) or enhanced_code(reason) or enhanced_code(reason[4:])
    return enhanced in HARD if enhanced else code in ("550", "551", "553", "605")
