"""Content of the records in ``messages.<channel>``: messages, and notices about them."""

from __future__ import annotations

import msgspec

from models.batch import Record
from models.delivery.messages import Message, decode_message
from models.delivery.notices import Notice, decode_notice
from models.errors import InvalidEvent


def read_content(record: Record, topic: str) -> Message | Notice:
    """Read a record of ``messages.<channel>``.

    Raises
    ------
    InvalidEvent
        The record is neither a notice nor a message of this channel.
    """
    value = record.value or b""
    try:
        notice = decode_notice(value)
        if notice is not None:
            return notice
        message = decode_message(value)
    except msgspec.DecodeError as error:
        raise InvalidEvent("bad_message", "", str(error), "a message as the fold writes it") from None
    if topic != f"messages.{message.channel}":
        raise InvalidEvent("bad_channel", "channel", message.channel, f"the channel of {topic}")
    return message
