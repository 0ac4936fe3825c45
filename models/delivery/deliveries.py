"""The stored state of a delivery, and the events that its outcomes become.

A delivery is ``queued`` while it waits for its turn or for its next attempt. It becomes ``attempted``, and this status
is committed before the provider is called. Then it has a result, or is ``queued`` again if the provider clearly did not
accept the message. If an attempt ended without an answer, the delivery is ``unknown``. The message may have been sent,
so it is not sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from models.delivery.bounces import Bounce
from models.delivery.messages import Message
from models.errors import StateMismatch
from models.events import Channel, Event, EventType, HandoverNote, Origin
from models.units import DAY, SECOND

RETENTION_MS = 14 * DAY
"""How long the id of a finished message is kept. A message that comes again within this time is not sent again."""

FIRST_RETRY_MS = SECOND
"""Upper bound of the delay before the second attempt. It doubles with every further attempt."""
MAX_RETRY_WAIT_MS = 300 * SECOND
"""Maximum of the doubled delay between two attempts."""
RETRY_FOR_MS = DAY
"""How long messages that are not live are retried. Their expiry refers to another clock."""

LOOKUP_DELAYS_MS = (10 * SECOND, 60 * SECOND, 600 * SECOND)
"""Delays before the look-ups of an unknown delivery, for a provider that can be asked."""

HANDOVER_WAIT_MS = 5 * SECOND
"""How long a partition's new owner waits for the previous owner to report its calls in flight."""
HANDOVER_ANSWER_MS = 120 * SECOND
"""How long the new owner waits for a reported call's outcome. A later outcome still corrects an unknown delivery."""

SCHEMA = 1
"""Version of :class:`DeliveryRecord`. Versions from 2 on are written into every record."""

Status = Literal["delivered", "failed", "rejected", "unknown", "expired", "withdrawn", "suppressed"]
"""Status of a result."""
StoredStatus = Literal["queued", "attempted", "delivered", "failed", "rejected", "unknown", "expired", "withdrawn"]
"""Status of a stored delivery."""


class Result(NamedTuple):
    """The result of an attempt to hand a message over, or of a look-up.

    Attributes
    ----------
    status
        ``delivered``: the provider accepted it. ``rejected``: refused permanently, for example because the address does
        not exist. ``failed``: certainly not accepted, so it may be tried again. A look-up that ends with ``failed``
        means that the provider does not know the message. ``unknown``: it may have been accepted. Delivery itself adds
        three statuses. ``expired``: its deadline has passed. ``withdrawn``: consent was withdrawn while it waited.
        ``suppressed``: its address is on the suppression list.
    detail
        The provider's words, or the place where the message went.
    provider_id
        The provider's id of the message.
    retry_after
        For ``failed``: seconds to wait, if the provider asked for that.
    trouble
        Whether the provider fails, and not only this message: no connection, no answer, too many requests.
    answered
        For ``unknown``: whether the provider answered, even if only with an internal error. If such a provider does not
        know the message at the last look-up, the message was not accepted. Another attempt is then safe.
    bounce
        For a refusal: the class of bounce that it reports for the address.
    code
        For a refusal: the provider's codes alone, such as ``550 5.1.1``, without an address.
    called
        Whether the provider was called at all.
    delays_s
        For ``failed``: the delays after each attempt, if the provider's protocol states them, seconds. The last one
        stays. Empty for the usual delays.
    handed_over
        For ``withdrawn``: whose profile decides again about the message, because its visitor has logged in.
    """

    status: Status
    detail: str = ""
    provider_id: str = ""
    retry_after: float | None = None
    trouble: bool = False
    answered: bool = False
    bounce: Bounce = ""
    code: str = ""
    called: bool = True
    handed_over: HandoverNote | None = None
    delays_s: tuple[float, ...] = ()


