"""The wire: two forms of events from outside, read into one :class:`~models.events.Event`. It may import ``places``.

A record with ``user`` is in the short form, one with ``userId`` or ``anonymousId`` follows the Segment spec::

    {"type": "click", "user": "u1", "item": "sku1", "at": 1777636800250}
    {"type": "track", "event": "Product Clicked", "userId": "u1", "properties": {"product_id": "sku1"},
     "timestamp": "2026-05-01T12:00:00.250Z", "messageId": "m1"}

=============================  =================  ==============================================================
Segment                        short form's type  what becomes of the fields
=============================  =================  ==============================================================
page, screen                   page_view          name, category
track Product Viewed           product_view       product_id (or id, sku), category, price, quantity, currency
track Product Clicked          click              the same
track Product Added            cart_add           the same
track Product Removed          cart_remove        the same
track Order Completed          purchase           order_id, products, total (or revenue, value), currency; the whole
                                                  order, which counts once
track Order Updated            purchase           the same; takes the place of what was said of the order before
track Order Refunded           refund             the same; order_id alone is all that is left of the order
track Product Reviewed         rating             product_id, rating, review_body
track Support Message Sent     support_message    text (or message_body); also Live Chat Message Sent
track Consent Given            consent, granted   channel (email, sms, all), source, confirmed
track Unsubscribed             consent, withdrawn channel, without one all; other names in ``withdrawals.EVENTS``
identify                       identify           traits; if there are none, context.traits
track, any other name          custom             name, properties as they are
group, alias                   custom             name Group, Alias; groupId, previousId
=============================  =================  ==============================================================

The names of the spec's first version are read as well: Viewed Product, Added Product, Removed Product, Completed Order.

Anonymous users are ``anonymous:`` and the ``anonymousId``. Times are milliseconds or RFC 3339 with an offset; amounts
are in units of the currency (2.55) and become micros; what is not named above stays in ``properties``; ``context`` and
``integrations`` are not kept, except traits in ``context`` that state something about consent. Outcomes of our own
messages are refused. Every refusal is an :class:`~models.errors.InvalidEvent` with a stable reason and the
field's path.

Consent is granted only by an event of its own, read strictly. It is withdrawn by whatever can be read as a withdrawal
(:mod:`models.wire.withdrawals`), also in a record that is otherwise refused (:mod:`models.wire.salvage`): such an error
carries it as ``withdrawal``. A record with a public key neither grants consent nor says an origin, a bounce or a
complaint. Test events belong to a user of their own, ``test:`` and the id.

The short form is strict: it is written by hand, and whoever writes it reads the answer. The Segment form is lenient:
whole numbers are ids, texts of digits are numbers, and one bad detail does not lose an event (``segment.py`` says which
details do). Such a detail is an :class:`~models.errors.EventWarning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from models.encoding import is_blank, without_mark
from models.errors import EventWarning, InvalidEvent
from models.events import TEST, Event, Origin, Trust
from models.source import Source
from models.wire import bounces, statements
from models.wire.fields import OBJECT_BYTES, shown
from models.wire.native import TYPES, encode, read_native
from models.wire.reading import Reading
from models.wire.salvage import MAX_SALVAGED_BYTES, in_context, salvage
from models.wire.segment import CALLS, FIELDS, read_segment

RECORD_BYTES = 262_144
"""Maximum bytes of a record: an order of 500 ordinary lines in Segment's form fits."""

__all__ = ["CALLS", "RECORD_BYTES", "TYPES", "Source", "convert", "decode", "encode", "withdrawal_in"]

_SERVER_KEY = "a server key; this one is a browser key"


def decode(
    value: bytes | None,
    *,
    source: Source,
    received_at: int,
    origin: Origin = "live",
    trust: Trust = "server",
    warnings: list[EventWarning] | None = None,
) -> Event:
    """Read a record from outside.

    Parameters
    ----------
    value
        JSON of one event, in either form.
    source
        Where it was read; gives the id of a record without a ``messageId``.
    received_at
        When it arrived, milliseconds: the time of a record that has none, and the bound of those that have one.
    origin
        What the door knows; a record may only claim to be less live.
    trust
        Whose key the record came with.
    warnings
        Details that cannot be used are left out of the event and appended here.

    Raises
    ------
    InvalidEvent
        With a reason, the field's path, what was found and what is allowed, and with the withdrawal of consent that
        could still be read in the record. Nothing else is ever raised.

    Examples
    --------
    >>> value = b'{"type":"click","user":"u1","item":"sku1"}'
    >>> decode(value, source=Source("events.in", 0, 7), received_at=1_777_636_800_250)
    Event(id='events.in/0/7', user='u1', type='click', at=1777636800250, ..., item='sku1', ...)
    """
    if value is None or not value:
        raise InvalidEvent("empty", "", "nothing", "JSON of one event")
    small = len(value) <= OBJECT_BYTES
    reading = Reading(source, received_at, origin, trust, small, [] if warnings is None else warnings)
    if len(value) > RECORD_BYTES:
        too_large = InvalidEvent("too_large", "", f"{len(value)} bytes", f"at most {RECORD_BYTES:,} bytes")
        too_large.withdrawal = _withdrawal(_parsed(value), reading)
        raise too_large
    try:
        raw = orjson.loads(value)
    except orjson.JSONDecodeError:
        raw = _without_mark(value)
    return _read(raw, reading)


