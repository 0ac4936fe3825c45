"""A real SMTP server that counts every message id, and has moods."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from aiosmtpd.controller import Controller

Mood = Literal["take", "refuse", "later", "hang", "drop"]
"""``take``: 250. ``refuse``: 550. ``later``: 451. ``hang``: no answer until the mood changes, then 250. ``drop``: the
content is accepted, and the connection is lost before the answer."""

_MESSAGE_ID = re.compile(rb"^Message-ID: <([^@>]+)@", re.MULTILINE | re.IGNORECASE)


class Sink:
    """What the provider of a round has seen.

    Attributes
    ----------
    taken
        How often each message was accepted, answered or not.
    dropped
        Messages that were accepted on a connection that was then lost.
    refused
        How often each message was refused.
    mood
        See :data:`Mood`.
    """

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.dropped: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.mood: Mood = "take"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        found = _MESSAGE_ID.search(envelope.content)
        assert found is not None, "an e-mail without a Message-ID"
        message = found[1].decode()
        mood = self.mood
        if mood == "refuse":
            self.refused[message] += 1
            return "550 not here"
        if mood == "later":
            self.refused[message] += 1
            return "451 not now"
        while self.mood == "hang":  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.05)
        self.taken[message] += 1
        if mood == "drop":
            self.dropped.add(message)
            server.transport.abort()
        return "250 taken"


_S = TypeVar("_S", bound=Sink)


@contextmanager
def listening(port: int, sink: _S) -> Iterator[_S]:
    """Serve in a thread of its own."""
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