class MessageSummary(msgspec.Struct, frozen=True, array_like=True):
    """The part of a message that is kept while its outcome is unknown, so that a late answer can still be reported.

    Attributes
    ----------
    user, rule, channel, at, origin
        As in the message.
    """

    user: str
    rule: str
    channel: Channel
    at: int
    origin: Origin


class DeliveryRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The delivery of one message, stored under the message's id.

    Attributes
    ----------
    status
        State of the delivery.
    changed
        Time of the last change of state, milliseconds of the wall clock.
    since
        Time when the message arrived.
    attempts
        Number of attempts begun.
    looks
        Number of look-ups of an unknown delivery.
    due
        Earliest time of the next attempt or look-up; 0 if it may begin immediately.
    by
        Name of the process that made the attempt. Only that process knows whether it has called the provider.
    answered
        For an unknown delivery: see :class:`Result`.
    message
        The message, as long as it may still be sent or looked up.
    closed
        Summary of a message whose outcome stayed unknown.
    detail
        Detail of the last attempt's result.
    stopped
        Reason why there is no further attempt: consent was withdrawn during a call or while the outcome was unknown, or
        the visitor has logged in. A queued delivery with a reason is withdrawn by the next step.
    known
        The known user who takes a withdrawn message over, because the visitor has logged in; empty otherwise.
    schema
        See ``SCHEMA``.
    unknown, unknown_of_message
        Fields of the record and of its message that only newer code knows. They stay when the record is written again.
    """

    status: StoredStatus
    changed: int
    since: int = 0
    attempts: int = 0
    looks: int = 0
    due: int = 0
    by: str = ""
    answered: bool = False
    message: Message | None = None
    closed: MessageSummary | None = None
    detail: str = ""
    stopped: str = ""
    known: str = ""
    schema: int = 1
    unknown: dict[str, msgspec.Raw] = {}
    unknown_of_message: dict[str, msgspec.Raw] = {}

    @property
    def arrived(self) -> int:
        """The time when the message arrived, milliseconds; records of the first release have only ``changed``."""
        return self.since or self.changed

    @property
    def summary(self) -> MessageSummary | None:
        """The summary of the message; ``None`` if nothing of it is kept."""
        return self.closed if self.message is None else summary_of(self.message)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeliveryRecord)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KNOWN = frozenset(DeliveryRecord.__struct_fields__)
_KNOWN_OF_MESSAGE = frozenset(Message.__struct_fields__)


class _Schema(msgspec.Struct):
    schema: int = 1


_schemas = msgspec.json.Decoder(_Schema)

_EVENTS: dict[Status, EventType] = {
    "delivered": "message_sent",
    "failed": "message_failed",
    "rejected": "message_failed",
    "expired": "message_failed",
    "withdrawn": "message_failed",
    "unknown": "message_unknown",
    "suppressed": "message_suppressed",
}


def encode_delivery(record: DeliveryRecord) -> bytes:
    """Write a record of ``deliveries.<channel>`` as JSON."""
    unknown, of_message = record.unknown, record.unknown_of_message
    if not unknown and not of_message:
        return _encoder.encode(record)
    known = _encoder.encode(msgspec.structs.replace(record, unknown={}, unknown_of_message={}))
    fields = _fields.decode(known) | unknown
    if of_message and record.message is not None:
        fields["message"] = msgspec.Raw(_encoder.encode(_fields.decode(fields["message"]) | of_message))
    return _encoder.encode(fields)


def decode_delivery(value: bytes) -> DeliveryRecord:
    """Read a record of ``deliveries.<channel>``.

    Raises
    ------
    StateMismatch
        Newer code wrote it.
    """
    try:
        record = _decoder.decode(value)
        schema = record.schema
    except msgspec.ValidationError:
        schema = _schemas.decode(value).schema
        if schema == SCHEMA:
            raise
    if schema != SCHEMA:
        raise StateMismatch("delivery", schema, SCHEMA)
    if _encoder.encode(record) == value:
        return record  # nothing is unknown; this comparison costs less than a second decoding
    fields = _fields.decode(value)
    unknown, of_message = _beyond(fields, _KNOWN), {}
    if record.message is not None:
        of_message = _beyond(_fields.decode(fields["message"]), _KNOWN_OF_MESSAGE)
    if unknown or of_message:
        record = msgspec.structs.replace(record, unknown=unknown, unknown_of_message=of_message)
    return record


def _beyond(fields: dict[str, msgspec.Raw], known: frozenset[str]) -> dict[str, msgspec.Raw]:
    """Return the fields that this code does not know."""
    return {name: msgspec.Raw(bytes(content)) for name, content in fields.items() if name not in known}


def summary_of(message: Message) -> MessageSummary:
    """Return the part of a message that is kept while its outcome is unknown."""
    return MessageSummary(message.user, message.rule, message.channel, message.at, message.origin)


def outcome_of(message_id: str, summary: MessageSummary, result: Result, now: int) -> Event:
    """Make the event of a message's outcome, which the fold reads; the same outcome always has the same id.

    The event of a live message has the time of the wall clock. Any other event has the time of its message, because the
    log of a replay has a separate clock.
    """
    properties: dict[str, object] = {"rule": summary.rule}
    if result.provider_id:
        properties["provider_id"] = result.provider_id
    kind = _EVENTS[result.status]
    return Event(
        id=f"{message_id}:{kind}",
        user=summary.user,
        type=kind,
        at=now if summary.origin == "live" else summary.at,
        origin=summary.origin,
        channel=summary.channel,
        message=message_id,
        reason=f"{result.status}: {result.detail}" if kind != "message_sent" else None,
        properties=properties,
        identity=result.handed_over,
    )


def deadline(message: Message, arrived: int) -> int:
    """Return the deadline of a message, milliseconds of the wall clock.

    Parameters
    ----------
    message
        The message. ``expires`` counts only if the message is live; otherwise it does not refer to the wall clock.
    arrived
        When the message arrived at delivery.
    """
    return message.expires if message.origin == "live" else arrived + RETRY_FOR_MS


def wait_after(message_id: str, attempts: int, retry_after: float | None = None, delays_s: Sequence[float] = ()) -> int:
    """Return the delay between a failed attempt and the next one, milliseconds.

    The delay doubles with each attempt, and is shortened by up to one half. The message's id and the number of the
    attempt decide by how much. So messages that failed in one outage are not all tried again at the same moment, and a
    restart does not change the delay.

    Parameters
    ----------
    message_id
        Id of the message.
    attempts
        Number of attempts so far, from 1.
    retry_after
        Seconds that the provider asked for. The next attempt is never earlier.
    delays_s
        See :class:`Result`. Each of these delays is lengthened by up to one tenth.

    Examples
    --------
    >>> [wait_after("02c75b5d33db8f4cac395fdd5056bf17", n) for n in (1, 2, 3, 20)]
    [547, 1588, 2762, 197825]
    >>> wait_after("02c75b5d33db8f4cac395fdd5056bf17", 1, retry_after=20.0)
    20000
    >>> [wait_after("02c75b5d33db8f4cac395fdd5056bf17", n, delays_s=(5.0, 300.0)) for n in (1, 2, 3)]
    [5047, 317662, 311444]
    """
    drawn = int.from_bytes(blake2b(f"{message_id}:{attempts}".encode(), digest_size=4).digest())
    if delays_s:
        stated = int(delays_s[min(attempts, len(delays_s)) - 1] * SECOND)
        return max(stated + stated * drawn // (10 * 2**32), _asked_for(retry_after))
    longest = min(FIRST_RETRY_MS << min(attempts - 1, 30), MAX_RETRY_WAIT_MS)
    return max(longest // 2 + longest * drawn // 2**33, _asked_for(retry_after))


def _asked_for(retry_after: float | None) -> int:
    return int(min(retry_after or 0.0, RETENTION_MS / SECOND) * SECOND)
