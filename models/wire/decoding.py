"""Reading of one record from outside, in either form, into an event or into the error that says why it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from models.encoding import is_blank, without_mark
from models.errors import EventWarning, InvalidEvent
from models.events import TEST, Event
from models.source import Received
from models.wire import bounces, statements
from models.wire.fields import MAX_OBJECT_BYTES, shown
from models.wire.native import read_native
from models.wire.reading import Reading
from models.wire.salvage import MAX_SALVAGED_BYTES, in_context, salvage
from models.wire.segment import CALLS, FIELDS, read_segment

MAX_RECORD_BYTES = 262_144
"""Maximum size of a record, bytes. An order of 500 ordinary lines in Segment's form fits."""

_SERVER_KEY = "only with a server key; this record came with a browser key"


def decode(value: bytes | None, received: Received, warnings: list[EventWarning] | None = None) -> Event:
    """Read a record from outside.

    Parameters
    ----------
    value
        JSON of one event, in either form.
    received
        How the record was received.
    warnings
        List to which a warning is appended for each detail that cannot be used, and is left out of the event.

    Raises
    ------
    InvalidEvent
        The record cannot become an event. If a withdrawal of consent could still be read in it, the error carries the
        withdrawal. No other exception is raised.

    Examples
    --------
    >>> from models.source import Source
    >>> value = b'{"type":"click","user":"u1","item":"sku1"}'
    >>> decode(value, Received(Source("events.in", 0, 7), 1_777_636_800_250))
    Event(id='events.in/0/7', user='u1', type='click', at=1777636800250, ..., item='sku1', ...)
    """
    if value is None or not value:
        raise InvalidEvent("empty", "", "nothing", "JSON of one event")
    reading = Reading(received, len(value) <= MAX_OBJECT_BYTES, [] if warnings is None else warnings)
    if len(value) > MAX_RECORD_BYTES:
        raise _too_large(len(value), _parsed(value), reading)
    try:
        raw = orjson.loads(value)
    except orjson.JSONDecodeError:
        raw = _without_mark(value)
    return _read(raw, reading)


def convert(
    raw: Mapping[str, Any], received: Received, *, size: int | None = None, warnings: list[EventWarning] | None = None
) -> Event:
    """Read a record that was already parsed, such as one of a batch; otherwise like :func:`decode`.

    The mapping is not changed; the event may share its nested objects.

    Parameters
    ----------
    raw
        The record.
    received, warnings
        As for :func:`decode`.
    size
        Size of the record as JSON, bytes. Give it if it is known; otherwise the record is serialized to measure it.

    Raises
    ------
    InvalidEvent
        As for :func:`decode`.
    """
    noted = [] if warnings is None else warnings
    if size is None:
        try:
            size = len(orjson.dumps(raw))
        except TypeError as error:  # JSON cannot express the record: other types, lone surrogates, over 254 levels
            invalid = InvalidEvent("bad_json", "", type(raw).__name__, f"a value that JSON can express ({error})")
            invalid.withdrawal = withdrawal_in(raw, received)
            raise invalid from None
    reading = Reading(received, size <= MAX_OBJECT_BYTES, noted)
    if size > MAX_RECORD_BYTES:
        raise _too_large(size, raw, reading)
    return _read(raw, reading)


def withdrawal_in(raw: Any, received: Received) -> Event | None:
    """Return the withdrawal of consent in a record that is refused before :func:`convert` is called.

    Parameters
    ----------
    raw
        The parsed JSON, of any type, size and depth.
    received
        As for :func:`decode`.
    """
    return _withdrawal(raw, Reading(received, False, []))


def _withdrawal(raw: Any, reading: Reading) -> Event | None:
    found = salvage(raw, reading)
    return None if found is None else _settled(found.event, reading)


def _too_large(size: int, raw: Any, reading: Reading) -> InvalidEvent:
    error = InvalidEvent("too_large", "", f"{size} bytes", f"at most {MAX_RECORD_BYTES:,} bytes")
    error.withdrawal = _withdrawal(raw, reading)
    return error


def _parsed(value: bytes) -> Any:
    """Parse a record that is too large; return ``None`` if it exceeds ``MAX_SALVAGED_BYTES`` or is not JSON."""
    if len(value) > MAX_SALVAGED_BYTES:
        return None
    try:
        return orjson.loads(without_mark(value))
    except orjson.JSONDecodeError:
        return None


def _without_mark(value: bytes) -> Any:
    """Parse a record again without a byte order mark, because the first attempt has failed."""
    if is_blank(value):
        raise InvalidEvent("empty", "", "nothing", "JSON of one event")
    try:
        return orjson.loads(without_mark(value))
    except orjson.JSONDecodeError as error:
        raise InvalidEvent("bad_json", "", _text(value), f"JSON of one event ({error})") from None


def _text(value: bytes) -> str:
    """Return the beginning of a record as ASCII text; bytes that are not text are shown as escapes."""
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
    received = reading.received
    if not isinstance(raw, dict):
        raise InvalidEvent("not_an_object", "", shown(raw), "a JSON object")
    if received.trust == "public" and (received.origin != "live" or raw.get("origin") is not None):
        raise InvalidEvent("bad_origin", "origin", shown(raw.get("origin", received.origin)), _SERVER_KEY)
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
    """Add statements about consent in other fields of the record to the event's traits, and warn of unclear ones."""
    traits = event.traits or {}
    if traits or said:
        statements.review({**traits, **said}, "traits", warnings)
    kept = statements.brief(said)
    return msgspec.structs.replace(event, traits=traits | kept) if kept else event


def _has_traits(context: object) -> bool:
    return isinstance(context, dict) and "traits" in context


def _settled(event: Event, reading: Reading) -> Event:
    """Remove the statements that the sender's key does not allow, and give a test event to the separate test user."""
    if event.trust == "public":
        event = _distrusted(event, reading.warnings)
    if event.origin == "test" and not event.user.startswith(TEST):
        anonymous = None if event.anonymous is None else TEST + event.anonymous
        event = msgspec.structs.replace(event, user=TEST + event.user, anonymous=anonymous)
    return event


def _distrusted(event: Event, warnings: list[EventWarning]) -> Event:
    """Limit an event with a browser key: refuse a bounce, warn of a grant, and remove a complaint.

    The fold ignores such statements as well.
    """
    if event.type == "custom" and event.name is not None and bounces.is_bounce(event.name):
        raise InvalidEvent("needs_server_key", "event", event.name, _SERVER_KEY)
    if event.is_grant:
        allowed = "only with a server key; with a browser key this grants nothing by itself"
        warnings.append(EventWarning("needs_server_key", "granted", "true", allowed))
    if event.complaint or event.confirmed:
        event = msgspec.structs.replace(event, complaint=False, confirmed=False)
    return event
