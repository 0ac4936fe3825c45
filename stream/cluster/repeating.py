"""Repeat the reading of a topic: after any failure, wait and try again, until the task is cancelled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from stream.cluster.admin import LOG_EVERY_S
from stream.cluster.errors import is_kafka_error, name_of

__all__ = ["repeat"]

logger = logging.getLogger(__name__)


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
        Function that reads until something fails.
    failing
        What does not work, for the log, such as ``the suppression list cannot be read``.
    retry_s
        How long to wait before the next attempt, seconds.
    failed
        Called with each failure.
    """
    warnings = _Warnings()
    while True:
        try:
            await attempt()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            warnings.warn(failing, error)  # aiokafka has cancelled one of its tasks
            failed(error)
        except Exception as error:
            if is_kafka_error(error):
                warnings.warn(failing, error)
            else:
                # If the task ended here, the process would use the values that it has read so far forever.
                logger.exception("%s, trying again", failing)
            failed(error)
        await asyncio.sleep(retry_s)


class _Warnings:
    """Warnings of a failure that continues: the first one immediately, then one a minute."""

    def __init__(self) -> None:
        self._kind = ""
        self._at = 0.0

    def warn(self, failing: str, error: BaseException) -> None:
        now = time.monotonic()
        kind = name_of(error)
        if kind == self._kind and now - self._at < LOG_EVERY_S:
            return
        self._kind, self._at = kind, now
        logger.warning("%s, trying again: %r", failing, error)
