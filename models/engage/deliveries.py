"""Messages in flight: what delivery remembers of each, and the events that its outcomes become.

A delivery is ``queued`` (read, nothing tried), then ``attempted`` (committed *before* the provider is called), then has
a result. One that is found ``attempted`` after a crash may or may not have been sent: it is ``unknown``, never tried
again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from models.batch import Batch, Output, Outputs
from models.engage.messages import Message, decode_message
from models.errors import InvalidEvent
from models.events import Event, EventType, encode_event
from models.rejected import reason_of, reject
from models.source import Source
from models.units import DAY

KEPT = 8 * DAY
"""So long a message's id is remembered: longer than ``messages.<channel>`` keeps a record."""

Status = Literal["delivered", "failed", "rejected", "unknown", "expired"]


class Result(NamedTuple):
    """What a provider made of a message.

    Attributes
    ----------
    status
        ``delivered``: the provider took it over. ``rejected``: refused for good, such as an address that does not
        exist. ``failed``: clearly refused before it was accepted, so it may be tried again. ``unknown``: it may or may
        not have been accepted. ``expired``: its time was over.
    detail
        In the provider's words, or where it went.
    provider_id
        The provider's own id of it.
    retry_after
        Of ``failed``: seconds to wait, if the provider said so.
    """

    status: Status
    detail: str = ""
    provider_id: str = ""
    retry_after: float | None = None


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is remembered of one message, under its id.

    Attributes
    ----------
    status
        Where it stands.
    changed
        Since when, milliseconds of the wall clock.
    message
        Until there is a result.
    detail, provider_id
        Of the result.
    """

    status: Literal["queued", "attempted", "delivered", "failed", "rejected", "unknown", "expired"]
    changed: int
    message: Message | None = None
    detail: str = ""
    provider_id: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Delivery)

_EVENTS: dict[Status, EventType] = {
    "delivered": "message_sent",
    "failed": "message_failed",
    "rejected": "message_failed",
    "expired": "message_failed",
    "unknown": "message_unknown",
}


def decode_delivery(value: bytes) -> Delivery:
    """Read a record of ``deliveries.<channel>``."""
    return _decoder.decode(value)


def outcome(message: Message, result: Result, now: int) -> Event:
    """Say what became of a message, as an event of its user; the same outcome twice has the same id.

    It is stamped with the wall clock where the message is live, and else with the message's own time: the log of a
    replay has its own clock.
    """
    said: dict[str, object] = {"rule": message.rule}
    if result.provider_id:
        said["provider_id"] = result.provider_id
    kind = _EVENTS[result.status]
    return Event(
        id=f"{message.id}:{kind}",
        user=message.user,
        type=kind,
        at=now if message.origin == "live" else message.at,
        origin=message.origin,
        channel=message.channel,
        message=message.id,
        reason=f"{result.status}: {result.detail}" if kind != "message_sent" else None,
        properties=said,
    )


def expired(message: Message, now: int) -> bool:
    """Whether a message's time is over.

    The wall clock says nothing about a log with a clock of its own; what is not live reaches nobody anyway.
    """
    return message.origin == "live" and now >= message.expires


class Book:
    """The deliveries of one partition: reads the committed records, and makes the changes to them.

    Parameters
    ----------
    records
        Committed state of the lane, kept current by whoever drives it.
    """

    def __init__(self, records: Mapping[bytes, bytes]) -> None:
        self._records = records
        held = {key: _decoder.decode(value) for key, value in records.items() if key[:1] != b"\x00"}
        self._settled = deque(sorted((one.changed, key) for key, one in held.items() if one.message is None))
        self._unresolved = [one.message for one in held.values() if one.status == "attempted" and one.message]
        self._waiting = deque(one.message for one in held.values() if one.status == "queued" and one.message)

    def resolve(self, now: int) -> Outputs:
        """Settle the attempts without a result that were found at the start: nobody knows whether they were sent."""
        outputs = Outputs()
        for message in self._unresolved:
            self.settle(message, Result("unknown", "the process ended between attempt and result"), outputs, now)
        self._unresolved = []
        return outputs

    def admit(self, batch: Batch, now: int) -> Outputs:
        """Queue what is new in a batch; reject what is no message, forget what was settled long ago."""
        outputs = Outputs()
        for record in batch.records:
            try:
                message = _read(record.value, batch.topic)
            except InvalidEvent as error:
                outputs.records.append(reject(record, Source(batch.topic, batch.partition, record.offset), error))
                _count(outputs, "events_rejected", reason_of(error))
                continue
            key = message.id.encode()
            if key in self._records or key in outputs.state:
                _count(outputs, "deliveries", message.channel, "duplicate")
                continue
            outputs.state[key] = _encoder.encode(Delivery(status="queued", changed=now, message=message))
            self._waiting.append(message)
        while self._settled and self._settled[0][0] + KEPT < now:
            outputs.state[self._settled.popleft()[1]] = None
        return outputs

    def attempt(self, outputs: Outputs, now: int, most: int) -> list[Message]:
        """Take the next messages to hand over, at most ``most``; those whose time is over are settled instead."""
        taken: list[Message] = []
        while self._waiting and len(taken) < most:
            message = self._waiting.popleft()
            if expired(message, now):
                self.settle(message, Result("expired", "not sent within its allowed window"), outputs, now)
                continue
            attempted = Delivery(status="attempted", changed=now, message=message)
            outputs.state[message.id.encode()] = _encoder.encode(attempted)
            taken.append(message)
        return taken

    def settle(self, message: Message, result: Result, outputs: Outputs, now: int) -> None:
        """Note a result and tell the user's log."""
        key = message.id.encode()
        settled = Delivery(
            status=result.status, changed=now, detail=result.detail[:300], provider_id=result.provider_id
        )
        outputs.state[key] = _encoder.encode(settled)
        event = outcome(message, result, now)
        outputs.records.append(Output("outcomes", message.user.encode(), encode_event(event)))
        _count(outputs, "deliveries", message.channel, "sent" if result.status == "delivered" else result.status)
        self._settled.append((now, key))


def _read(value: bytes | None, topic: str) -> Message:
    try:
        message = decode_message(value or b"")
    except msgspec.DecodeError as error:
        raise InvalidEvent("bad_message", "", str(error), "a message as the fold writes it") from None
    if topic != f"messages.{message.channel}":
        raise InvalidEvent("bad_channel", "channel", message.channel, f"the channel of {topic}")
    return message


def _count(outputs: Outputs, *key: str) -> None:
    outputs.counts[key] = outputs.counts.get(key, 0) + 1
