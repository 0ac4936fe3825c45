"""Workers report the highest format level that they know in the client id of their consumer group."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from models.levels import FIRST, NEWEST
from stream.cluster import topics
from stream.cluster.group_members import CLIENT_ID, GroupMember, level_of, members_of
from tests.support.brokers import Cluster
from tests.support.processes import await_true
from tests.support.workers import running_worker


@pytest.mark.parametrize(
    ("client_id", "level"),
    [
        (CLIENT_ID, NEWEST),
        ("perennial-level-12", 12),
        ("faust-0.15.3", FIRST),
        ("", FIRST),
        ("perennial-level-", FIRST),
        ("perennial-level-2x", FIRST),
    ],
)
def test_a_client_id_that_states_no_level_is_that_of_old_code(client_id: str, level: int) -> None:
    assert level_of(client_id) == level


@pytest.mark.kafka
async def test_every_worker_is_listed_with_its_role_its_host_and_its_level(kafka: Cluster, tmp_path: Path) -> None:
    connection, log = kafka.connection, tmp_path / "log"
    await asyncio.to_thread(topics.create, connection, 2)
    assert await asyncio.to_thread(members_of, connection, ["fold", "learn"]) == []

    with running_worker(connection, log, "tests.support.folding_worker"):
        await asyncio.to_thread(await_true, lambda: "open at 0" in log.read_text(), 60)
        (found,) = await asyncio.to_thread(members_of, connection, ["fold", "learn"])

    assert found == GroupMember("fold", "127.0.0.1", found.member, NEWEST)
    assert found.member.startswith(CLIENT_ID)
