"""The wire: two forms of events from outside, read into one :class:`~models.events.Event`.

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
track Consent Given            consent, granted   channel (email, sms, all), source
track Consent Withdrawn        consent, withdrawn channel, without one all; also Unsubscribed
identify                       identify           traits; if there are none, context.traits
track, any other name          custom             name, properties as they are
group, alias                   custom             name Group, Alias; groupId, previousId
=============================  =================  ==============================================================

The names of the spec's first version are read as well: Viewed Product, Added Product, Removed Product, Completed Order.

Anonymous users are ``anonymous:`` and the ``anonymousId``. Times are milliseconds or RFC 3339 with an offset; amounts
are in units of the currency (2.55) and become micros; what is not named above stays in ``properties``; ``context`` and
``integrations`` are not kept. Consent is always an event of its own, never a trait: a site repeats its traits at every
login, and a stale ``true`` would undo a withdrawal. What became of our own messages nobody else may report. Every
refusal is an :class:`~models.errors.InvalidEvent` with a stable reason and the field's path.

The short form is strict: it is written by hand, and whoever writes it reads the answer. The Segment form is lenient:
whole numbers are ids, texts of digits are numbers, and one bad detail does not lose an event (``segment.py`` says which
details do). Such a detail is an :class:`~models.errors.EventWarning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from models.encoding import is_blank, without_mark
from models.errors import EventWarning, InvalidEvent
from models.events import Event, Origin, Trust
from models.source import Source
from models.wire.fields import OBJECT_BYTES, shown
from models.wire.native import TYPES, encode, read_native
from models.wire.reading import Reading
from models.wire.segment import CALLS, read_segment

RECORD_BYTES = 262_144
"""Maximum bytes of a record: an order of 500 ordinary lines in Segment's form fits."""

__all__ = ["CALLS", "RECORD_BYTES", "TYPES", "Source", "convert", "decode", "encode"]


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
        With a reason, the field's path, what was found and what is allowed. Nothing else is ever raised.

    Examples
    --------
    >>> value = b'{"type":"click","user":"u1","item":"sku1"}'
    >>> decode(value, source=Source("events.in", 0, 7), received_at=1_777_636_800_250)
    Event(id='events.in/0/7', user='u1', type='click', at=1777636800250, ..., item='sku1', ...)
    """
    if value is None or not value:
        raise InvalidEvent("empty", "", "nothing", "JSON of one event")
    if len(value) > RECORD_BYTES:
        raise InvalidEvent("too_large", "", f"{len(value)} bytes", f"at most {RECORD_BYTES:,} bytes")
    try:
        raw = orjson.loads(value)
    except orjson.JSONDecodeError:
        raw = _without_mark(value)
    small = len(value) <= OBJECT_BYTES
    return _read(raw, Reading(source, received_at, origin, trust, small, [] if warnings is None else warnings))


def convert(
    raw: Mapping[str, Any],
    *,
    source: Source,
    received_at: int,
    origin: Origin = "live",
    trust: Trust = "server",
    warnings: list[EventWarning] | None = None,
) -> Event:
    """Read a record that is parsed already, such as one of a batch; otherwise like :func:`decode`.

    The mapping is not changed; the event may share its nested objects.
    """
    try:
        size = len(orjson.dumps(raw))
    except TypeError as error:  # what JSON cannot say: other types, other keys, lone surrogates, deeper than 254
        raise InvalidEvent("bad_json", "", type(raw).__name__, f"what JSON can say ({error})") from None
    if size > RECORD_BYTES:
        raise InvalidEvent("too_large", "", f"{size} bytes", f"at most {RECORD_BYTES:,} bytes")
    small = size <= OBJECT_BYTES
    return _read(raw, Reading(source, received_at, origin, trust, small, [] if warnings is None else warnings))


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
    if not isinstance(raw, dict):
        raise InvalidEvent("not_an_object", "", shown(raw), "a JSON object")
    if raw.get("user") is not None:
        for other in ("userId", "anonymousId"):
            if raw.get(other) is not None:
                raise InvalidEvent("ambiguous", "user", f"user and {other}", "one of user, userId, anonymousId")
        return read_native(raw, reading)
    if raw.get("userId") is not None or raw.get("anonymousId") is not None:
        return read_segment(raw, reading)
    field = "userId" if raw.get("type") in CALLS else "user"
    raise InvalidEvent("missing_user", field, "nothing", "user, or userId or anonymousId of the Segment spec")
