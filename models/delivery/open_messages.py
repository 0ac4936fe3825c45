"""The messages of a partition that have not ended, by phase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

MAX_OPEN = 5_000
"""Maximum number of a partition's messages that wait or are in flight. At this number, no more messages are read.

A withdrawal that comes after them in the topic waits, too.
"""
MAX_OPEN_BYTES = 16 << 20
"""Maximum total size of a partition's waiting and in-flight messages, bytes."""

Phase = Literal["waiting", "calling", "unknown", "looking_up", "stopped"]
"""``waiting``: for its turn or its next attempt. ``calling``: an attempt is in flight, here or in another process.
``unknown``: its next look-up is scheduled. ``looking_up``: the provider is being asked about it. ``stopped``: it is not
attempted, and will be withdrawn."""


class OpenMessages:
    """An index of open messages by phase, with their users and their total size.

    Examples
    --------
    >>> messages = OpenMessages()
    >>> messages.put(b"m1", "waiting", user="u1", size=100)
    >>> messages.move(b"m1", "calling")
    >>> messages.phase(b"m1"), messages.waiting, list(messages.of_user("u1", "calling"))
    ('calling', 0, [b'm1'])
    """

    def __init__(self) -> None:
        self._phases: dict[bytes, Phase] = {}
        self._users: dict[Phase, dict[bytes, str]] = {phase: {} for phase in get_args(Phase)}
        self._sizes: dict[bytes, int] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        counts = ", ".join(f"{phase}={len(users)}" for phase, users in self._users.items())
        return f"<OpenMessages {counts}, {self._bytes} bytes>"

    @property
    def waiting(self) -> int:
        """Number of messages that wait."""
        return len(self._users["waiting"])

    @property
    def is_full(self) -> bool:
        """Whether no more messages should be read now."""
        return self.waiting + len(self._users["calling"]) >= MAX_OPEN or self._bytes >= MAX_OPEN_BYTES

    def phase(self, key: bytes) -> Phase | None:
        """Return the present phase of a message; ``None`` if it has ended."""
        return self._phases.get(key)

    def of_user(self, user: str, *phases: Phase) -> Iterator[bytes]:
        """Yield the keys of a user's messages in the given phases, in the order in which they entered the phase."""
        for phase in phases:
            yield from [key for key, owner in self._users[phase].items() if owner == user]

    def put(self, key: bytes, phase: Phase, user: str, size: int = 0) -> None:
        """Enter a message, or enter it again in another phase.

        Parameters
        ----------
        key
            Id of the message.
        phase
            Its phase from now on.
        user
            Its user.
        size
            Size of its record, bytes; 0 for a phase whose messages do not count towards :data:`MAX_OPEN_BYTES`.
        """
        self.remove(key)
        self._phases[key] = phase
        self._users[phase][key] = user
        self._sizes[key] = size
        self._bytes += size

    def move(self, key: bytes, phase: Phase) -> None:
        """Move a message to another phase; its size does not change."""
        self._users[phase][key] = self._users[self._phases[key]].pop(key)
        self._phases[key] = phase

    def remove(self, key: bytes) -> None:
        """Remove a message that has ended; do nothing if it is not in the index."""
        phase = self._phases.pop(key, None)
        if phase is not None:
            del self._users[phase][key]
            self._bytes -= self._sizes.pop(key)
