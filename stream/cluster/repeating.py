"""Reading a topic for the life of a process: whatever ends one attempt, the next one begins."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

from stream.cluster.admin import SAY_EVERY_S

log = logging.getLogger(__name__)


def _ignore(error: BaseException) -> None:
    del error


async def repeat(
    attempt: Callable[[], Awaitable[None]],
    failing: str,
    *,
    retry_s: float,
    failed: Callable[[BaseException], None] = _ignore,
) -> None:
    """Make attempts until this task is cancelled.

    Parameters
    ----------
    attempt
        Reads until something fails.
    failing
        For the log: what does not work, such as ``the suppression list cannot be read``.
    retry_s
        Wait before the next attempt, seconds.
    failed
        Called with each failure.
    """
    said = _Said()
    while True:
        try:
            await attempt()
        except (KafkaError, OSError, TimeoutError) as error:
            said.warn(failing, error)
            failed(error)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            said.warn(failing, error)  # aiokafka has cancelled a task of its own
            failed(error)
        except Exception as error:
            # A task that ended would leave the process with what it read last, for good.
            log.exception("%s, trying again", failing)
            failed(error)
        await asyncio.sleep(retry_s)


class _Said:
    """Warnings of a failure that goes on: at once, and then once a minute."""

    def __init__(self) -> None:
        self._words = ""
        self._at = 0.0

    def warn(self, failing: str, error: BaseException) -> None:
        now = time.monotonic()
        if type(error).__name__ == self._words and now - self._at < SAY_EVERY_S:
            return
        self._words, self._at = type(error).__name__, now
        log.warning("%s, trying again: %r", failing, error)
