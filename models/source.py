"""The place from which a record was received: an offset of a log, a line of a file, a request to the HTTP door.

A record without a ``messageId`` gets its id from its place, never at random and never from its content. So reading the
same place again gives the same id, and two equal records in two places remain two events.
"""

from __future__ import annotations

from typing import NamedTuple

from models.events import Origin, Trust


class Source(NamedTuple):
    """The place that a record was read from.

    Attributes
    ----------
    topic
        Logical name of the topic, or ``file:`` and the file's hash, or ``door:`` and the name of an HTTP door.
    partition
        Partition of the topic; 0 for a file and for a door.
    offset
        Offset of the record; in a file its line, counted from 1; at an HTTP door its sequence number.

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
        """The ``messageId`` of a record that came from here without one."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def line(cls, digest: str, number: int) -> Source:
        """Return the place of a line in a file, by the hash of the file's content and the line's number from 1."""
        return cls(f"file:{digest}", 0, number)


class Received(NamedTuple):
    """The circumstances in which a record was received; they are known before the record is read.

    Attributes
    ----------
    source
        Place of the record; gives the id of a record without a ``messageId``.
    at
        Time of arrival, milliseconds since the epoch. A record without a time gets this time. A record with
        a much later time is refused.
    origin
        The origin that follows from the place of arrival. The record can replace it only by a less live one.
    trust
        Trust in the key that the record came with.
    """

    source: Source
    at: int
    origin: Origin = "live"
    trust: Trust = "server"
