"""What travels beside the messages in ``messages.<channel>``: it concerns those that still wait.

The order in the partition says which: a withdrawal stops the user's messages before it, and none behind it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from models.delivery.bounces import Bounce
from models.events import Channel


class Withdrawal(msgspec.Struct, tag_field="notice", tag="withdrawal", frozen=True):
    """A user's consent for the channel was withdrawn: marketing of theirs that waits is not sent.

    Attributes
    ----------
    user
        Whose.
    at
        When, milliseconds.
    reason
        Where it comes from, such as ``unsubscribe link``.
    """

    user: str
    at: int
    reason: str = ""


class Resolution(msgspec.Struct, tag_field="notice", tag="resolution", frozen=True):
    """The provider told by itself what became of a message whose outcome was unknown.

    Attributes
    ----------
    message, channel
        Its id, and how it went.
    status
        What it told.
    """

    message: str
    channel: Channel
    status: Literal["delivered", "rejected"]


class Hold(msgspec.Struct, tag_field="notice", tag="hold", frozen=True):
    """The channel was paused, or resumed: what waits goes on waiting, until its time is over.

    Attributes
    ----------
    paused
        Which of both.
    """

    paused: bool


class Answer(msgspec.Struct, tag_field="notice", tag="answer", frozen=True, omit_defaults=True, kw_only=True):
    """The provider's answer to an attempt, from a process that has lost the partition to the one that has it now.

    Attributes
    ----------
    message, channel
        Its id, and how it went.
    attempt, by
        Number of the attempt, from 1, and who made it: about another one it says nothing.
    status, detail, provider_id, retry_after, answered, bounce, code
        As in :class:`models.delivery.deliveries.Result`.
    """

    message: str
    channel: Channel
    attempt: int
    by: str = ""
    status: Literal["delivered", "failed", "rejected", "unknown", "suppressed"]
    detail: str = ""
    provider_id: str = ""
    retry_after: float | None = None
    answered: bool = False
    bounce: Bounce = ""
    code: str = ""


class UnderWay(msgspec.Struct, tag_field="notice", tag="under_way", frozen=True):
    """A process that has lost the partition still waits for the provider's answer to an attempt; it will tell.

    Attributes
    ----------
    message, attempt, by
        Its id, the number of the attempt, and who made it.
    """

    message: str
    attempt: int
    by: str


ReportKind = Literal["complaint", "hard_bounce", "confirmed_grant"]


class AddressReport(
    msgspec.Struct, tag_field="notice", tag="address_report", frozen=True, omit_defaults=True, kw_only=True
):
    """A trusted source reported something about an address, which concerns every user who has it.

    Attributes
    ----------
    kind
        ``complaint``: the recipient marked a message as spam. ``hard_bounce``: there is no such recipient.
        ``confirmed_grant``: the owner of the address confirmed a grant of marketing.
    address
        E-mail address in its delivery form, or phone number in E.164.
    user
        In whose events it was reported.
    at
        When it happened, milliseconds.
    source
        Who reported it.
    """

    kind: ReportKind
    address: str
    user: str
    at: int
    source: str = ""


class Foreign(msgspec.Struct, tag_field="notice", tag="foreign", frozen=True):
    """A notice of a kind that this code does not know, from a newer one beside it: it is passed over."""


Notice = Withdrawal | Resolution | Hold | Answer | UnderWay | AddressReport | Foreign

HOLD_KEY = b"\x00hold"
"""Key of a :class:`Hold`, which is about nobody in particular; the others stand under their user's."""

_BEGINNING = b'{"notice":'
_FROM_DELIVERY = (_BEGINNING + b'"answer",', _BEGINNING + b'"under_way",')


class _Tag(msgspec.Struct):
    notice: str


_KINDS = frozenset({"withdrawal", "resolution", "hold", "answer", "under_way", "address_report"})
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Notice)
_tags = msgspec.json.Decoder(_Tag)


def encode_notice(notice: Notice) -> bytes:
    """JSON, as it stands in ``messages.<channel>``.

    Examples
    --------
    >>> encode_notice(Hold(paused=True))
    b'{"notice":"hold","paused":true}'
    """
    return _encoder.encode(notice)


def is_notice(value: bytes | None) -> bool:
    """Whether a record of ``messages.<channel>`` is a notice, and no message.

    Examples
    --------
    >>> is_notice(encode_notice(Hold(paused=True))), is_notice(b'{"id":"02c7"}')
    (True, False)
    """
    return value is not None and value.startswith(_BEGINNING)


def is_from_delivery(value: bytes | None) -> bool:
    """Whether a record of ``messages.<channel>`` is what one delivery tells another, which no fold has said.

    Examples
    --------
    >>> is_from_delivery(encode_notice(Answer(message="02c7", channel="email", attempt=1, status="delivered")))
    True
    >>> is_from_delivery(encode_notice(Hold(paused=True)))
    False
    """
    return value is not None and value.startswith(_FROM_DELIVERY)


def decode_notice(value: bytes) -> Notice | None:
    """Read what :func:`encode_notice` wrote; ``None`` for anything that does not begin like it.

    A kind that only newer code knows gives a :class:`Foreign`: while workers are upgraded one by one, old ones read
    what new ones say.

    Raises
    ------
    msgspec.DecodeError
        It begins like a notice, and is none.

    Examples
    --------
    >>> decode_notice(b'{"notice":"of tomorrow","message":"02c7"}')
    Foreign()
    """
    if not is_notice(value):
        return None
    try:
        notice: Notice = _decoder.decode(value)
    except msgspec.ValidationError:
        if _tags.decode(value).notice in _KINDS:
            raise
        return Foreign()
    return notice
