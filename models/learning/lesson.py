"""What every learner in the stream does: go on from what is committed, learn a batch, tell the newest version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypeVar

from models.batch import Batch, Outputs, Restored
from models.errors import InvalidEvent
from models.learning.publication import Publication
from models.rejected import reason_of, reject
from models.source import Source

KEY = b"learner"
"""Where the learner's state stands among the records of its lane."""

_Example = TypeVar("_Example", contravariant=True)
_T = TypeVar("_T")


class Learner(Protocol[_Example]):
    """What the churn and the segment learner have in common."""

    @property
    def newest(self) -> Publication | None:
        """The newest version."""

    def learn(self, example: _Example) -> Publication | None:
        """Learn from one example; returns the version that it completed."""

    def state(self) -> bytes:
        """Everything, as bytes."""

    def restore(self, data: bytes) -> None:
        """Go on where :meth:`state` was taken."""


async def lessons(
    name: str,
    learner: Learner[_T],
    decode: Callable[[bytes | None], _T],
    batches: AsyncIterator[Batch],
    state: Restored,
) -> AsyncIterator[Outputs]:
    """Learn from each example of a topic, in order.

    Parameters
    ----------
    name
        Of the model.
    learner
        A new one.
    decode
        Reads an example; raises :class:`InvalidEvent` where it is none.
    batches
        Of the topic's one partition.
    state
        The committed learner, under ``KEY``.

    Yields
    ------
    Outputs
        First the newest version once more, since its broadcast may have been lost in a crash; then, for each batch, the
        learner, the newest version that the batch completed, and what was rejected.
    """
    if KEY in state.records:
        learner.restore(state.records[KEY])
        yield announce(name, learner.newest)
    async for batch in batches:
        yield take_lesson(name, learner, decode, batch)


def take_lesson(name: str, learner: Learner[_T], decode: Callable[[bytes | None], _T], batch: Batch) -> Outputs:
    """Learn a batch.

    Parameters
    ----------
    name
        Of the model.
    learner
        Changed in place.
    decode
        Reads an example; raises :class:`InvalidEvent` where it is none.
    batch
        Records of ``examples.<name>``.

    Returns
    -------
    Outputs
        The learner's state; of the versions completed only the newest, since the fold ignores all lower ones; examples
        that could not be learned from, rejected with their reason.
    """
    outputs = Outputs()
    completed: Publication | None = None
    learned = 0
    for record in batch.records:
        try:
            completed = learner.learn(decode(record.value)) or completed
            learned += 1
        except InvalidEvent as error:
            outputs.commit.records.append(reject(record, Source(batch.topic, batch.partition, record.offset), error))
            key = ("events_rejected", reason_of(error))
            outputs.counts[key] = outputs.counts.get(key, 0) + 1
    outputs.commit.state[KEY] = learner.state()
    if learned:
        outputs.counts["examples_learned", name] = learned
    if completed is not None:
        outputs.commit.records.append(completed.output(name))
        outputs.after.broadcasts.append(completed.broadcast(name))
    return outputs


def announce(name: str, newest: Publication | None) -> Outputs:
    r"""Say once more which version is the newest; nothing where there is none.

    Examples
    --------
    >>> announce("churn", Publication(3, b"{}")).broadcasts[0][0]
    b'\x00use'
    >>> announce("churn", None).broadcasts
    []
    """
    outputs = Outputs()
    if newest is not None:
        outputs.after.broadcasts.append(newest.broadcast(name))
    return outputs
