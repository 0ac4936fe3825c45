"""Running of a command's coroutine, so that it can clean up after Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end.

    SIGINT (Ctrl-C) or SIGTERM cancels the coroutine, so that it can clean up. Then the command ends with code 130.
    """

    async def until_signal() -> _T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(until_signal())
    except asyncio.CancelledError:
        raise typer.Abort from None
