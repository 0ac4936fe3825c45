"""A learner gives the same parameters and versions for any batches and crashes."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from agents.learn_churn import learn_churn
from models.batch import Batch, Outputs, Restored
from models.learning.churn import ChurnLearner
from models.learning.examples import encode_example
from models.learning.lesson import KEY
from models.log import USE_KEY, Use, decode_control
from models.rejected import decode_rejected
from tests.support.delivering import KafkaRecord
from tests.support.populations import FEATURES, churn_examples

TOPIC = "examples.churn"


def stored(offset: int, value: bytes | None) -> KafkaRecord:
    return KafkaRecord(value, offset, timestamp=5, key=b"u")


RECORDS = [stored(offset, encode_example(e)) for offset, e in enumerate(churn_examples(900))]


class LearningLane:
    """A lane in memory: it commits outputs, state and position together, or nothing."""

    def __init__(self) -> None:
        self.state = Restored()
        self.versions: list[tuple[bytes, bytes | None]] = []
        self.broadcasts: list[Use] = []
        self.outputs: list[Outputs] = []

    async def run(self, records: Sequence[KafkaRecord], cuts: Sequence[int], *, crash_after: int | None = None) -> None:
        """Continue from the position. A crash after this number of commits loses the outputs of the next batch."""
        pulled = self.state.position

        async def batches() -> AsyncIterator[Batch]:
            nonlocal pulled
            edges = [self.state.position, *(c for c in cuts if c > self.state.position), len(records)]
            for first, last in itertools.pairwise(edges):
                if first < last:
                    pulled = last
                    yield Batch(TOPIC, 0, records[first:last])

        commits = 0
        async for outputs in learn_churn(batches(), state=self.state, features=FEATURES):
            if commits == crash_after:
                return
            commits += 1
            self.state.records.update({key: value for key, value in outputs.commit.state.items() if value is not None})
            self.state.position = pulled
            self.versions += [(o.key, o.value) for o in outputs.commit.records if o.topic == "versions"]
            for key, value in outputs.after.broadcasts:
                assert key == USE_KEY
                control = decode_control(value)
                assert isinstance(control, Use)
                self.broadcasts.append(control)
            self.outputs.append(outputs)


async def _uninterrupted() -> LearningLane:
    lane = LearningLane()
    await lane.run(RECORDS, range(200, 900, 200))
    return lane


@pytest.mark.parametrize("seed", range(5))
async def test_the_final_parameters_are_those_of_an_uninterrupted_run_for_any_batches_and_crashes(seed: int) -> None:
    chance, lane = random.Random(seed), LearningLane()
    while lane.state.position < len(RECORDS):
        cuts = sorted(chance.sample(range(1, len(RECORDS)), 20))
        await lane.run(RECORDS, cuts, crash_after=chance.choice([1, 2, 3, 5, 8]))
    assert lane.state.records == (await _uninterrupted()).state.records


@pytest.mark.parametrize("size", [1, 7, 500])
async def test_the_content_of_a_version_does_not_depend_on_the_batches(size: int) -> None:
    lane = LearningLane()
    await lane.run(RECORDS, range(size, len(RECORDS), size))
    expected = {use.version: bytes(use.content) for use in (await _uninterrupted()).broadcasts}
    for use in lane.broadcasts:
        assert bytes(use.content) == expected[use.version]
    assert lane.broadcasts[-1].version == 4


async def test_only_the_newest_version_of_one_batch_is_published() -> None:
    lane = LearningLane()
    await lane.run(RECORDS, [])
    assert [use.version for use in lane.broadcasts] == [4]
    assert [key for key, _ in lane.versions] == [b"churn"]


async def test_the_topic_versions_and_the_log_carry_the_same_record() -> None:
    lane = await _uninterrupted()
    published = [decode_control(value) for _, value in lane.versions if value is not None]
    assert published == lane.broadcasts
    assert [use.version for use in lane.broadcasts] == [1, 2, 3, 4]
    assert {use.name for use in lane.broadcasts} == {"churn"}


async def test_the_newest_version_is_published_again_after_a_restart_before_any_record_is_read() -> None:
    lane = await _uninterrupted()
    before = lane.broadcasts[-1]
    await lane.run(RECORDS, [])
    assert lane.broadcasts[-1] == before
    assert len(lane.broadcasts) == 5
    assert lane.outputs[-1].commit.state == {}


async def test_a_learner_without_a_version_has_nothing_to_repeat() -> None:
    lane = LearningLane()
    await lane.run(RECORDS[:50], [])
    await lane.run(RECORDS[:50], [])
    assert lane.broadcasts == []


async def test_a_record_that_is_not_an_example_is_rejected_and_the_others_are_learned() -> None:
    records = [
        RECORDS[0],
        stored(1, b"\xff\x00garbage"),
        stored(2, None),
        stored(3, encode_example(churn_examples(1)[0]).replace(b'"row":[', b'"row":[1e999,')),
        stored(4, encode_example(churn_examples(1)[0]).replace(b'"row":[', b'"row":[1.0,')),
        RECORDS[5],
    ]
    lane = LearningLane()
    await lane.run(records, [])
    (outputs,) = lane.outputs
    rejected = [decode_rejected(o.value) for o in outputs.commit.records if o.topic == "events.rejected"]
    assert [(r.topic, r.offset, r.reason) for r in rejected] == [
        (TOPIC, 1, "bad_example"),
        (TOPIC, 2, "bad_example"),
        (TOPIC, 3, "bad_example"),
        (TOPIC, 4, "other_features"),
    ]
    assert outputs.counts == {
        ("events_rejected", "bad_example"): 3,
        ("events_rejected", "other_features"): 1,
        ("examples_learned", "churn"): 2,
    }
    learner = ChurnLearner(FEATURES)
    learner.restore(lane.state.records[KEY])
    assert learner.examples == 2
