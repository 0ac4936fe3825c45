"""The table of topics is consistent, and differences between a cluster and the table are found."""

from __future__ import annotations

import importlib
import re
import time

import pytest

from stream.cluster.admin import BrokerUnreachable, admin
from stream.cluster.connection import Connection
from stream.cluster.topics import (
    PERMANENT,
    TOPICS,
    Topic,
    TopicsNotReady,
    check,
    create,
    existing,
    require_topics,
    topic,
)
from tests.support.brokers import Cluster


@pytest.fixture
def connection(cluster: Cluster) -> Connection:
    return cluster.connection


def test_names_are_unique() -> None:
    assert len({line.name for line in TOPICS}) == len(TOPICS)


@pytest.mark.parametrize("line", TOPICS, ids=lambda line: line.name)
def test_the_types_that_the_table_names_exist(line: Topic) -> None:
    named = re.findall(r"\b((?:models|stream)(?:\.\w+)+)\.(\w+)", line.value)

    assert named
    for module, name in named:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_a_topic_that_a_lane_writes_has_as_many_partitions_as_its_input() -> None:
    for line in TOPICS:
        if line.alike is not None:
            assert line.spread == topic(line.alike).spread


def test_state_is_compacted_and_the_log_is_kept() -> None:
    assert topic("profiles").configs()["cleanup.policy"] == "compact"
    assert topic("profiles").configs()["segment.bytes"] == str(32 * 2**20)
    assert topic("profiles").configs()["min.cleanable.dirty.ratio"] == "0.1"
    assert topic("events").configs()["retention.ms"] == "-1"
    assert topic("events").configs()["message.timestamp.type"] == "LogAppendTime"


def test_create_creates_the_permanent_topics_of_the_table(connection: Connection) -> None:
    made = create(connection, partitions=4)

    with admin(connection) as client:
        there = existing(client, connection)
    assert set(made) == set(there) == {connection.topic(line.name) for line in PERMANENT}
    assert there[connection.topic("events")] == there[connection.topic("profiles")] == 4
    assert there[connection.topic("examples.churn")] == 1
    assert check(connection, partitions=4) == []
    require_topics(connection, partitions=4)


def test_create_does_not_touch_existing_topics(connection: Connection) -> None:
    create(connection, partitions=4)

    assert create(connection, partitions=4) == []


def test_missing_topics_are_an_error_that_names_the_command(connection: Connection) -> None:
    with pytest.raises(
        TopicsNotReady, match=r"missing topics: .*events\.in.* and 22 more; run: perennial topics create"
    ):
        require_topics(connection, partitions=4)


def test_another_number_of_partitions_is_an_error_and_create_does_not_change_it(connection: Connection) -> None:
    with admin(connection) as client:
        made = {connection.topic("events"): {"num_partitions": 3, "replication_factor": 1}}
        client.create_topics(made, wait_for_metadata=True)

    with pytest.raises(TopicsNotReady, match=r"events has 3 partitions, should have 4"):
        require_topics(connection, partitions=4)
    with pytest.raises(TopicsNotReady, match=r"events has 3 partitions, should have 4"):
        create(connection, partitions=4)
    with admin(connection) as client:
        assert list(existing(client, connection)) == [connection.topic("events")]


def test_a_state_topic_with_the_cleanup_policy_delete_is_an_error(connection: Connection) -> None:
    with admin(connection) as client:
        options = {"num_partitions": 4, "replication_factor": 1, "configs": {"cleanup.policy": "delete"}}
        client.create_topics({connection.topic("profiles"): options}, wait_for_metadata=True)
    create(connection, partitions=4)

    with pytest.raises(TopicsNotReady, match=r"profiles has cleanup\.policy=delete, should have compact"):
        require_topics(connection, partitions=4)


def test_another_retention_is_shown_but_is_not_an_error(connection: Connection) -> None:
    with admin(connection) as client:
        configs = {"cleanup.policy": "delete", "retention.ms": "1"}
        made = {connection.topic("signals"): {"num_partitions": 4, "replication_factor": 1, "configs": configs}}
        client.create_topics(made, wait_for_metadata=True)
    create(connection, partitions=4)

    require_topics(connection, partitions=4)
    assert [(problem.topic, problem.kind) for problem in check(connection, 4)] == [
        (connection.topic("signals"), "config")
    ]


def test_an_address_without_a_broker_is_named_with_the_command_that_starts_one() -> None:
    with (
        pytest.raises(BrokerUnreachable, match=r"no broker answers at 127\.0\.0\.1:1 .*perennial broker"),
        admin(Connection("127.0.0.1:1"), timeout_s=0.2),
    ):
        pass


def test_a_refused_connection_is_not_awaited_until_the_timeout() -> None:
    began = time.monotonic()
    with pytest.raises(BrokerUnreachable, match="perennial up"), admin(Connection("127.0.0.1:1"), timeout_s=60):
        pass

    assert time.monotonic() - began < 30
