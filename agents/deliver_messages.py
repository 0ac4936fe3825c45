"""Messages handed to a provider, each at most once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from models.batch import Batch, Outputs, Restored
from models.engage.deliveries import Book, Result
from models.engage.messages import Message

CHUNK = 16
"""Messages attempted in one commit: so many of a partition are unknown at most after a crash."""


async def deliver_messages(
    batches: AsyncIterator[Batch],
    *,
    state: Restored,
    send: Callable[[Message], Awaitable[Result]],
    now: Callable[[], int],
    chunk: int = CHUNK,
) -> AsyncIterator[Outputs]:
    """Deliver each message of ``messages.<channel>``.

    Whoever drives this commits what is yielded before it resumes: an attempt is durable before the provider is called.
    An attempt without a result, found at the start, becomes unknown and is never sent again.

    Parameters
    ----------
    batches
        Of one partition.
    state
        The partition's deliveries; kept current by whoever drives this.
    send
        Hands one message over. It says what became of it and should not raise; where it does, the outcome is unknown.
    now
        The wall clock, milliseconds.
    chunk
        Messages handed over side by side.

    Yields
    ------
    Outputs
        Attempts, followed by effects; then their results and outcomes. So a lane that has to stop can stop behind them.
    """
    book = Book(state.records)
    outputs = book.resolve(now())
    while messages := book.attempt(outputs, now(), chunk):
        yield _before_effects(outputs)
        yield await _handed_over(book, messages, send, now)
        outputs = Outputs()
    if outputs != Outputs():
        yield outputs
    async for batch in batches:
        outputs = book.admit(batch, now())
        while messages := book.attempt(outputs, now(), chunk):
            yield _before_effects(outputs)
            yield await _handed_over(book, messages, send, now)
            outputs = Outputs()
        if outputs != Outputs():
            yield outputs


def _before_effects(outputs: Outputs) -> Outputs:
    outputs.effects = True
    return outputs


async def _handed_over(
    book: Book, messages: list[Message], send: Callable[[Message], Awaitable[Result]], now: Callable[[], int]
) -> Outputs:
    results = await asyncio.gather(*(_outcome(send, message) for message in messages))
    outputs = Outputs()
    for message, result in zip(messages, results, strict=True):
        book.settle(message, result, outputs, now())
    return outputs


async def _outcome(send: Callable[[Message], Awaitable[Result]], message: Message) -> Result:
    try:
        return await send(message)
    except Exception as error:  # noqa: BLE001 - one recipient's failure touches no other; it becomes that one's outcome
        return Result("unknown", f"{type(error).__name__}: {error}")
