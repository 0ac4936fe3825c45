"""From the body of a request to events and refusals; what the door decides before it asks Kafka."""

from __future__ import annotations

import itertools
import re
from typing import Any, NamedTuple

import msgspec
import orjson

from models.batch import Output
from models.encoding import without_mark
from models.errors import EventWarning, InvalidEvent
from models.events import Event, Origin, Trust
from models.rejected import mark, reject_details, reject_value
from models.source import Source
from models.wire import RECORD_BYTES, convert, fields, withdrawal_in
from stream.collector import lateness
from stream.collector.write_keys import Admission, WriteKeys

EVENT_BYTES = 32_768
"""Maximum bytes of one event, as the Segment spec limits it."""
ORDER_BYTES = RECORD_BYTES
"""Maximum bytes of an event that has the lines of an order."""
EVENT_SIZE_ALLOWED = f"at most {EVENT_BYTES:,} bytes an event, {ORDER_BYTES:,} bytes an order"
"""The limits of one event, in words."""
BATCH_BYTES = 4 * 1024 * 1024
"""Maximum bytes of the body of a batch."""
BATCH_EVENTS = 2_500
"""Events in a batch."""
LEVELS = 254
"""Of objects and lists in each other, as far as orjson writes them; it reads deeper ones."""
SHOWN_OF = 4_096
"""Bytes of a body from which an excerpt is made; the rest of a long one takes time, and is not shown."""
TIME_CHARACTERS = 64
"""No time is longer."""
ORIGIN_ALLOWED = "an origin only from a server key: everybody can read a browser key"
"""Why an event with a browser key may not name its origin, in words."""

_ORDERS = frozenset({"purchase", "refund"})

# Also where the JSON around it is broken, its name is spelled with escapes, or a form's body came by mistake.
_name = "".join(rf"(?:{letter}|\\u00{ord(letter):02x})" for letter in "writeKey")
_write_key = re.compile(
    rf"""({_name}["']?\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,&}}\]]*)""".encode(), re.DOTALL | re.IGNORECASE
)


class Acceptance(NamedTuple):
    """An event that was taken.

    Attributes
    ----------
    event
        What is written to ``events``.
    warnings
        Details that do not count.
    details
        Dead letters for those of them that are kept.
    """

    event: Event
    warnings: list[EventWarning]
    details: list[Output]


class Refusal(NamedTuple):
    """An event that was not taken: why, and what the dead letter topic says about it.

    Attributes
    ----------
    error
        Why; it carries the first of ``withdrawals``.
    output
        The dead letter.
    withdrawals
        Withdrawals of consent that could still be read in it: they are written to ``events`` all the same.
    """

    error: InvalidEvent
    output: Output
    withdrawals: list[Event]


Verdict = Acceptance | Refusal


class Arrival(NamedTuple):
    """A request with events, as far as it is known before they are read.

    Attributes
    ----------
    body
        As it came; kept of an event that cannot be written down again.
    received_at
        When it came, milliseconds.
    origin
        The most live origin that its events can have.
    admission
        How far its events are trusted.
    """

    body: bytes
    received_at: int
    origin: Origin = "live"
    admission: Admission = Admission(WriteKeys(), "server")


