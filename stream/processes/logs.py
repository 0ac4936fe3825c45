"""Readable logs of a worker: when a broker restarts, aiokafka repeats the same message thousands of times."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

NOISY = ("aiokafka", "faust", "mode", "asyncio")
EXPECTED = ("NotEnoughReplicasError",)
"""Errors that are never shown: Kafka refuses the first write after a transaction with them, and aiokafka retries."""
MAX_MESSAGES = 1_000
"""Maximum number of different messages that the filter remembers."""


class RateLimitFilter(logging.Filter):
    """Filter that passes each message of the noisy loggers once in ``every_s`` seconds, and counts the others.

    Parameters
    ----------
    every_s
        Minimum number of seconds between two equal messages.
    clock
        Monotonic clock, seconds.
    """

    def __init__(self, every_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._seen: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide whether to show a message."""
        if not record.name.startswith(NOISY):
            return True
        if any(expected in record.getMessage() for expected in EXPECTED):
            return False
        place = (record.name, record.msg)
        now = self._clock()
        last, held_back = self._seen.get(place, (-self._every_s, 0))
        if now - last < self._every_s:
            self._seen[place] = (last, held_back + 1)
            return False
        if len(self._seen) > MAX_MESSAGES:
            self._seen.clear()  # some library formats its messages itself, so that no two are equal
        self._seen[place] = (now, 0)
        if held_back:
            record.msg = f"{record.getMessage()} (and {held_back} more like it)"
            record.args = ()
        return True


def set_up_logging(level: int | str = logging.INFO) -> None:
    """Set up logging to standard error with a :class:`RateLimitFilter`, in place of any earlier set-up."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(RateLimitFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Faust and mode log about each of their services at INFO.
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
