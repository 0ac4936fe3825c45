"""The way from a request's body to events and refusals: all that the door decides before it writes to Kafka."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from models.batch import Output
from models.encoding import without_mark
from models.errors import EventWarning, InvalidEvent
from models.events import Event, Origin
from models.rejected import reject_details, reject_received, reject_value
from models.source import Received, Source
from models.wire import MAX_RECORD_BYTES, convert, fields, withdrawal_in
from stream.collector import lateness
from stream.collector.credentials import BodyKeys, take_keys
from stream.collector.write_keys import Admission, WriteKeys

MAX_EVENT_BYTES = 32_768
"""Maximum size of one event, bytes; the limit of the Segment spec."""
MAX_ORDER_BYTES = MAX_RECORD_BYTES
"""Maximum size of an event that has the lines of an order, bytes."""
EVENT_SIZE_ALLOWED = f"at most {MAX_EVENT_BYTES:,} bytes an event, {MAX_ORDER_BYTES:,} bytes an order"
"""The limits of one event, in words."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Maximum size of the body of a batch, bytes."""
MAX_BATCH_EVENTS = 2_500
"""Maximum number of events in a batch."""
MAX_LEVELS = 254
"""Maximum number of nested objects and lists that orjson can write. It can read deeper nesting."""
MAX_EXCERPTED_BYTES = 4_096
"""Maximum number of bytes of a body that are searched for an excerpt, because searching a long body takes time."""
MAX_TIME_LENGTH = 64
"""Maximum length of a time, characters."""
ORIGIN_ALLOWED = "an origin only with a server key, because every visitor can read a browser key"
"""Text that says why an event with a browser key must not state its origin."""

_ORDERS = frozenset({"purchase", "refund"})

# This pattern also matches in broken JSON, in a name that is spelled with escapes, and in the body of a form.
_name = "".join(rf"(?:{letter}|\\u00{ord(letter):02x})" for letter in "writeKey")
_write_key = re.compile(
    rf"""({_name}["']?\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,&}}\]]*)""".encode(), re.DOTALL | re.IGNORECASE
)


class Acceptance(NamedTuple):
    """An event that was accepted.

    Attributes
    ----------
    event
        The event that is written to ``events``.
    warnings
        Warnings about details that do not count.
    details
        Dead letters that keep some of these details.
    """

    event: Event
    warnings: list[EventWarning]
    details: list[Output]


class Refusal(NamedTuple):
    """An event that was refused.

    Attributes
    ----------
    error
        The reason; it carries the first of ``withdrawals``.
    output
        The dead letter.
    withdrawals
        Withdrawals of consent that could still be read in the event. They are still written to ``events``.
    """

    error: InvalidEvent
    output: Output
    withdrawals: list[Event]


Verdict = Acceptance | Refusal


class Arrival(NamedTuple):
    """A request with events, as far as it is known before the events are read.

    Attributes
    ----------
    body
        The body as it was sent; it is kept if an event of it cannot be serialized.
    received_at
        Time of arrival, milliseconds.
    origin
        The most live origin that the events can have.
    admission
        The trust in the events.
    item_keys
        Write keys of the events of a batch, in the order of the batch; empty if no event has a key.
    """

    body: bytes
    received_at: int
    origin: Origin = "live"
    admission: Admission = Admission(WriteKeys(), "server")
    item_keys: Sequence[object] = ()