def convert(
    raw: Mapping[str, Any],
    *,
    source: Source,
    received_at: int,
    origin: Origin = "live",
    trust: Trust = "server",
    warnings: list[EventWarning] | None = None,
    size: int | None = None,
) -> Event:
    """Read a record that is parsed already, such as one of a batch; otherwise like :func:`decode`.

    The mapping is not changed; the event may share its nested objects. ``size`` is that of its JSON in bytes, where
    that is known.
    """
    reading = Reading(source, received_at, origin, trust, False, [] if warnings is None else warnings)
    try:
        size = len(orjson.dumps(raw)) if size is None else size
    except TypeError as error:  # what JSON cannot say: other types, other keys, lone surrogates, deeper than 254
        invalid = InvalidEvent("bad_json", "", type(raw).__name__, f"what JSON can say ({error})")
        invalid.withdrawal = _withdrawal(raw, reading)
        raise invalid from None
    if size > RECORD_BYTES:
        too_large = InvalidEvent("too_large", "", f"{size} bytes", f"at most {RECORD_BYTES:,} bytes")
        too_large.withdrawal = _withdrawal(raw, reading)
        raise too_large
    return _read(raw, reading if size > OBJECT_BYTES else reading._replace(small=True))


def withdrawal_in(
    raw: Any, *, source: Source, received_at: int, origin: Origin = "live", trust: Trust = "server"
) -> Event | None:
    """Return the withdrawal of consent in a record that a door refuses before it asks :func:`convert`.

    Parameters
    ----------
    raw
        JSON as it was parsed, of whatever kind, size and depth.
    source, received_at, origin, trust
        As for :func:`convert`.
    """
    return _withdrawal(raw, Reading(source, received_at, origin, trust, False, []))


def _withdrawal(raw: Any, reading: Reading) -> Event | None:
    found = salvage(raw, reading)
    return None if found is None else _settled(found.event, reading)


def _parsed(value: bytes) -> Any:
    """Parse a record that is too large; ``None`` where it is far too large, or no JSON."""
    if len(value) > MAX_SALVAGED_BYTES:
        return None
    try:
        return orjson.loads(without_mark(value))
    except orjson.JSONDecodeError:
        return None


def _without_mark(value: bytes) -> Any:
    """Read what is no JSON at once: it may begin with a byte order mark."""
    if is_blank(value):
        raise InvalidEvent("empty", "", "nothing", "JSON of one event")
    try:
        return orjson.loads(without_mark(value))
    except orjson.JSONDecodeError as error:
        raise InvalidEvent("bad_json", "", _text(value), f"JSON of one event ({error})") from None


def _text(value: bytes) -> str:
    """Begin of a record as text, in ASCII: what is none is shown by its codes."""
    return ascii(bytes(value[:60]).decode("utf-8", "backslashreplace"))


def _read(raw: Any, reading: Reading) -> Event:
    try:
        return _settled(_understood(raw, reading), reading)
    except InvalidEvent as error:
        found = salvage(raw, reading)
        if found is None:
            raise
        event = _settled(found.event, reading)
        if not found.is_whole:
            error.withdrawal = event
            raise
        reading.warnings.append(EventWarning(error.reason, error.field, error.found, error.allowed))
        return event


def _understood(raw: Any, reading: Reading) -> Event:
    if not isinstance(raw, dict):
        raise InvalidEvent("not_an_object", "", shown(raw), "a JSON object")
    if reading.trust == "public" and (reading.origin != "live" or raw.get("origin") is not None):
        raise InvalidEvent("bad_origin", "origin", shown(raw.get("origin", reading.origin)), _SERVER_KEY)
    if raw.get("user") is not None:
        for other in ("userId", "anonymousId"):
            if raw.get(other) is not None:
                raise InvalidEvent("ambiguous", "user", f"user and {other}", "one of user, userId, anonymousId")
        event = read_native(raw, reading)
    elif raw.get("userId") is not None or raw.get("anonymousId") is not None:
        event = read_segment(raw, reading)
        if "traits" in raw or _has_traits(raw.get("context")) or not raw.keys() <= FIELDS:
            return _with_statements(event, in_context(raw), reading.warnings)
    else:
        field = "userId" if raw.get("type") in CALLS else "user"
        raise InvalidEvent("missing_user", field, "nothing", "user, or userId or anonymousId of the Segment spec")
    return _with_statements(event, {}, reading.warnings) if event.traits else event


def _with_statements(event: Event, said: Mapping[str, Any], warnings: list[EventWarning]) -> Event:
    """Add what is said about consent beside an event to its traits, and warn of what is no withdrawal."""
    traits = event.traits or {}
    if traits or said:
        statements.review({**traits, **said}, "traits", warnings)
    kept = statements.brief(said)
    return msgspec.structs.replace(event, traits=traits | kept) if kept else event


def _has_traits(context: object) -> bool:
    return isinstance(context, dict) and "traits" in context


def _settled(event: Event, reading: Reading) -> Event:
    """Take from an event what its key may not say, and put a test event aside."""
    if event.trust == "public":
        event = _distrusted(event, reading.warnings)
    if event.origin == "test" and not event.user.startswith(TEST):
        event = msgspec.structs.replace(event, user=TEST + event.user)
    return event


def _distrusted(event: Event, warnings: list[EventWarning]) -> Event:
    """Refuse bounces, and pass over what a public key says of grants and complaints; the fold passes over it, too."""
    if event.type == "custom" and event.name is not None and bounces.is_bounce(event.name):
        raise InvalidEvent("needs_server_key", "event", event.name, _SERVER_KEY)
    if event.granted:
        allowed = "a grant of consent comes with a server key; this one grants nothing"
        warnings.append(EventWarning("needs_server_key", "granted", "true", allowed))
    if event.complaint or event.confirmed:
        event = msgspec.structs.replace(event, complaint=False, confirmed=False)
    return event
