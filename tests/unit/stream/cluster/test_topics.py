"""The table of topics holds together, and a cluster that differs from it is told apart."""

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


def test_what_a_lane_writes_beside_its_topic_is_partitioned_alike() -> None:
    for line in TOPICS:
        if line.alike is not None:
            assert line.spread == topic(line.alike).spread


def test_state_is_compacted_and_the_log_is_kept() -> None:
    assert topic("profiles").configs()["cleanup.policy"] == "compact"
    assert topic("profiles").configs()["segment.bytes"] == str(32 * 2**20)
    assert topic("profiles").configs()["min.cleanable.dirty.ratio"] == "0.1"
    assert topic("events").configs()["retention.ms"] == "-1"
    assert topic("events").configs()["message.timestamp.type"] == "LogAppendTime"


def test_create_makes_what_the_table_says(connection: Connection) -> None:
    made = create(connection, partitions=4)

    with admin(connection) as client:
        there = existing(client, connection)
    assert set(made) == set(there) == {connection.topic(line.name) for line in PERMANENT}
    assert there[connection.topic("events")] == there[connection.topic("profiles")] == 4
    assert there[connection.topic("examples.churn")] == 1
    assert check(connection, partitions=4) == []
    require_topics(connection, partitions=4)


def test_create_leaves_what_is_there(connection: Connection) -> None:
    create(connection, partitions=4)

    assert create(connection, partitions=4) == []


def test_nothing_starts_on_missing_topics_and_the_command_is_named(connection: Connection) -> None:
    with pytest.raises(
        TopicsNotReady, match=r"missing topics: .*events\.in.* and 17 more; run: perennial topics create"
    ):
        require_topics(connection, partitions=4)


def test_nothing_starts_on_other_partitions_and_create_does_not_touch_them(connection: Connection) -> None:
    with admin(connection) as client:
        made = {connection.topic("events"): {"num_partitions": 3, "replication_factor": 1}}
        client.create_topics(made, wait_for_metadata=True)

    with pytest.raises(TopicsNotReady, match=r"events has 3 partitions, should have 4"):
        require_topics(connection, partitions=4)
    with pytest.raises(TopicsNotReady, match=r"events has 3 partitions, should have 4"):
        create(connection, partitions=4)
    with admin(connection) as client:
        assert list(existing(client, connection)) == [connection.topic("events")]


def test_state_that_would_be_deleted_stops_the_start(connection: Connection) -> None:
    with admin(connection) as client:
        options = {"num_partitions": 4, "replication_factor": 1, "configs": {"cleanup.policy": "delete"}}
        client.create_topics({connection.topic("profiles"): options}, wait_for_metadata=True)
    create(connection, partitions=4)

    with pytest.raises(TopicsNotReady, match=r"profiles has cleanup\.policy=delete, should have compact"):
        require_topics(connection, partitions=4)


def test_a_longer_retention_is_shown_and_does_not_stop_the_start(connection: Connection) -> None:
    with admin(connection) as client:
        configs = {"cleanup.policy": "delete", "retention.ms": "1"}
        made = {connection.topic("signals"): {"num_partitions": 4, "replication_factor": 1, "configs": configs}}
        client.create_topics(made, wait_for_metadata=True)
    create(connection, partitions=4)

    require_topics(connection, partitions=4)
    assert [(problem.topic, problem.kind) for problem in check(connection, 4)] == [
        (connection.topic("signals"), "config")
    ]


def test_a_silent_address_is_named_with_the_way_out() -> None:
    with (
        pytest.raises(BrokerUnreachable, match=r"no broker answers at 127\.0\.0\.1:1 .*perennial broker"),
        admin(Connection("127.0.0.1:1"), timeout_s=0.2),
    ):
        pass


def test_where_every_server_refuses_nobody_is_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(BrokerUnreachable, match="perennial up"), admin(Connection("127.0.0.1:1"), timeout_s=60):
        pass

    assert time.monotonic() - began < 30
