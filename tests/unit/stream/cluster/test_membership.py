"""Removal of a dead member from its group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.membership import remove_dead_member
from tests.support.brokers import Cluster, free_ports
from tests.support.processes import await_true
from tests.support.workers import running_worker

GROUP = "count"


def members(connection: Connection) -> list[str]:
    """Return the names of the members of the counting workers' group."""
    name = connection.group(GROUP)
    with admin(connection) as client:
        return [member["member_id"] for member in client.describe_groups([name])[name]["members"]]


@pytest.mark.kafka
def test_the_partitions_of_a_dead_member_are_free_long_before_its_session_ends(kafka: Cluster, tmp_path: Path) -> None:
    connection = replace(kafka.connection, session_timeout_s=120)
    kafka.create(events=1, copies=1, profiles=1)
    log = tmp_path / "log"
    with running_worker(connection, log):
        await_true(lambda: "open at 0" in log.read_text(), 60)
    (dead,) = members(connection)

    assert remove_dead_member(connection, connection.group(GROUP), dead)

    assert members(connection) == []
    with running_worker(connection, log):
        await_true(lambda: log.read_text().count("open at 0") == 2, 60)


def test_an_unknown_member_and_a_broker_that_is_away_are_not_errors(embedded: Cluster) -> None:
    (port,) = free_ports(1)

    assert not remove_dead_member(Connection(f"127.0.0.1:{port}"), "fold", "unknown")
    assert not remove_dead_member(embedded.connection, embedded.connection.group("fold"), "unknown")
