"""The assignor shares every topic evenly between the members of a group, in whatever order they joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from aiokafka.structs import TopicPartition

from stream.transport.assignor import EvenAssignor

FOLD = {"events": 12, "events.in": 12, "outcomes": 12}
LEARN = {"examples.churn": 1, "examples.segments": 1}
Shares = dict[str, set[TopicPartition]]


class FakeCluster:
    """Topics, as the leader of a group knows them."""

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._counts = topics

    def topics(self) -> set[str]:
        return set(self._counts)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self._counts[topic])) if topic in self._counts else None


def shares(topics: Mapping[str, int], history: str) -> Shares:
    """Return the partitions of each member. Each word of ``history`` is a rebalance, and each letter is a member."""
    found: Shares = {}
    for generation, word in enumerate(history.split()):
        metadata = {}
        for member in word:
            remembering = _remembering(found.get(member), generation)
            metadata[member] = remembering.metadata(list(topics))
        given = EvenAssignor.assign(FakeCluster(topics), metadata)
        found = {member: _places(one.assignment) for member, one in given.items()}
    return found


def _remembering(share: set[TopicPartition] | None, generation: int) -> type[EvenAssignor]:
    class Remembering(EvenAssignor):
        member_assignment = None if share is None else list(share)

    if share is not None:
        Remembering.generation = generation
    return Remembering


def _places(assignment: Iterable[tuple[str, Iterable[int]]]) -> set[TopicPartition]:
    return {TopicPartition(topic, partition) for topic, partitions in assignment for partition in partitions}


@pytest.mark.parametrize("partitions", [4, 12])
@pytest.mark.parametrize("history", ["a", "ab", "a ab", "b ab", "a ab abc", "ab b bc", "abc ac"])
def test_each_topic_is_shared_evenly_and_completely(history: str, partitions: int) -> None:
    topics = dict.fromkeys(FOLD, partitions)

    given = shares(topics, history)

    owned = sorted(place for share in given.values() for place in share)
    assert owned == sorted(TopicPartition(topic, number) for topic in topics for number in range(partitions))
    for topic in topics:
        counts = [sum(place.topic == topic for place in share) for share in given.values()]
        assert max(counts) - min(counts) <= 1, (topic, counts)


def test_a_member_that_stays_keeps_every_partition_that_need_not_move() -> None:
    before, again, grown = (shares(FOLD, history) for history in ("a ab", "a ab ab", "a ab abc"))

    assert again == before
    assert all(grown[member] < before[member] for member in "ab")


def test_topics_of_one_partition_are_shared_together() -> None:
    assert [len(share) for share in shares(LEARN, "a ab").values()] == [1, 1]