class Intake:
    """The code that turns bodies into events.

    Write keys are removed when a body is parsed, and are cut out of everything that is kept of a refused event. The
    reason is that some people may read dead letters but have no key.

    An event without a ``messageId`` gets one from its place of arrival: the instance of this door, and a number that
    counts up. So the id is neither random nor made from the content, and no two ids are equal. The door cannot know
    whether a request is a client's second attempt. Clients that repeat requests send a ``messageId``, as every Segment
    SDK does.

    Parameters
    ----------
    instance
        A name that no other door has, and that this door does not have again after a restart.
    trust_browser_orders
        Whether purchases and refunds from browser keys are trusted like those from the shop's server.
    in_use
        Returns the configuration of the log, which says how late an event may arrive.
    """

    def __init__(
        self, instance: str, *, trust_browser_orders: bool = False, in_use: lateness.InUse = lateness.unknown
    ) -> None:
        self._instance = instance
        self._in_use = in_use
        self._trust_browser_orders = trust_browser_orders
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"Intake({self._instance!r}, trust_browser_orders={self._trust_browser_orders})"

    def source(self) -> Source:
        """Return the place of the next record that arrives."""
        return Source(f"door:{self._instance}", 0, next(self._numbers))

    def parse(self, body: bytes) -> tuple[dict[str, Any], BodyKeys]:
        """Parse a body, and remove its write keys.

        Returns
        -------
        dict, BodyKeys
            The body without its keys, and the keys.

        Raises
        ------
        InvalidEvent
            The body is not a JSON object.
        """
        try:
            raw = orjson.loads(without_mark(body))
        except orjson.JSONDecodeError as error:
            begin = ascii(_without_write_key(body[:MAX_EXCERPTED_BYTES])[:60].decode("utf-8", "backslashreplace"))
            raise InvalidEvent("bad_json", "", begin, f"a JSON object ({error})") from None
        if not isinstance(raw, dict):
            raise InvalidEvent("not_an_object", "", type(raw).__name__, "a JSON object")
        return raw, take_keys(raw)

    def refuse(self, body: bytes, error: InvalidEvent, received_at: int, length: int | None = None) -> Refusal:
        """Refuse a whole body in which nothing can be read.

        Parameters
        ----------
        body
            The body, or its beginning.
        error
            The reason.
        received_at
            Time of arrival, milliseconds.
        length
            Length of the whole body, bytes, if only its beginning was read.
        """
        kept = _without_write_key(body)
        return Refusal(error, reject_value(kept, self.source(), error, at=received_at, length=length), [])

    def refuse_parsed(self, raw: dict[str, Any], call: str | None, arrival: Arrival, error: InvalidEvent) -> Refusal:
        """Refuse a whole body that was parsed, except for the withdrawals of consent in it.

        Parameters
        ----------
        raw
            The parsed body.
        call
            The call that the address stands for, see :meth:`one`; ``None`` for a batch.
        arrival
            The request.
        error
            The reason.
        """
        if call is None:
            items = raw.get("batch")
            read = self._received(items if isinstance(items, list) else [], arrival)
        else:
            read = self._received([{**raw, "type": raw.get("type") or call}], arrival._replace(item_keys=()))
        found = [withdrawal for item, received in read if (withdrawal := withdrawal_in(item, received)) is not None]
        if found:
            error.withdrawal = found[0]
        received = Received(self.source(), arrival.received_at, arrival.origin, arrival.admission.trust)
        return _refusal(arrival.body, received, error)._replace(withdrawals=found)

    def one(self, raw: dict[str, Any], call: str, arrival: Arrival) -> Verdict:
        """Judge one event that was sent to its own address.

        Parameters
        ----------
        raw
            The parsed body; the short form (with ``user``) is read at any address.
        call
            The call of the Segment spec that the address stands for; it is the event's type.
        arrival
            The request.
        """
        if raw.get("user") is None:
            said = raw.get("type")
            if said is not None and said != call:
                error = InvalidEvent("bad_type", "type", fields.shown(said), f"{call}, or no type, at /v1/{call}")
                return self.refuse_parsed(raw, call, arrival, error)
            raw = {**raw, "type": call}
        ((item, received),) = self._received([raw], arrival._replace(item_keys=()))
        return self._judge(item, received, _Body(arrival.body))

    def batch(self, raw: dict[str, Any], arrival: Arrival) -> list[Verdict]:
        """Judge each event of a batch separately.

        Raises
        ------
        InvalidEvent
            The body is not a batch.
        """
        items = raw.get("batch")
        if not isinstance(items, list):
            raise InvalidEvent("missing_field", "batch", type(items).__name__, "a list of events")
        if len(items) > MAX_BATCH_EVENTS:
            raise InvalidEvent("bad_batch", "batch", f"{len(items)} events", f"at most {MAX_BATCH_EVENTS:,} events")
        # Segment's libraries state once, for the whole batch, when it was sent. This statement is copied into every
        # event. So a value that is not a time must not be long.
        sent_at = raw.get("sentAt")
        if isinstance(sent_at, list | dict) or (isinstance(sent_at, str) and len(sent_at) > MAX_TIME_LENGTH):
            sent_at = fields.shown(sent_at)[:MAX_TIME_LENGTH]
        whole = _Body(arrival.body)
        return [
            self._judge(_with_sent_at(item, sent_at), received, whole)
            for item, received in self._received(items, arrival)
        ]

    def _received(self, items: Sequence[Any], arrival: Arrival) -> Iterable[tuple[Any, Received]]:
        """Yield each event of a request with the circumstances in which it was received."""
        keys = arrival.item_keys or itertools.repeat(None)
        for item, key in zip(items, keys, strict=False):
            yield item, Received(self.source(), arrival.received_at, arrival.origin, arrival.admission.of(key))

    def _judge(self, item: Any, received: Received, body: _Body) -> Verdict:
        try:
            content = orjson.dumps(item)
        except orjson.JSONEncodeError:  # orjson has parsed the item, so only its depth can be wrong
            error = InvalidEvent("too_deep", "", "deeper nesting", f"at most {MAX_LEVELS} levels")
            error.withdrawal = withdrawal_in(item, received)
            return _refusal(body.kept_for(received.source), received, error)
        warnings: list[EventWarning] = []
        try:
            if not isinstance(item, dict):
                raise InvalidEvent("not_an_object", "", type(item).__name__, "a JSON object")
            if len(content) > MAX_EVENT_BYTES:
                _check_size(item, len(content))
            event = convert(item, received, size=len(content), warnings=warnings)
            lateness.check(event, received.at, self._in_use)
        except InvalidEvent as error:
            if error.withdrawal is None:  # the door itself refused it
                error.withdrawal = withdrawal_in(item, received)
            return _refusal(content, received, error)
        if not warnings:
            return Acceptance(self._trusted(event), warnings, [])
        details = reject_details(_without_write_key(content), received.source, warnings, at=received.at)
        return Acceptance(self._trusted(event), warnings, details)

    def _trusted(self, event: Event) -> Event:
        if self._trust_browser_orders and event.trust == "public" and event.type in _ORDERS:
            return msgspec.structs.replace(event, trust="server")
        return event


