"""Keeping a worker's log readable: a broker's restart makes aiokafka say the same thing thousands of times."""

from __future__ import annotations

import logging
import time

NOISY = ("aiokafka", "faust", "mode", "asyncio")
EXPECTED = ("NotEnoughReplicasError",)
"""Kafka answers so to the first produce after a transaction, and aiokafka retries: nothing is wrong."""
MESSAGES = 1_000


class Sparing(logging.Filter):
    """Lets each message of the noisy loggers through once in ``every_s`` seconds, and counts what it holds back."""

    def __init__(self, every_s: float = 5.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._seen: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show it."""
        if not record.name.startswith(NOISY):
            return True
        if any(expected in record.getMessage() for expected in EXPECTED):
            return False
        place = (record.name, record.msg)
        now = time.monotonic()
        last, held_back = self._seen.get(place, (-self._every_s, 0))
        if now - last < self._every_s:
            self._seen[place] = (last, held_back + 1)
            return False
        if len(self._seen) > MESSAGES:
            self._seen.clear()  # somebody formats before logging: no two messages are the same
        self._seen[place] = (now, 0)
        if held_back:
            record.msg = f"{record.getMessage()} (and {held_back} more like it)"
            record.args = ()
        return True


def set_up_logging(level: int | str = logging.INFO) -> None:
    """Log to standard error, sparingly; replaces what was set up before."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Sparing())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Faust and mode tell about every one of their services at INFO.
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
