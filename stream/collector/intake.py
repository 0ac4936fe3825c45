"""From the body of a request to events and refusals; what the door decides before it asks Kafka."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import orjson

from models.batch import Output
from models.errors import InvalidEvent
from models.events import Event, Origin
from models.rejected import reject_value
from models.source import Source
from models.wire import convert

EVENT_BYTES = 32_768
"""Of one event, as the Segment spec limits it."""
BATCH_BYTES = 512_000
"""Of the body of a batch."""
BATCH_EVENTS = 2_500
"""Events in a batch."""


class Refusal(NamedTuple):
    """An event that was not taken: why, and what the dead letter topic says about it."""

    error: InvalidEvent
    output: Output


Verdict = Event | Refusal


class Intake:
    """Turns bodies into events.

    An event without a ``messageId`` gets one from where it came in: this door's instance and a number that counts up.
    So it is neither random nor made from the content, and no two are alike. (What cannot be known here is whether a
    request is a client's second attempt: clients that repeat send a ``messageId``, as every Segment SDK does.)

    Parameters
    ----------
    instance
        A name that no other door has, and this one not after a restart.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._numbers = itertools.count(1)

    def source(self) -> Source:
        """Place of the next thing that comes in."""
        return Source(f"door:{self._instance}", 0, next(self._numbers))

    def refuse(self, body: bytes, error: InvalidEvent, received_at: int, length: int | None = None) -> Refusal:
        """Refuse a whole body; of one that was not read to its end, its beginning and its ``length``."""
        return Refusal(error, reject_value(body, self.source(), error, at=received_at, length=length))

    def parse(self, body: bytes) -> dict[str, Any]:
        """Read a body; raises :class:`InvalidEvent` where it is no JSON object."""
        try:
            raw = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidEvent("bad_json", "", ascii(body[:60]), f"a JSON object ({error})") from None
        if not isinstance(raw, dict):
            raise InvalidEvent("not_an_object", "", type(raw).__name__, "a JSON object")
        return raw

    def one(self, raw: dict[str, Any], call: str, received_at: int, origin: Origin) -> Verdict:
        """Judge one event that was sent to its own address.

        Parameters
        ----------
        raw
            Its body; the short form (with ``user``) is read at any address.
        call
            The address: a call of the Segment spec, which is the event's type.
        received_at
            Now, milliseconds.
        origin
            What the sender's header leaves of ``live``.
        """
        if raw.get("user") is None:
            said = raw.get("type")
            if said is not None and said != call:
                error = InvalidEvent("bad_type", "type", ascii(said)[:80], f"{call}, or nothing, at /v1/{call}")
                return self.refuse(orjson.dumps(raw), error, received_at)
            raw = {**raw, "type": call}
        return self._judge(raw, received_at, origin)

    def batch(self, raw: dict[str, Any], received_at: int, origin: Origin) -> list[Verdict]:
        """Judge the events of a batch, each by itself; raises :class:`InvalidEvent` where it is no batch at all."""
        items = raw.get("batch")
        if not isinstance(items, list):
            raise InvalidEvent("missing_field", "batch", type(items).__name__, "a list of events")
        if not 0 < len(items) <= BATCH_EVENTS:
            raise InvalidEvent("bad_batch", "batch", f"{len(items)} events", f"1 to {BATCH_EVENTS:,} events")
        # Segment's libraries say once, for the whole batch, when it was sent.
        sent_at = raw.get("sentAt")
        return [self._judge(_with_sent_at(item, sent_at), received_at, origin) for item in items]

    def _judge(self, item: Any, received_at: int, origin: Origin) -> Verdict:
        source = self.source()
        try:
            if not isinstance(item, dict):
                raise InvalidEvent("not_an_object", "", type(item).__name__, "a JSON object")
            size = len(orjson.dumps(item))
            if size > EVENT_BYTES:
                raise InvalidEvent("too_large", "", f"{size} bytes", f"at most {EVENT_BYTES:,} bytes an event")
            item.pop("writeKey", None)
            return convert(item, source=source, received_at=received_at, origin=origin)
        except InvalidEvent as error:
            return Refusal(error, reject_value(orjson.dumps(item), source, error, at=received_at))


def _with_sent_at(item: Any, sent_at: Any) -> Any:
    if sent_at is None or not isinstance(item, dict) or item.get("user") is not None or item.get("sentAt") is not None:
        return item
    return {**item, "sentAt": sent_at}
