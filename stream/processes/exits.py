"""How processes of ours end: exit codes that supervisors and people can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stream.processes.child import exit_reason

MISTAKE: Final = 2
"""A mistake of the user's, such as a bad setting: starting again would not help."""
UNAVAILABLE: Final = 69
"""Something that it needs, such as Kafka, does not answer: starting again later may help."""
NOT_OWNER: Final = 75
"""Its partitions are somebody else's: start another one."""
SLOW_STOP: Final = 76
"""It was asked to stop, and did not in time."""
STALLED: Final = 77
"""It stood still although there was work: start another one."""

_MEANINGS: Mapping[int, str] = {
    MISTAKE: "it refused to start",
    UNAVAILABLE: "what it needs did not answer",
    NOT_OWNER: "its partitions are somebody else's",
    SLOW_STOP: "it did not stop in time",
    STALLED: "it stood still",
}


def why_ended(code: int) -> str:
    """Put the exit code of a process of ours into words.

    Examples
    --------
    >>> why_ended(75)
    "exit code 75: its partitions are somebody else's"
    >>> why_ended(1), why_ended(-9)
    ('exit code 1', 'killed by SIGKILL')
    """
    meaning = _MEANINGS.get(code)
    return f"{exit_reason(code)}: {meaning}" if meaning else exit_reason(code)
