"""Exit codes of our processes, with which supervisors and people recognise why a process ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final, NoReturn

from stream.processes.child import exit_reason

logger = logging.getLogger(__name__)

MISTAKE: Final = 2
"""A user's mistake, such as a bad setting: starting again would not help."""
UNAVAILABLE: Final = 69
"""A dependency of the process, such as Kafka, does not answer: starting again later may help."""
NOT_OWNER: Final = 75
"""The process no longer owns its partitions: start another one."""
SLOW_STOP: Final = 76
"""The process was asked to stop, and did not stop in time."""
STALLED: Final = 77
"""The process did nothing although there was work: start another one."""

_MEANINGS: Mapping[int, str] = {
    MISTAKE: "it refused to start",
    UNAVAILABLE: "what it needs did not answer",
    NOT_OWNER: "it no longer owns its partitions",
    SLOW_STOP: "it did not stop in time",
    STALLED: "it stood still",
}


def why_ended(code: int) -> str:
    """Describe the exit code of one of our processes in words.

    Examples
    --------
    >>> why_ended(75)
    'exit code 75: it no longer owns its partitions'
    >>> why_ended(1), why_ended(-9)
    ('exit code 1', 'killed by SIGKILL')
    """
    meaning = _MEANINGS.get(code)
    return f"{exit_reason(code)}: {meaning}" if meaning else exit_reason(code)


def leave(reason: str, code: int = NOT_OWNER) -> NoReturn:
    """Log the reason, and end this process immediately: without cleaning up, and without leaving its consumer group."""
    logger.error("leaving: %s", reason)
    logging.shutdown()
    os._exit(code)