class _Body:
    """The body of a request: kept with the first event that needs it, and only referred to by the others.

    The reason is that a batch may hold a thousand events that cannot be serialized. A thousand copies of the body would
    flood the dead letters.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._kept: Source | None = None

    def kept_for(self, source: Source) -> bytes:
        if self._kept is not None:
            return f"part of the body that {self._kept.id} shows".encode()
        self._kept = source
        return self._content


def _check_size(item: dict[str, Any], size: int) -> None:
    """Refuse an event that is too large. An order may be larger, because it may have many lines."""
    lines, properties = item.get("lines"), item.get("properties")
    if lines is None and isinstance(properties, dict):
        lines = properties.get("products")
    most = MAX_ORDER_BYTES if isinstance(lines, list) else MAX_EVENT_BYTES
    if size > most:
        raise InvalidEvent("too_large", "", f"{size} bytes", EVENT_SIZE_ALLOWED)


def _refusal(content: bytes, received: Received, error: InvalidEvent) -> Refusal:
    letter = reject_received(_without_write_key(content), received, error)
    return Refusal(error, letter, [] if error.withdrawal is None else [error.withdrawal])


def _without_write_key(content: bytes) -> bytes:
    return _write_key.sub(rb'\1""', content)


def _with_sent_at(item: Any, sent_at: Any) -> Any:
    if sent_at is None or not isinstance(item, dict) or item.get("user") is not None or item.get("sentAt") is not None:
        return item
    return {**item, "sentAt": sent_at}
