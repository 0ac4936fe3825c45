"""Notices: records beside the messages in ``messages.<channel>``, about messages that wait or are in flight.

The position of a notice in the partition matters. For example, a withdrawal stops the user's messages before it, and no
message after it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from models.delivery.bounces import Bounce
from models.delivery.deliveries import Result
from models.events import Channel


class Withdrawal(msgspec.Struct, tag_field="notice", tag="withdrawal", frozen=True, omit_defaults=True):
    """A withdrawal of a user's consent for the channel: marketing that waits for this user is not sent.

    It is also written for an anonymous visitor who has logged in. Then such marketing is handed over to the known user.

    Attributes
    ----------
    user
        The user.
    at
        Time of the withdrawal, milliseconds.
    reason
        Origin of the withdrawal, such as ``unsubscribe link``.
    known
        For a visitor who has logged in: the known user. Empty for a withdrawal of consent.
    purpose
        The purpose whose messages are stopped; empty for all marketing.
    """

    user: str
    at: int
    reason: str = ""
    known: str = ""
    purpose: str = ""


class Resolution(msgspec.Struct, tag_field="notice", tag="resolution", frozen=True):
    """The true outcome of a message whose outcome was unknown; the provider reported it without a look-up.

    Attributes
    ----------
    message, channel
        Id of the message, and its channel.
    status
        The outcome that the provider reported.
    """

    message: str
    channel: Channel
    status: Literal["delivered", "rejected"]


class ChannelPaused(msgspec.Struct, tag_field="notice", tag="hold", frozen=True):
    """A pause of the channel, or its end. During a pause messages wait until they expire.

    Attributes
    ----------
    paused
        Whether the channel is paused from now on.
    """

    paused: bool


class Answer(msgspec.Struct, tag_field="notice", tag="answer", frozen=True, omit_defaults=True, kw_only=True):
    """The provider's answer to an attempt, reported by the previous owner of the partition to the new one.

    Attributes
    ----------
    message, channel
        Id of the message, and its channel.
    attempt, by
        Number of the attempt, from 1, and name of the process that made it. The answer does not concern other attempts.
    status, detail, provider_id, retry_after, answered, bounce, code
        As in :class:`models.delivery.deliveries.Result`.
    to
        For a bounce of a live message: the address. The new owner no longer knows it if it has already given the
        message up as unknown.
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
    to: str = ""

    def result(self) -> Result:
        """Return the answer as the result of the attempt."""
        return Result(
            self.status,
            self.detail,
            self.provider_id,
            retry_after=self.retry_after,
            answered=self.answered,
            bounce=self.bounce,
            code=self.code,
        )


class InFlight(msgspec.Struct, tag_field="notice", tag="under_way", frozen=True):
    """A call in flight: the previous owner of the partition still waits for its answer, and will report it.

    Attributes
    ----------
    message, attempt, by
        Id of the message, number of the attempt, and name of the process that made it.
    """

    message: str
    attempt: int
    by: str


ReportKind = Literal["complaint", "hard_bounce", "confirmed_grant"]


class AddressReport(
    msgspec.Struct, tag_field="notice", tag="address_report", frozen=True, omit_defaults=True, kw_only=True
):
    """A report of a trusted source about an address, which concerns every user who has that address.

    Attributes
    ----------
    kind
        ``complaint``: the recipient marked a message as spam. ``hard_bounce``: there is no such recipient.
        ``confirmed_grant``: the owner of the address confirmed a grant of marketing.
    address
        E-mail address in its delivery form, or phone number in E.164.
    user
        The user whose event reported it.
    at
        Time when it happened, milliseconds.
    source
        Origin of the report: the reason, the name or the type of the event.
    """

    kind: ReportKind
    address: str
    user: str
    at: int
    source: str = ""


class UnknownNotice(msgspec.Struct, tag_field="notice", tag="foreign", frozen=True):
    """A notice of a kind that only newer code knows; it has no effect."""


Notice = Withdrawal | Resolution | ChannelPaused | Answer | InFlight | AddressReport | UnknownNotice

HOLD_KEY = b"\x00hold"
"""Key of a :class:`ChannelPaused`, which concerns no particular user. All other notices have the key of their user."""

_BEGINNING = b'{"notice":'


class _Tag(msgspec.Struct):
    notice: str


_KINDS = frozenset({"withdrawal", "resolution", "hold", "answer", "under_way", "address_report"})
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Notice)
_tags = msgspec.json.Decoder(_Tag)


def encode_notice(notice: Notice) -> bytes:
    """Write a notice as JSON, the value of its record in ``messages.<channel>``.

    Examples
    --------
    >>> encode_notice(ChannelPaused(paused=True))
    b'{"notice":"hold","paused":true}'
    """
    return _encoder.encode(notice)


def is_notice(value: bytes | None) -> bool:
    """Return whether a record of ``messages.<channel>`` is a notice, and not a message.

    Examples
    --------
    >>> is_notice(encode_notice(ChannelPaused(paused=True))), is_notice(b'{"id":"02c7"}')
    (True, False)
    """
    return value is not None and value.startswith(_BEGINNING)


def decode_notice(value: bytes) -> Notice | None:
    """Read what :func:`encode_notice` wrote; return ``None`` for a value that does not begin like a notice.

    A kind that only newer code knows gives an :class:`UnknownNotice`. While workers are upgraded one by one, old
    workers read the notices of new ones.

    Raises
    ------
    msgspec.DecodeError
        The value begins like a notice, but is none.

    Examples
    --------
    >>> decode_notice(b'{"notice":"of tomorrow","message":"02c7"}')
    UnknownNotice()
    """
    if not is_notice(value):
        return None
    try:
        notice: Notice = _decoder.decode(value)
    except msgspec.ValidationError:
        if _tags.decode(value).notice in _KINDS:
            raise
        return UnknownNotice()
    return notice
