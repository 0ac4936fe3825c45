"""What delivery remembers of a message, and the events that its outcomes become.

A delivery is ``queued`` (it waits for its turn, or for its next attempt), then ``attempted`` (committed *before* the
provider is called), then has a result, or is ``queued`` again where the provider clearly did not take it. One whose
attempt ended without an answer is ``unknown``: it may have been sent, so it is never tried again.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from models.delivery.bounces import Bounce
from models.delivery.messages import Message
from models.errors import StateMismatch
from models.events import Channel, Event, EventType, Origin
from models.units import DAY, SECOND

KEPT = 14 * DAY
"""So long a finished message's id is remembered: one that comes again meanwhile is not sent again."""

FIRST_WAIT = SECOND
"""Before the second attempt, milliseconds; it doubles with every further one."""
LONGEST_WAIT = 300 * SECOND
GIVEN_UP = DAY
"""So long what is not live is tried: its own time is of another clock."""

LOOK_UPS = (10 * SECOND, 60 * SECOND, 600 * SECOND)
"""After an attempt with an unknown end, where the provider can be asked: before each look, milliseconds."""

HEIR_WAITS = 5 * SECOND
"""So long whoever gets a partition waits for a word of the one before about its calls, milliseconds."""

HEIR_WAITS_FOR_CALL = 120 * SECOND
"""And so long for its answer, once it has said that a call is under way. A later one still corrects what is unknown."""

SCHEMA = 1
"""Of :class:`Delivery`; it stands in every record from 2 on."""

Status = Literal["delivered", "failed", "rejected", "unknown", "expired", "withdrawn", "suppressed"]


class Result(NamedTuple):
    """The result of an attempt to hand a message over.

    Attributes
    ----------
    status
        ``delivered``: the provider took it over. ``rejected``: refused for good, such as an address that does not
        exist. ``failed``: clearly refused before it was accepted, so it may be tried again; of a look-up: the provider
        knows nothing of it. ``unknown``: it may or may
        not have been accepted. Further ones are said by delivery itself: ``expired``, its time was over;
        ``withdrawn``, its consent was, while it waited;
        ``suppressed``, its address is on the suppression list.
    detail
        In the provider's words, or where it went.
    provider_id
        The provider's own id of it.
    retry_after
        Of ``failed``: seconds to wait, if the provider said so.
    trouble
        Whether it is the provider that fails, and not this one message: no connection, no answer, too many requests.
    answered
        Of ``unknown``: whether the provider has answered, if only with an error of its own. Where it does not know the
        message after the last look, it never will, and another attempt is safe.
    bounce
        Of a refusal: what it says about the address.
    code
        Of a refusal: the provider's codes alone, such as ``550 5.1.1``, without an address in them.
    called
        Whether the provider was called at all.
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


class Closed(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a message whose outcome stayed unknown, so that a late answer still finds its user.

    Attributes
    ----------
    user, rule, channel, at, origin
        Of the message.
    """

    user: str
    rule: str
    channel: Channel
    at: int
    origin: Origin


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The delivery of one message, stored under the message's id.

    Attributes
    ----------
    status
        Where it stands.
    changed
        Since when, milliseconds of the wall clock.
    since
        When it came.
    attempts
        How many began.
    looks
        How often the provider was asked about an unknown one.
    due
        Not before then it is tried again, or asked about; 0 for at once.
    by
        Who made the attempt: a process of ours knows whether it has called the provider.
    answered
        Of an unknown one: see :class:`Result`.
    message
        As long as it can still be sent, or asked about.
    closed
        Of one that stayed unknown.
    detail
        Of the last attempt.
    stopped
        Why it is not tried again: consent was withdrawn while a call was under way, or its outcome unknown.
    schema
        See ``SCHEMA``.
    """

    status: Literal["queued", "attempted", "delivered", "failed", "rejected", "unknown", "expired", "withdrawn"]
    changed: int
    since: int = 0
    attempts: int = 0
    looks: int = 0
    due: int = 0
    by: str = ""
    answered: bool = False
    message: Message | None = None
    closed: Closed | None = None
    detail: str = ""
    stopped: str = ""
    schema: int = 1


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Delivery)


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


def encode_delivery(delivery: Delivery) -> bytes:
    """JSON, as it stands in ``deliveries.<channel>``."""
    return _encoder.encode(delivery)


def decode_delivery(value: bytes) -> Delivery:
    """Read a record of ``deliveries.<channel>``.

    Raises
    ------
    StateMismatch
        Newer code wrote it.
    """
    try:
        delivery = _decoder.decode(value)
        schema = delivery.schema
    except msgspec.ValidationError:
        schema = _schemas.decode(value).schema
        if schema == SCHEMA:
            raise
    if schema != SCHEMA:
        raise StateMismatch("delivery", schema, SCHEMA)
    return delivery


def outcome(message: Message, result: Result, now: int) -> Event:
    """Say what became of a message, as an event of its user; the same outcome twice has the same id.

    It is stamped with the wall clock where the message is live, and else with the message's own time: the log of a
    replay has its own clock.
    """
    return outcome_of(message.id, closed_of(message), result, now)


def closed_of(message: Message) -> Closed:
    """What is kept of a message when its outcome stays unknown."""
    return Closed(message.user, message.rule, message.channel, message.at, message.origin)


def outcome_of(message_id: str, of: Closed, result: Result, now: int) -> Event:
    """Like :func:`outcome`, of a message of which no more is kept."""
    said: dict[str, object] = {"rule": of.rule}
    if result.provider_id:
        said["provider_id"] = result.provider_id
    kind = _EVENTS[result.status]
    return Event(
        id=f"{message_id}:{kind}",
        user=of.user,
        type=kind,
        at=now if of.origin == "live" else of.at,
        origin=of.origin,
        channel=of.channel,
        message=message_id,
        reason=f"{result.status}: {result.detail}" if kind != "message_sent" else None,
        properties=said,
    )


def deadline(message: Message, since: int) -> int:
    """When a message's time is over, milliseconds of the wall clock.

    Parameters
    ----------
    message
        A live one brings its own end; the others' is of a log with a clock of its own, and they reach nobody anyway.
    since
        When it came to delivery.
    """
    return message.expires if message.origin == "live" else since + GIVEN_UP


def wait_after(message_id: str, attempts: int, retry_after: float | None = None) -> int:
    """Milliseconds from a failed attempt to the next: it doubles, and is spread over its second half.

    The spread follows from the message's id and the number of the attempt, so that recipients of one outage do not all
    come back at once, and that the same attempt always waits for as long.

    Parameters
    ----------
    message_id
        Of the message.
    attempts
        How many there were, from 1.
    retry_after
        Seconds that the provider asked for; it is never asked earlier.

    Examples
    --------
    >>> [wait_after("02c75b5d33db8f4cac395fdd5056bf17", n) for n in (1, 2, 3, 20)]
    [547, 1588, 2762, 197825]
    >>> wait_after("02c75b5d33db8f4cac395fdd5056bf17", 1, retry_after=20.0)
    20000
    """
    longest = min(FIRST_WAIT << min(attempts - 1, 30), LONGEST_WAIT)
    drawn = blake2b(f"{message_id}:{attempts}".encode(), digest_size=4).digest()
    wait = longest // 2 + longest * int.from_bytes(drawn) // 2**33
    return max(wait, int(min(retry_after or 0.0, KEPT / SECOND) * SECOND))
