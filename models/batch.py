"""Batches of one partition, which an agent receives, and the outputs that it yields.

An agent is an async generator over :class:`Batch` that yields :class:`Outputs`. An agent is driven by a lane of
``stream/engine``, or by a test. The driver makes each :class:`Commit` durable, together with the position after the
last batch that was pulled. Then it applies the commit to :class:`Restored`, and only then it resumes the agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Effect = Callable[[], Awaitable[object]]
"""Work outside Kafka, such as a call of a provider. Calling it begins the work; :attr:`Batch.ended` has the result."""


class Record(Protocol):
    """One record of a partition, as any Kafka client shows it."""

    @property
    def offset(self) -> int:
        """Position in the partition."""

    @property
    def timestamp(self) -> int:
        """The broker's timestamp, milliseconds since the epoch."""

    @property
    def key(self) -> bytes | None:
        """Key bytes, if any."""

    @property
    def value(self) -> bytes | None:
        """Value bytes, if any."""


class MadeRecord(NamedTuple):
    """A record that is in no log, or a changed copy of one; see :class:`Record`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Batch(NamedTuple):
    """Consecutive records of one partition.

    Attributes
    ----------
    topic
        Logical topic name, without the installation's prefix.
    partition
        Partition number.
    records
        Records in offset order. A batch without records is a wake-up: a timer is due (:attr:`Outputs.next_due`), an
        effect has ended, or the agent has asked for one. Only agents that have effects receive wake-ups.
    closing
        Whether the partition may soon have another owner. Then no effect may begin.
    ended
        Results of the effects that have ended since the last batch, in the order in which they ended. Each result is
        handed only to the run of the agent that began the effect.
    """

    topic: str
    partition: int
    records: Sequence[Record]
    closing: bool = False
    ended: Sequence[object] = ()


class Output(NamedTuple):
    """One record to write.

    Attributes
    ----------
    topic
        Logical topic name. If the topic table says that this topic is partitioned like the lane's topic, the record
        goes to the lane's partition. Otherwise the partition follows from the key (murmur2).
    key, value
        Bytes; a value of ``None`` is a tombstone.
    """

    topic: str
    key: bytes
    value: bytes | None


@dataclass(slots=True)
class Commit:
    """Everything that becomes durable together.

    Attributes
    ----------
    records
        Records for readers of other topics.
    state
        Changed records of the lane's compacted state topic; ``None`` deletes.
    memo
        Opaque bytes stored beside the position, and handed back in :attr:`Restored.memo`. ``None`` keeps the last memo.
    position
        Offset of the next record to read; ``None`` means the offset after the last batch. An agent that commits only a
        part of a batch sets the offset after this part, and yields the remaining outputs next. After a crash, reading
        continues at that offset.
    """

    records: list[Output] = field(default_factory=list)
    state: dict[bytes, bytes | None] = field(default_factory=dict)
    memo: bytes | None = None
    position: int | None = None


@dataclass(slots=True)
class AfterCommit:
    """Everything that happens once a commit is durable.

    Attributes
    ----------
    broadcasts
        ``(key, value)`` control records for every partition of ``events``. An idempotent producer writes them after the
        commit, never inside the transaction. They may repeat after a crash, so they must be idempotent.
    effects
        Work outside Kafka that begins now. A later batch carries each result in :attr:`Batch.ended`. The outputs that
        follow from a result are committed even if the partition may soon have another owner, because no other process
        knows the result.
    """

    broadcasts: list[tuple[bytes, bytes]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


@dataclass(slots=True)
class Outputs:
    """Everything that an agent yields for one commit.

    Attributes
    ----------
    commit
        Everything that becomes durable together.
    after
        Everything that happens once the commit is durable.
    next_due
        When the earliest timer of this partition is due, milliseconds; ``None`` if there is none. At that time the
        driver moves the log's clock if nothing else does, or sends a wake-up to an agent that has effects.
    full
        Whether the agent accepts no records for now. It still receives wake-ups.
    counts
        Increments of metrics, applied after the commit; keys are ``(metric, label values...)``.

    Examples
    --------
    >>> Outputs(Commit(state={b"u1": b"1"})).commit.state
    {b'u1': b'1'}
    """

    commit: Commit = field(default_factory=Commit)
    after: AfterCommit = field(default_factory=AfterCommit)
    next_due: int | None = None
    full: bool = False
    counts: dict[tuple[str, ...], float] = field(default_factory=dict)


class Checkpoint(NamedTuple):
    """Record of the progress of a partition; it is stored with each commit.

    Attributes
    ----------
    position
        Offset of the next record to read.
    memo
        The agent's memo that belongs to this position.
    """

    position: int
    memo: bytes = b""


@dataclass(slots=True)
class Restored:
    """A lane's committed state. The driver of the agent keeps it current; the agent itself only reads it.

    Attributes
    ----------
    partition
        Partition number.
    position
        Offset of the next record to read.
    memo
        The last committed :attr:`Commit.memo`, empty at the beginning.
    records
        Records of this partition of the compacted state topic.
    """

    partition: int = 0
    position: int = 0
    memo: bytes = b""
    records: dict[bytes, bytes] = field(default_factory=dict)

    def checkpoint(self, commit: Commit, read_to: int) -> Checkpoint:
        """Return the checkpoint that is stored with a commit; ``read_to`` is the offset after the last batch.

        Examples
        --------
        >>> Restored(memo=b"kept").checkpoint(Commit(position=5), read_to=9)
        Checkpoint(position=5, memo=b'kept')
        """
        return Checkpoint(
            read_to if commit.position is None else commit.position,
            self.memo if commit.memo is None else commit.memo,
        )

    def apply(self, commit: Commit, position: int | None = None) -> None:
        """Apply a durable commit, so that the agent sees its changes.

        Parameters
        ----------
        commit
            The commit.
        position
            Offset of the next record to read. ``None`` keeps the last one, for drivers that do not count offsets.

        Examples
        --------
        >>> restored = Restored(records={b"a": b"1"})
        >>> restored.apply(Commit(state={b"a": None, b"b": b"2"}), position=7)
        >>> restored
        Restored(partition=0, position=7, memo=b'', records={b'b': b'2'})
        """
        for key, value in commit.state.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value
        if commit.memo is not None:
            self.memo = commit.memo
        if position is not None:
            self.position = position
