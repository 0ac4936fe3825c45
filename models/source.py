"""Where a record came from: a place in a log, a line of a file, a request to a door.

A record without a ``messageId`` gets its id from here, never at random and never from its content: reading the same
place again gives the same id, and two equal records in two places stay two events.
"""

from __future__ import annotations

from typing import NamedTuple


class Source(NamedTuple):
    """One place that a record was read from.

    Attributes
    ----------
    topic
        Logical topic name, or ``file:`` and the file's hash, or ``door:`` and the door instance's name.
    partition
        Of the topic; 0 elsewhere.
    offset
        Of the record; the line in a file (from 1), the sequence number at a door.

    Examples
    --------
    >>> Source("events.in", 3, 41).id
    'events.in/3/41'
    >>> Source.line("9f86d081884c7d65", 12).id
    'file:9f86d081884c7d65/0/12'
    """

    topic: str
    partition: int
    offset: int

    @property
    def id(self) -> str:
        """The ``messageId`` of a record from here that brought none."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def line(cls, digest: str, number: int) -> Source:
        """Line ``number`` (from 1) of the file whose content has the hash ``digest``."""
        return cls(f"file:{digest}", 0, number)
