"""The work of every learner in the stream: continue from the committed state, learn a batch, publish a version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from models.batch import Batch, Outputs, Restored
from models.errors import InvalidEvent
from models.learning.learner import OnlineModel, OutdatedExample
from models.learning.publication import Publication
from models.rejected import reason_of, reject
from models.source import Source

KEY = b"learner"
"""Key of the learner's state among the records of its lane."""

_T = TypeVar("_T")


async def lessons(
    name: str,
    learner: OnlineModel[_T],
    decode: Callable[[bytes | None], _T],
    batches: AsyncIterator[Batch],
    state: Restored,
) -> AsyncIterator[Outputs]:
    """Learn from each example of a topic, in order.

    Parameters
    ----------
    name
        Name of the model.
    learner
        An untrained learner.
    decode
        Decodes a record's value, and raises :class:`InvalidEvent` if it is not an example.
    batches
        Batches of the topic's only partition.
    state
        The committed records; the learner's state is under ``KEY``.

    Yields
    ------
    Outputs
        First the newest version again, because a crash may have lost its broadcast. Then, for each batch, the
        learner's state, the newest version that the batch completed, and the rejected examples.
    """
    if KEY in state.records:
        learner.restore(state.records[KEY])
        yield announce(name, learner.newest)
    async for batch in batches:
        yield take_lesson(name, learner, decode, batch)


def take_lesson(name: str, learner: OnlineModel[_T], decode: Callable[[bytes | None], _T], batch: Batch) -> Outputs:
    """Learn from the examples of a batch.

    Parameters
    ----------
    name
        Name of the model.
    learner
        Changed in place.
    decode
        Decodes a record's value, and raises :class:`InvalidEvent` if it is not an example.
    batch
        Records of ``examples.<name>``.

    Returns
    -------
    Outputs
        The learner's state, the newest version that the batch completed, and each rejected example with its reason. If
        the batch completes several versions, the older ones are left out, because the fold would ignore them.
    """
    outputs = Outputs()
    completed: Publication | None = None
    learned = outdated = 0
    for record in batch.records:
        try:
            completed = learner.learn_one(decode(record.value)) or completed
            learned += 1
        except InvalidEvent as error:
            outputs.commit.records.append(reject(record, Source(batch.topic, batch.partition, record.offset), error))
            key = ("events_rejected", reason_of(error))
            outputs.counts[key] = outputs.counts.get(key, 0) + 1
        except OutdatedExample:
            outdated += 1
    outputs.commit.state[KEY] = learner.state()
    if learned:
        outputs.counts["examples_learned", name] = learned
    if outdated:
        outputs.counts["examples_outdated", name] = outdated
    if completed is not None:
        outputs.commit.records.append(completed.output(name))
        outputs.after.broadcasts.append(completed.broadcast(name))
    return outputs


def announce(name: str, newest: Publication | None) -> Outputs:
    r"""Return outputs that broadcast the newest version again; empty outputs if there is none.

    Examples
    --------
    >>> announce("churn", Publication(3, b"{}")).after.broadcasts[0][0]
    b'\x00use'
    >>> announce("churn", None).after.broadcasts
    []
    """
    outputs = Outputs()
    if newest is not None:
        outputs.after.broadcasts.append(newest.broadcast(name))
    return outputs
