"""What an agent takes and gives: batches of one partition in, outputs that commit together out.

An agent is an async generator over :class:`Batch` that yields :class:`Outputs`. Whoever drives it (a lane of
``stream/``, or a list in a test) makes everything in one ``Outputs`` durable together with the position behind the
last batch that was pulled, applies the state changes to :attr:`Restored.records`, and only then resumes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Record(Protocol):
    """One record of a partition, as any Kafka client shows it."""

    @property
    def offset(self) -> int:
        """Position in the partition."""

    @property
    def timestamp(self) -> int:
        """The broker's stamp, milliseconds since the epoch."""

    @property
    def key(self) -> bytes | None:
        """Key bytes, if any."""

    @property
    def value(self) -> bytes | None:
        """Value bytes, if any."""


class Batch(NamedTuple):
    """Consecutive records of one partition.

    Attributes
    ----------
    topic
        Logical topic name, without the installation's prefix.
    partition
        Its number.
    records
        In offset order. Without any it is a beat: time has passed (:attr:`Outputs.next_due`), an effect has ended, or
        the agent has asked for one (:attr:`Restored.wake`). Only agents that have effects get beats.
    closing
        Whether the partition may be about to be given away: then no effect may begin.
    """

    topic: str
    partition: int
    records: Sequence[Record]
    closing: bool = False


class Output(NamedTuple):
    """One record to write.

    Attributes
    ----------
    topic
        Logical topic name; the partition follows from the key (murmur2), or is the lane's own where the topic table
        says that both topics are partitioned alike.
    key, value
        Bytes; a value of ``None`` is a tombstone.
    """

    topic: str
    key: bytes
    value: bytes | None


@dataclass(slots=True)
class Outputs:
    """Everything that commits together.

    Attributes
    ----------
    records
        For readers of other topics.
    state
        Changed records of the lane's own compacted state topic; ``None`` deletes.
    memo
        Opaque bytes kept beside the position, handed back in :attr:`Restored.memo`; ``None`` keeps the last one.
    broadcasts
        ``(key, value)`` control records that every partition of ``events`` shall carry. Written after the commit, by an
        idempotent producer, never inside the transaction; may repeat after a crash, so they must be idempotent.
    position
        Offset of the next record to read, where it is not the one behind the last batch: the agent has stopped in the
        middle, and goes on with what it yields next. After a crash somebody goes on there.
    next_due
        When the earliest timer of this partition is due, milliseconds; ``None`` when there is none. Whoever drives the
        agent moves the clock when nothing else does, or gives a beat to an agent that has effects.
    counts
        Metric name to increment, applied after the commit; keys are ``(metric, label values...)``.
    effects
        What is done outside once this is committed, such as calling a provider: each is called, which begins it, and
        the agent gets a beat when what that gave has ended. What the agent says then is committed even where the
        partition is about to be given away, for nobody else can say it.
    full
        Whether the agent wants no more records until it says otherwise; beats go on.
    """

    records: list[Output] = field(default_factory=list)
    state: dict[bytes, bytes | None] = field(default_factory=dict)
    memo: bytes | None = None
    broadcasts: list[tuple[bytes, bytes]] = field(default_factory=list)
    position: int | None = None
    next_due: int | None = None
    counts: dict[tuple[str, ...], float] = field(default_factory=dict)
    effects: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    full: bool = False


def _nobody() -> None:
    """Wake nobody."""


@dataclass(slots=True)
class Restored:
    """A lane's committed state, kept current by whoever drives the agent; the agent itself only reads it.

    Attributes
    ----------
    partition
        Its number.
    position
        Offset of the next record to read.
    memo
        The last committed :attr:`Outputs.memo`, empty at the beginning.
    records
        The compacted state topic's records of this partition.
    wake
        Asks whoever drives the agent for a beat.
    """

    partition: int = 0
    position: int = 0
    memo: bytes = b""
    records: dict[bytes, bytes] = field(default_factory=dict)
    wake: Callable[[], None] = field(default=_nobody, compare=False, repr=False)

    def apply(self, outputs: Outputs) -> None:
        """Make the state changes of committed outputs visible.

        Examples
        --------
        >>> restored = Restored(records={b"a": b"1"})
        >>> restored.apply(Outputs(state={b"a": None, b"b": b"2"}))
        >>> restored.records
        {b'b': b'2'}
        """
        for key, value in outputs.state.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value
        if outputs.memo is not None:
            self.memo = outputs.memo
