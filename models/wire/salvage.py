"""Search for a withdrawal of consent in a record that is refused.

A withdrawal that can be read always counts. A bad time, a bad id, an unknown field or the size of the record does not
change this.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from models.errors import InvalidEvent
from models.events import ANONYMOUS, Event, Origin
from models.wire import details, fields, statements, withdrawals
from models.wire.fields import Json
from models.wire.native import TYPES
from models.wire.reading import Reading
from models.wire.segment import CALLS, FIELDS, when
from models.wire.withdrawals import NamedWithdrawal

MAX_SALVAGED_BYTES = 8 << 20
"""Maximum size of a record that is parsed only to look for a withdrawal, bytes."""
SUFFIX = "~withdrawal"
"""Suffix of the id of a withdrawal from a refused record.

The sender may send the corrected record with the same id, so the withdrawal needs another id.
"""

_ANY = NamedWithdrawal()
_UNNAMED = frozenset({*TYPES, *CALLS}) - {"custom", "track"}
"""Types that state what happened. So a ``name`` beside them, such as the name of a page, is not an event's name."""


class Salvaged(NamedTuple):
    """A withdrawal that could be read.

    Attributes
    ----------
    event
        A ``consent`` that withdraws, or an ``identify`` with only those traits that withdraw.
    is_whole
        Whether the record states nothing else, so that it need not be refused.
    """

    event: Event
    is_whole: bool


def salvage(raw: Any, reading: Reading) -> Salvaged | None:
    """Return the withdrawal in a record that was refused; ``None`` if there is none, or no user."""
    if not isinstance(raw, dict):
        return None
    user = _user(raw)
    if user is None:
        return None
    named = _named(raw)
    if named is not None:
        return Salvaged(_consent(raw, reading, user, named), is_whole=True)
    traits = _traits(raw)
    if not traits:
        return None
    event = Event(
        id=_id(raw, reading)[: fields.MAX_ID_LENGTH - len(SUFFIX)] + SUFFIX,
        user=user,
        type="identify",
        at=_at(raw, reading),
        origin=_origin(raw, reading),
        trust=reading.received.trust,
        traits=traits,
    )
    return Salvaged(event, is_whole=False)


def in_context(raw: Json) -> dict[str, Any]:
    """Return the statements about consent outside an event's fields.

    They are in ``context.traits`` and in ``traits``. A withdrawal may also be in a field that the spec does
    not define. The ``traits`` of a ``group`` call describe the group, so they say nothing about the user.
    """
    said = {} if raw.get("type") == "group" else statements.statements(raw.get("traits"))
    context = raw.get("context")
    beside = statements.statements(context.get("traits")) if isinstance(context, dict) else None
    if beside:
        said = {**beside, **said, **statements.withdrawing(beside)}
    if not raw.keys() <= FIELDS:
        said |= statements.withdrawing({name: value for name, value in raw.items() if name not in FIELDS})
    return said


def _named(raw: Json) -> NamedWithdrawal | None:
    """Return the withdrawal that the record's type or its event's name states, in either form; ``None`` if none."""
    kind = raw.get("type")
    if _is_consent(kind):
        return _ANY if withdrawals.is_no(raw.get("granted")) else None
    if isinstance(kind, str) and kind in _UNNAMED:
        return withdrawals.named(raw.get("event"))
    found = map(withdrawals.named, (raw.get("event"), raw.get("name"), kind))
    return next((withdrawal for withdrawal in found if withdrawal is not None), None)


def _is_consent(kind: object) -> bool:
    """Return whether a type is ``consent``, in upper or lower case, with or without blanks around it."""
    return isinstance(kind, str) and kind.strip().lower() == "consent"


def _consent(raw: Json, reading: Reading, user: str, named: NamedWithdrawal) -> Event:
    said = raw if _is_consent(raw.get("type")) else raw.get("properties")
    said = said if isinstance(said, dict) else {}
    name = _readable(raw.get("event") or raw.get("name"))
    reason = _readable(said.get("reason")) or _readable(said.get("source"))
    complaint = named.complaint or said.get("complaint") is True
    purpose = None if complaint else withdrawals.purpose_of(said.get("purpose"), name)
    return Event(
        id=_id(raw, reading),
        user=user,
        type="consent",
        at=_at(raw, reading),
        origin=_origin(raw, reading),
        trust=reading.received.trust,
        channel=withdrawals.channel_of(said.get("channel"), named.channel),
        granted=False,
        purpose=purpose,
        complaint=complaint,
        reason=reason or (None if name is None else withdrawals.source_of(name)),
        traits=_traits(raw) or None,
        properties=_properties(raw, reading),
    )


def _traits(raw: Json) -> dict[str, Any]:
    found = statements.brief(statements.withdrawing(in_context(raw)))
    return {name: value for name, value in found.items() if _readable(name) is not None}


def _user(raw: Json) -> str | None:
    for field, prefix in (("user", ""), ("userId", ""), ("anonymousId", ANONYMOUS)):
        found = _readable(raw.get(field))
        if found is not None:
            return _readable(prefix + found)
    return None


def _id(raw: Json, reading: Reading) -> str:
    return _readable(raw.get("id")) or _readable(raw.get("messageId")) or reading.received.source.id


def _at(raw: Json, reading: Reading) -> int:
    received_at = reading.received.at
    try:
        if raw.get("user") is None:
            return when(raw, reading)
        stamp = raw.get("at") if raw.get("at") is not None else raw.get("timestamp")
        at = received_at if stamp is None else fields.instant(stamp, "at")
        return fields.plausible(at, "at", stamp, received_at)
    except InvalidEvent:
        return received_at


def _origin(raw: Json, reading: Reading) -> Origin:
    if raw.get("user") is None or reading.received.trust == "public":
        return reading.received.origin
    try:
        return fields.origin(raw.get("origin"), reading.received.origin)
    except InvalidEvent:
        return reading.received.origin


def _properties(raw: Json, reading: Reading) -> dict[str, Any] | None:
    try:
        return dict(fields.bounded(raw.get("properties"), "properties", small=reading.small)) or None
    except (InvalidEvent, TypeError):  # TypeError: JSON cannot express it
        return None


def _readable(value: object) -> str | None:
    try:
        return details.identifier(value, "")
    except InvalidEvent:
        return None