class Intake:
    """Turns bodies into events.

    A write key is taken out before anything is judged, and cut out of all that is kept of what was refused: dead
    letters are read by more people than keys are given to.

    An event without a ``messageId`` gets one from where it came in: this door's instance and a number that counts up.
    So it is neither random nor made from the content, and no two are alike. (What cannot be known here is whether a
    request is a client's second attempt: clients that repeat send a ``messageId``, as every Segment SDK does.)

    Parameters
    ----------
    instance
        A name that no other door has, and this one not after a restart.
    trust_browser_orders
        Whether purchases and refunds from browser keys are trusted like those from the shop's server.
    in_use
        Gives the configuration of the log, which says how late an event may come.
    """

    def __init__(
        self, instance: str, *, trust_browser_orders: bool = False, in_use: lateness.InUse = lateness.unknown
    ) -> None:
        self._instance = instance
        self._in_use = in_use
        self._trust_browser_orders = trust_browser_orders
        self._numbers = itertools.count(1)

    def source(self) -> Source:
        """Place of the next thing that comes in."""
        return Source(f"door:{self._instance}", 0, next(self._numbers))

    def refuse(self, body: bytes, error: InvalidEvent, received_at: int, length: int | None = None) -> Refusal:
        """Refuse a whole body of which nothing can be read; of one that is longer, its beginning and its ``length``."""
        kept = _without_write_key(body)
        return Refusal(error, reject_value(kept, self.source(), error, at=received_at, length=length), [])

    def refuse_parsed(self, raw: dict[str, Any], call: str | None, arrival: Arrival, error: InvalidEvent) -> Refusal:
        """Refuse a whole body that was parsed, except the withdrawals of consent in it.

        Parameters
        ----------
        raw
            The body.
        call
            The address, as for :meth:`one`; ``None`` for a batch.
        arrival
            The request.
        error
            Why.
        """
        items = raw.get("batch") if call is None else [{**raw, "type": raw.get("type") or call}]
        found = []
        for item in items if isinstance(items, list) else []:
            trust = arrival.admission.of(item.get("writeKey")) if isinstance(item, dict) else "public"
            withdrawal = _withdrawal(item, self.source(), arrival, trust)
            if withdrawal is not None:
                found.append(withdrawal)
        if found:
            error.withdrawal = found[0]
        return _refusal(arrival.body, self.source(), error, arrival, arrival.admission.trust)._replace(
            withdrawals=found
        )

    def parse(self, body: bytes) -> dict[str, Any]:
        """Read a body; raises :class:`InvalidEvent` where it is no JSON object."""
        try:
            raw = orjson.loads(without_mark(body))
        except orjson.JSONDecodeError as error:
            begin = ascii(_without_write_key(body[:SHOWN_OF])[:60].decode("utf-8", "backslashreplace"))
            raise InvalidEvent("bad_json", "", begin, f"a JSON object ({error})") from None
        if not isinstance(raw, dict):
            raise InvalidEvent("not_an_object", "", type(raw).__name__, "a JSON object")
        return raw

    def one(self, raw: dict[str, Any], call: str, arrival: Arrival) -> Verdict:
        """Judge one event that was sent to its own address.

        Parameters
        ----------
        raw
            Its body, read; the short form (with ``user``) is read at any address.
        call
            The address: a call of the Segment spec, which is the event's type.
        arrival
            The request.
        """
        if raw.get("user") is None:
            said = raw.get("type")
            if said is not None and said != call:
                error = InvalidEvent("bad_type", "type", fields.shown(said), f"{call}, or nothing, at /v1/{call}")
                return self.refuse_parsed(raw, call, arrival, error)
            raw = {**raw, "type": call}
        return self._judge(raw, arrival, _Body(arrival.body))

    def batch(self, raw: dict[str, Any], arrival: Arrival) -> list[Verdict]:
        """Judge the events of a batch, each by itself; raises :class:`InvalidEvent` where it is no batch at all."""
        items = raw.get("batch")
        if not isinstance(items, list):
            raise InvalidEvent("missing_field", "batch", type(items).__name__, "a list of events")
        if len(items) > BATCH_EVENTS:
            raise InvalidEvent("bad_batch", "batch", f"{len(items)} events", f"at most {BATCH_EVENTS:,} events")
        # Segment's libraries say once, for the whole batch, when it was sent. It goes into every event, so what is no
        # time must not be long there.
        sent_at = raw.get("sentAt")
        if isinstance(sent_at, list | dict) or (isinstance(sent_at, str) and len(sent_at) > TIME_CHARACTERS):
            sent_at = fields.shown(sent_at)[:TIME_CHARACTERS]
        whole = _Body(arrival.body)
        return [self._judge(_with_sent_at(item, sent_at), arrival, whole) for item in items]

    def _judge(self, item: Any, arrival: Arrival, body: _Body) -> Verdict:
        source, trust = self.source(), arrival.admission.trust
        if isinstance(item, dict):
            trust = arrival.admission.of(item.pop("writeKey", None))
        try:
            content = orjson.dumps(item)
        except orjson.JSONEncodeError:  # orjson has read it itself, so nothing else can be wrong with it
            error = InvalidEvent("too_deep", "", "deeper nesting", f"at most {LEVELS} levels")
            error.withdrawal = _withdrawal(item, source, arrival, trust)
            return _refusal(body.kept_for(source), source, error, arrival, trust)
        warnings: list[EventWarning] = []
        try:
            if not isinstance(item, dict):
                raise InvalidEvent("not_an_object", "", type(item).__name__, "a JSON object")
            if len(content) > EVENT_BYTES:
                _check_size(item, len(content))
            event = convert(
                item,
                source=source,
                received_at=arrival.received_at,
                origin=arrival.origin,
                trust=trust,
                warnings=warnings,
                size=len(content),
            )
            lateness.check(event, arrival.received_at, self._in_use)
        except InvalidEvent as error:
            if error.withdrawal is None:  # the door itself has refused it
                error.withdrawal = _withdrawal(item, source, arrival, trust)
            return _refusal(content, source, error, arrival, trust)
        kept = _without_write_key(content) if warnings else b""
        details = reject_details(kept, source, warnings, at=arrival.received_at)
        return Acceptance(self._trusted(event), warnings, details)

    def _trusted(self, event: Event) -> Event:
        if self._trust_browser_orders and event.trust == "public" and event.type in _ORDERS:
            return msgspec.structs.replace(event, trust="server")
        return event


class _Body:
    """The body of a request; kept with the first event that needs it, and named by the others.

    A batch holds a thousand events that cannot be written down; a thousand bodies would be a flood of dead letters.
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
    most = ORDER_BYTES if isinstance(lines, list) else EVENT_BYTES
    if size > most:
        raise InvalidEvent("too_large", "", f"{size} bytes", EVENT_SIZE_ALLOWED)


def _withdrawal(item: Any, source: Source, arrival: Arrival, trust: Trust) -> Event | None:
    return withdrawal_in(item, source=source, received_at=arrival.received_at, origin=arrival.origin, trust=trust)


def _refusal(content: bytes, source: Source, error: InvalidEvent, arrival: Arrival, trust: Trust) -> Refusal:
    letter = reject_value(_without_write_key(content), source, error, at=arrival.received_at)
    found = [] if error.withdrawal is None else [error.withdrawal]
    return Refusal(error, mark(letter, arrival.origin, trust), found)


def _without_write_key(content: bytes) -> bytes:
    return _write_key.sub(rb'\1""', content)


def _with_sent_at(item: Any, sent_at: Any) -> Any:
    if sent_at is None or not isinstance(item, dict) or item.get("user") is not None or item.get("sentAt") is not None:
        return item
    return {**item, "sentAt": sent_at}
