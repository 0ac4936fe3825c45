"""The learner of the population publishes through the same path as the other models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from agents.learn_population import learn_population
from models.batch import Batch, Outputs, Restored
from models.events import MICROS
from models.learning import population
from models.learning.buyers import BuyerExample, encode_population_example
from models.log import Use, decode_control
from models.units import DAY
from tests.support.delivering import KafkaRecord

VALUES = [
    encode_population_example(
        BuyerExample(day=50, at=50 * DAY, bought_at=(50 - n % 9) * DAY, orders=1 + n % 7, spent={"EUR": n * MICROS})
    )
    for n in range(1, 121)
]
RECORDS = [KafkaRecord(value, offset, timestamp=5, key=b"u") for offset, value in enumerate(VALUES)]


async def learn(state: Restored, sizes: Sequence[int], records: Sequence[KafkaRecord] = RECORDS) -> list[Outputs]:
    """Run the agent once over batches of these sizes, and commit all outputs."""

    async def batches() -> AsyncIterator[Batch]:
        for size in sizes:
            first, state.position = state.position, state.position + size
            yield Batch("examples.population", 0, records[first : first + size])

    yielded = []
    async for outputs in learn_population(batches(), state=state):
        state.records.update({key: value for key, value in outputs.commit.state.items() if value is not None})
        yielded.append(outputs)
    return yielded


async def test_a_version_is_broadcast_and_again_after_a_restart() -> None:
    state = Restored()
    outputs = await learn(state, [30, 30, 60])
    published = [broadcast for one in outputs for broadcast in one.after.broadcasts]

    (again,) = await learn(state, [])

    assert again.after.broadcasts == published[-1:]
    uses = [decode_control(value) for _, value in published]
    assert [(use.name, use.version) for use in uses if isinstance(use, Use)] == [("population", 1), ("population", 2)]
    assert isinstance(uses[-1], Use)
    assert population.decode(uses[-1].content).users == 100
    assert [record.key for one in outputs for record in one.commit.records] == [b"population"] * 2


async def test_a_version_that_was_not_committed_is_published_once_after_the_restart() -> None:
    whole, killed = Restored(), Restored()
    await learn(whole, [120])
    await learn(killed, [40])
    before = dict(killed.records), killed.position
    await learn(killed, [80])
    killed.records, killed.position = before
    announced, learned = await learn(killed, [80])

    assert announced.after.broadcasts == []
    assert [decode_control(value).version for _, value in learned.after.broadcasts] == [2]  # type: ignore[union-attr]


async def test_bad_and_outdated_examples_are_counted_and_teach_nothing() -> None:
    old = encode_population_example(BuyerExample(day=3, at=3 * DAY, bought_at=3 * DAY, orders=1, spent={}))
    records = [KafkaRecord(value, offset, timestamp=5, key=b"u") for offset, value in enumerate([VALUES[0], old, b"{"])]

    (outputs,) = await learn(Restored(), [3], records)

    assert outputs.counts == {
        ("events_rejected", "bad_example"): 1,
        ("examples_learned", "population"): 1,
        ("examples_outdated", "population"): 1,
    }
    assert [record.topic for record in outputs.commit.records] == ["events.rejected"]
