"""The columns of a file: which of them are used for what, as a person has stated it or as their names say.

Names are compared without case, blanks, ``_``, ``-``, ``.`` and ``:``. A column that neither ``--map`` nor the tables
below name is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from models.events import CHANNELS
from models.imports.cells import KINDS
from models.imports.tables import BadTable
from models.spelling import did_you_mean
from models.wire.withdrawals import normalized

Content = Literal["people", "consent", "suppressions"]
"""The subject of a file."""

_USER = ("user", "user id", "customer id", "external id", "ext id", "id")
_EMAIL = ("email", "email address", "address email")
_PHONE = ("phone", "phone number", "mobile", "mobile phone number", "sms")

PAST: Final = ("first_seen", "last_seen", "orders", "spent", "last_order")
"""Uses of columns of people that state something from before the log."""

_NAMES: Mapping[Content, Mapping[str, tuple[str, ...]]] = {
    "people": {
        "user": _USER,
        "email": _EMAIL,
        "phone": _PHONE,
        "firstName": ("first name", "fname"),
        "lastName": ("last name", "lname", "surname"),
        "name": ("name", "full name"),
        "country": ("country", "country/region", "cc"),
        "timezone": ("timezone", "time zone"),
        "language": ("language", "preferred language"),
        "locale": ("locale",),
        "first_seen": ("first seen", "first active", "profile created on", "created at", "create date", "added time"),
        "last_seen": ("last seen", "last active", "last activity date"),
        "orders": ("orders", "order count", "orders count", "number of orders", "total orders"),
        "spent": ("spent", "total spent", "total revenue", "historic customer lifetime value"),
        "currency": ("currency",),
        "last_order": ("last order", "last order date", "last purchase date"),
        "updated": ("updated", "updated at", "last changed", "modified time", "last modified date"),
    },
    "consent": {
        "user": _USER,
        "channel": ("channel",),
        "consent": ("consent", "granted", "subscribed", "subscription status", "status"),
        "withdrawn": ("unsubscribed", "opted out"),
        "at": ("at", "consent at", "consented at", "confirm time", "optin time", "opt in time"),
        "withdrawn_at": ("unsub time", "unsubscribed at", "clean time"),
        "purpose": ("purpose",),
        "source": ("source", "consent source"),
        "text": ("text", "text version"),
        "confirmed": ("confirmed", "double opt in"),
        "consent.email": ("email marketing consent", "email consent"),
        "at.email": ("email marketing consent timestamp", "email consent at"),
        "withdrawn.email": ("unsubscribed from all email", "email blacklisted", "email blocklisted"),
        "consent.sms": ("sms marketing consent", "sms consent"),
        "at.sms": ("sms marketing consent timestamp", "sms consent at"),
        "withdrawn.sms": ("sms blacklisted", "sms blocklisted"),
    },
    "suppressions": {
        "address": ("address", *_EMAIL, *_PHONE, "number"),
        "channel": ("channel",),
        "reason": ("reason", "suppression reason"),
        "scope": ("scope",),
        "at": ("at", "created", "created at", "last update time", "unsub time", "clean time"),
        "code": ("code", "status"),
        "origin": ("origin",),
    },
}
"""Names of columns by their use; of several columns with a name of one use, the first name in the list counts."""

_TOOLS: Mapping[str, tuple[str, ...]] = {
    "Mailchimp": ("member rating", "optin time", "leid", "euid"),
    "Klaviyo": ("klaviyo id", "email marketing consent", "sms marketing consent", "profile created on"),
    "Brevo": ("added time", "modified time", "ext id", "landline number", "firstname"),
    "HubSpot": ("record id", "create date", "contact owner", "lead status", "lifecycle stage"),
    "Customer.io": ("cio id", "created in customerio at", "cio subscription preferences", "unsubscribed"),
}
"""Columns that exports of a tool have, each as normalized by :func:`normalized`; two of them recognise the tool."""

_PAIR = re.compile(r",(?=[^=,]+=)")
_ROLE = re.compile(r"[^\s:=]+(:[a-z]+)?")


class ColumnUse(NamedTuple):
    """The use of a column.

    Attributes
    ----------
    place, column
        Its place from 0 and its name in the header.
    kind
        For a trait: ``text``, ``number`` or ``bool``.
    stated
        Whether a person has stated it; otherwise its name has.
    """

    place: int
    column: str
    kind: str = "text"
    stated: bool = False


class ColumnUses(NamedTuple):
    """The columns of a file.

    Attributes
    ----------
    uses
        The columns in use, by what they are used for.
    tool
        The tool whose export has such columns; empty if it is not known.
    unused
        Names of the columns that are not used.
    """

    uses: Mapping[str, ColumnUse]
    tool: str
    unused: Sequence[str]

    def value(self, use: str, values: Sequence[str]) -> str:
        """Return the value of a row for a use, without blanks around it; empty if no column has this use."""
        found = self.uses.get(use)
        return "" if found is None else values[found.place].strip()

    def name(self, use: str) -> str:
        """Return the name of the column for a use; empty without one."""
        found = self.uses.get(use)
        return "" if found is None else found.column


def stated_uses(written: Iterable[str]) -> dict[str, str]:
    """Read ``--map``: ``use=Column,use=Column``. A column may have commas if no ``use=`` follows one.

    Raises
    ------
    BadTable
        It is written in another way, or a use is stated twice.

    Examples
    --------
    >>> stated_uses(["user=Customer_ID,email=E-Mail", "age:number=Age, in years"])
    {'user': 'Customer_ID', 'email': 'E-Mail', 'age:number': 'Age, in years'}
    """
    found: dict[str, str] = {}
    for part in (pair for one in written for pair in _PAIR.split(one)):
        use, sign, column = part.partition("=")
        use, column = use.strip(), column.strip()
        if not sign or not column or not _ROLE.fullmatch(use):
            raise BadTable(f"--map: found {part!r}; allowed: user=Customer_ID,email=E-Mail,age:number=Age")
        if use in found:
            raise BadTable(f"--map: found {use!r} twice; allowed: one column for each use")
        found[use] = column
    return found


def columns_of(content: Content, header: Sequence[str], stated: Mapping[str, str], *, rest: bool = False) -> ColumnUses:
    """Decide what the columns of a file are used for.

    Parameters
    ----------
    content
        What the file is about.
    header
        Names of the columns.
    stated
        What a person has stated (:func:`stated_uses`). It wins over the names.
    rest
        For people: whether all other columns become traits of their names.

    Raises
    ------
    BadTable
        A stated column does not exist, or a stated use is not known.
    """
    places = {normalized(name): index for index, name in enumerate(header) if name}
    uses: dict[str, ColumnUse] = {}
    for use, column in stated.items():
        name, kind = _named(content, use)
        index = next((i for i, known in enumerate(header) if known == column), places.get(normalized(column)))
        if index is None:
            raise BadTable(f"--map: {use}: found the column {column!r}; allowed: {_one_of(column, header)}")
        uses[name] = ColumnUse(index, header[index], kind, stated=True)
    taken = {one.place for one in uses.values()}
    for name, spellings in _NAMES[content].items():
        keys = (normalized(one) for one in spellings)
        index = next((places[key] for key in keys if key in places and places[key] not in taken), None)
        if name not in uses and index is not None:
            uses[name] = ColumnUse(index, header[index])
            taken.add(index)
    if rest:
        uses |= {
            column: ColumnUse(index, column)
            for index, column in enumerate(header)
            if column and index not in taken and column not in uses
        }
        taken = set(range(len(header)))
    return ColumnUses(uses, _tool(places), [name for index, name in enumerate(header) if name and index not in taken])


def require(content: Content, columns: ColumnUses, header: Sequence[str]) -> None:
    """Check that a file has the columns without which no line can be used.

    Raises
    ------
    BadTable
        One is missing; the message says how to name it.
    """
    needed = "address" if content == "suppressions" else "user"
    if needed in columns.uses:
        return
    hint = f"--map {needed}=COLUMN with one of: {', '.join(name for name in header if name)[:300]}"
    if needed == "user" and (email := next((one for one in header if normalized(one) in _EMAILS), "")):
        hint += f" (if your events name users by their e-mail address: --map 'user={email}')"
    raise BadTable(f"line 1: found no column for {needed}; allowed: {hint}")


_EMAILS = {normalized(name) for name in _EMAIL}


def _named(content: Content, use: str) -> tuple[str, str]:
    """Return the name and the kind of a stated use."""
    name, _, kind = use.partition(":")
    if content == "people":
        if kind and kind not in KINDS:
            raise BadTable(f"--map: found {use!r}; allowed: {name} with :{', :'.join(KINDS)}, or without a kind")
        return name, kind or "text"
    known = _NAMES[content]
    if kind or name not in known:
        raise BadTable(f"--map: found {use!r}; allowed: {_one_of(name, known)}")
    return name, "text"


def _one_of(found: str, names: Iterable[str]) -> str:
    """Return the names that are allowed, and the one that may have been meant."""
    known = [name for name in names if name]
    return f"one of {', '.join(known)[:300]}{did_you_mean(found, known)}"


def _tool(places: Mapping[str, int]) -> str:
    for tool, names in _TOOLS.items():
        if sum(normalized(name) in places for name in names) >= 2:
            return tool
    return ""


SIDES: tuple[str, ...] = ("", *(f".{channel}" for channel in CHANNELS))
"""Endings of the uses of consent: for the channel of the line, or for one channel."""
