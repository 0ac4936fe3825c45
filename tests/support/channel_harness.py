"""The form of a harness that connects a channel's adapter to a real recipient, which a check can instruct."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import msgspec

from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.events import Channel
from stream.delivery.provider import LastCheck, allow
from tests.support.letters import letter, text_message

TIMEOUT_S = 1.0
"""How long an adapter under test waits for an answer, seconds."""


class Recorded(NamedTuple):
    """Address and text of a message that the recipient accepted."""

    to: str
    text: str


class ChannelHarness(ABC):
    """An adapter, and a recipient that the checks can instruct.

    Parameters
    ----------
    channel
        Channel of the adapter.

    Attributes
    ----------
    channel
        See the parameter.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    @abstractmethod
    async def deliver(self, message: Message, last_check: LastCheck = allow) -> Result:
        """Hand a message to the adapter."""

    @abstractmethod
    def recorded(self) -> list[Recorded]:
        """Return all messages that the recipient accepted."""

    @abstractmethod
    def refused(self) -> Message:
        """Return a message that the recipient refuses permanently."""

    @abstractmethod
    def refusing(self, message: Message) -> AbstractAsyncContextManager[None]:
        """Refuse a message temporarily until the end of the block."""

    def dropping(self, message: Message) -> None:
        """Make the recipient accept a message and close the connection without an answer; only for providers."""
        raise NotImplementedError

    @property
    def drops_repeats(self) -> bool:
        """Whether the recipient drops a message that it has, so that one without an answer may be sent again."""
        return False

    @asynccontextmanager
    async def hanging(self, message: Message) -> AsyncIterator[None]:
        """Leave a message without an answer until the end of the block."""
        yield

    async def reached(self, message: Message) -> None:
        """Wait until a message has reached the recipient."""
        await asyncio.sleep(0)

    def message(self, number: int = 0, **changed: object) -> Message:
        """Make a message of the channel; each number has its own address."""
        sms = text_message(id=letter(number).id, to=f"+4930901820{number}")
        return msgspec.structs.replace(letter(number) if self.channel == "email" else sms, **changed)
