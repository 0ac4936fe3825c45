"""Errors that end a run of a lane because of the content of its log.

::

    PerennialError
    ├── LogEndsBefore        the position is after the end of the log
    ├── PositionOutOfRange   the log has no record at the position
    └── RecordsGone          retention deleted records before they were read (reported, and does not end the run)
"""

from __future__ import annotations

from models.errors import PerennialError


class LogEndsBefore(PerennialError):
    """The position to read next is after the end of the log, so this is not the log that was read before.

    If the lane continued, it would silently skip everything up to that position. So it refuses to read until a person
    has decided.

    Parameters
    ----------
    topic, partition
        The log.
    position
        Committed offset of the next record to read.
    end
        Offset after the last record; ``None`` if it is only known to be before the position.
    """

    def __init__(self, topic: str, partition: int, position: int, end: int | None) -> None:
        self.topic = topic
        self.partition = partition
        self.position = position
        self.end = end
        where = "before that" if end is None else f"at {end}"
        super().__init__(
            f"{topic}[{partition}]: the next offset to read is {position}, but the log ends {where}; restore that log, "
            f"or delete what was kept of it (its state topic, or its group's offsets) and start again"
        )


class PositionOutOfRange(PerennialError):
    """The log has no record at the position to read next, so the lane must compare the position with the log again.

    aiokafka would continue at the beginning, and skip records silently.

    Parameters
    ----------
    topic, partition
        The log.
    """

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        super().__init__(f"{topic}[{partition}] has no record at the next offset to read")


class RecordsGone(PerennialError):
    """The broker deleted records before they were read.

    Parameters
    ----------
    topic, partition
        The log.
    position
        Committed offset of the next record to read.
    start
        Offset of the first record that is still stored.
    """

    def __init__(self, topic: str, partition: int, position: int, start: int) -> None:
        self.topic = topic
        self.partition = partition
        self.position = position
        self.start = start
        super().__init__(
            f"{topic}[{partition}]: the next offset to read is {position}, but the log begins at {start}; the topic's "
            f"retention deleted the records between before they were read, and they are lost"
        )
