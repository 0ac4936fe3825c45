"""What travels beside the messages in ``messages.<channel>``: it concerns those that still wait.

The order in the partition says which: a withdrawal stops the user's messages before it, and none behind it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

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
    """What the provider answered to an attempt, told by a process that has lost the partition to whoever has it now.

    Attributes
    ----------
    message, channel
        Its id, and how it went.
    attempt
        Number of the attempt, from 1: about another one it says nothing.
    status, detail, provider_id, retry_after, answered
        As in :class:`models.engage.deliveries.Result`.
    """

    message: str
    channel: Channel
    attempt: int
    status: Literal["delivered", "failed", "rejected", "unknown"]
    detail: str = ""
    provider_id: str = ""
    retry_after: float | None = None
    answered: bool = False


Notice = Withdrawal | Resolution | Hold | Answer

HOLD_KEY = b"\x00hold"
"""Key of a :class:`Hold`, which is about nobody in particular; the others stand under their user's."""

_BEGINNING = b'{"notice":'
_ANSWER = _BEGINNING + b'"answer",'
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Notice)


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


def is_answer(value: bytes | None) -> bool:
    """Whether a record of ``messages.<channel>`` is an :class:`Answer`, which no fold has said.

    Examples
    --------
    >>> is_answer(encode_notice(Answer(message="02c7", channel="email", attempt=1, status="delivered")))
    True
    >>> is_answer(encode_notice(Hold(paused=True)))
    False
    """
    return value is not None and value.startswith(_ANSWER)


def decode_notice(value: bytes) -> Notice | None:
    """Read what :func:`encode_notice` wrote; ``None`` for anything that does not begin like it.

    Raises
    ------
    msgspec.DecodeError
        It begins like a notice, and is none.
    """
    notice: Notice | None = _decoder.decode(value) if is_notice(value) else None
    return notice
