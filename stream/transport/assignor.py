"""Assignment of partitions: aiokafka's sticky assignor, balanced within every topic and not only over all topics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyAssignmentExecutor, StickyPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment


class EvenAssignor(StickyPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Assignor that shares each topic as evenly as possible, and moves as few partitions as possible.

    The sticky assignor counts partitions of all topics together. So one worker may get all of ``events``, and another
    one only the topics of the router. Here, each topic is shared separately. Topics that have only one partition are
    shared together.
    """

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Assign the partitions of all topics to all members; called in the leader of the group."""
        known = {member: cls.parse_member_metadata(metadata) for member, metadata in members.items()}
        shares: dict[str, dict[str, list[int]]] = {member: {} for member in members}
        for group in _groups(cluster, {topic for one in known.values() for topic in one.subscription}):
            concerned = {
                member: one._replace(
                    subscription=[topic for topic in one.subscription if topic in group],
                    partitions=[place for place in one.partitions if place.topic in group],
                )
                for member, one in known.items()
                if group & set(one.subscription)
            }
            executor = StickyAssignmentExecutor(_Part(cluster, group), concerned)
            executor.perform_initial_assignment()
            executor.balance()
            for member in concerned:
                shares[member].update(executor.get_final_assignment(member))
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, sorted(share.items()), b"")
            for member, share in shares.items()
        }


def _groups(cluster: Any, topics: set[str]) -> Iterator[frozenset[str]]:
    together: dict[str, set[str]] = defaultdict(set)
    for topic in topics:
        several = len(cluster.partitions_for_topic(topic) or ()) > 1
        together[topic if several else ""].add(topic)
    for name in sorted(together):
        yield frozenset(together[name])


class _Part:
    """Some topics of a cluster, in the form that the sticky assignor reads."""

    def __init__(self, cluster: Any, topics: frozenset[str]) -> None:
        self._cluster = cluster
        self._topics = topics

    def topics(self) -> frozenset[str]:
        return self._topics

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        found: set[int] | None = self._cluster.partitions_for_topic(topic)
        return found
