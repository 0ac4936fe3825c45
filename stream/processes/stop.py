"""Ending in order: SIGTERM and SIGINT as something to wait for."""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Set when this process shall end; may be set inside a signal handler.

    (``threading.Event`` may not: its lock is not reentrant, so a signal during ``wait`` could block for ever.)
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Ask for the end."""
        self._asked.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it; whether it came."""
        try:
            self._asked.get(timeout=timeout)
        except queue.Empty:
            return False
        self._asked.put(None)  # for whoever waits beside us, or again
        return True


@contextmanager
def stop_requested(request: StopRequest | None = None) -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request that the caller waits for, instead of an exception somewhere.

    Only in the main thread: Python delivers signals there.
    """
    asked = request or StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
