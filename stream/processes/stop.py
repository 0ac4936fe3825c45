"""Requests to stop: a thread can wait for SIGTERM and SIGINT."""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Request for this process to end, which may be made inside a signal handler.

    A ``threading.Event`` must not be set there: its lock is not reentrant, so a signal during ``wait`` could block
    forever.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'running' if self._asked.empty() else 'asked to stop'}>"

    def set(self) -> None:
        """Ask the process to end."""
        self._asked.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the request, and return whether it came within ``timeout`` seconds."""
        try:
            self._asked.get(timeout=timeout)
        except queue.Empty:
            return False
        self._asked.put(None)  # for other waiting threads, and for the next call
        return True


@contextmanager
def stop_requested(request: StopRequest | None = None) -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a request that the caller waits for, instead of an exception anywhere.

    This works only in the main thread, because Python delivers signals there.
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
