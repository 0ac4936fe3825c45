"""The learner of segments gives the same parameters for any batches and restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from agents.learn_segments import learn_segments
from models.batch import Batch, Outputs, Restored
from models.learning.examples import encode_example
from models.learning.segment_scorer import SegmentScorer
from models.log import Use, decode_control
from tests.support.delivering import KafkaRecord
from tests.support.populations import FEATURES, segment_examples


def stored(offset: int, value: bytes | None) -> KafkaRecord:
    return KafkaRecord(value, offset, timestamp=5, key=b"u")


RECORDS = [stored(offset, encode_example(e)) for offset, e in enumerate(segment_examples(700))]


async def _learn(state: Restored, sizes: Sequence[int]) -> list[Outputs]:
    """Run the agent once over batches of these sizes, and commit all outputs."""

    async def batches() -> AsyncIterator[Batch]:
        for size in sizes:
            first, state.position = state.position, state.position + size
            yield Batch("examples.segments", 0, RECORDS[first : first + size])

    yielded = []
    async for outputs in learn_segments(batches(), state=state, features=FEATURES):
        state.records.update({key: value for key, value in outputs.commit.state.items() if value is not None})
        yielded.append(outputs)
    return yielded


@pytest.mark.parametrize("runs", [[[1] * 300, [7] * 57, [1]], [[199], [1], [2], [498]], [[500], [200]]])
async def test_the_final_parameters_are_the_same_for_any_batches_and_restarts(runs: list[list[int]]) -> None:
    whole, interrupted = Restored(), Restored()
    await _learn(whole, [700])
    for sizes in runs:
        await _learn(interrupted, sizes)
    assert interrupted.position == 700
    assert interrupted.records == whole.records


async def test_versions_name_their_segments_and_are_published_again_after_a_restart() -> None:
    state = Restored()
    published = [broadcast for outputs in await _learn(state, [300, 300]) for broadcast in outputs.after.broadcasts]
    (again,) = await _learn(state, [])
    assert again.after.broadcasts == published[-1:]
    use = decode_control(published[-1][1])
    assert isinstance(use, Use)
    assert (use.name, use.version) == ("segments", 3)
    names = SegmentScorer.decode(use.content).names
    assert len(set(names)) == len(names) == 5


async def test_a_garbled_example_is_rejected_and_counted() -> None:
    state = Restored()
    learned = RECORDS[0]
    records = [learned, stored(1, b"{"), stored(2, b"null")]

    async def batches() -> AsyncIterator[Batch]:
        yield Batch("examples.segments", 0, records)

    (outputs,) = [o async for o in learn_segments(batches(), state=state, features=FEATURES)]
    assert [o.key for o in outputs.commit.records] == [b"examples.segments/0/1", b"examples.segments/0/2"]
    assert outputs.counts == {("events_rejected", "bad_example"): 2, ("examples_learned", "segments"): 1}
