"""An upgrade can be finished only when all workers know the newest level, and the reason names those that do not."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest

from models.levels import FIRST, LEVEL, NEWEST
from models.log import Use
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.group_members import GroupMember
from stream.installation import upgrading
from stream.installation.upgrading import CannotFinish, UpgradeStanding, finish, standing
from stream.log.event_log import EventLog
from stream.rebuild import shadow_topic
from tests.support.brokers import Cluster
from tests.support.control_records import read_controls

OLD = GroupMember("fold", "10.0.0.1", "m1", FIRST)
NEW = GroupMember("fold", "10.0.0.2", "m2", NEWEST)
LEARNER = GroupMember("learn", "10.0.0.3", "m3", NEWEST)


def test_it_can_be_finished_if_all_workers_are_new() -> None:
    assert UpgradeStanding(FIRST, [NEW, LEARNER]).obstacle() is None
    assert UpgradeStanding(NEWEST, [NEW]).obstacle() is None, "a repeat has no effect"


@pytest.mark.parametrize(
    ("workers", "reason"),
    [
        ([NEW, OLD, LEARNER], "1 worker of 3 still run"),
        ([NEW, OLD._replace(group="deliver")], "deliver on 10.0.0.1; replace them first"),
        ([LEARNER], "no worker that folds is connected"),
        ([], "no worker that folds is connected"),
        (None, "embedded broker"),
    ],
)
def test_the_reason_says_what_is_missing(workers: list[GroupMember] | None, reason: str) -> None:
    assert reason in str(UpgradeStanding(FIRST, workers).obstacle())


def test_a_log_of_a_later_release_is_left_to_that_release() -> None:
    assert f"the log has format level {NEWEST + 1}" in str(UpgradeStanding(NEWEST + 1, [NEW]).obstacle())


def test_the_level_is_not_raised_while_a_rebuild_is_not_at_its_end() -> None:
    topics_of_it = ("shop.profiles.rebuild", "shop.merges.rebuild")

    assert "there is shop.profiles.rebuild and shop.merges.rebuild" in str(
        UpgradeStanding(FIRST, [NEW], topics_of_it).obstacle()
    )
    assert UpgradeStanding(NEWEST, [NEW], topics_of_it).obstacle() is None


@pytest.mark.kafka
def test_the_topics_of_a_rebuild_are_found_until_its_end(kafka: Cluster) -> None:
    connection = kafka.connection
    topics.create(connection, 2)
    shadow_topic.make(connection, 2, 1)
    asyncio.run(begun(connection))

    assert standing(connection, 2).rebuild == tuple(map(connection.topic, (shadow_topic.TOPIC, shadow_topic.MERGES)))
    shadow_topic.delete(connection)
    assert standing(connection, 2).rebuild == ()


async def begun(connection: Connection) -> None:
    async with EventLog(connection, 2) as log:
        await log.ensure_clock("wall")


def test_on_the_embedded_broker_the_level_is_shown_and_finishing_is_refused(embedded: Cluster) -> None:
    topics.create(embedded.connection, 2)

    assert standing(embedded.connection, 2) == UpgradeStanding(NEWEST, None)
    with pytest.raises(CannotFinish, match="embedded broker"):
        finish(embedded.connection, 2)


@pytest.mark.parametrize(("workers", "written"), [([NEW], 1), ([NEW, OLD], 0)])
def test_the_level_is_raised_in_every_partition_or_in_none(
    embedded: Cluster, monkeypatch: pytest.MonkeyPatch, workers: list[GroupMember], written: int
) -> None:
    topics.create(embedded.connection, 2)
    found = iter([UpgradeStanding(FIRST, workers), UpgradeStanding(NEWEST, workers)])
    monkeypatch.setattr(upgrading, "standing", lambda *_: next(found))

    with nullcontext() if written else pytest.raises(CannotFinish, match=r"fold on 10\.0\.0\.1"):
        assert finish(embedded.connection, 2) == UpgradeStanding(NEWEST, workers)

    for partition in asyncio.run(read_controls(embedded.connection, 2)):
        raised = [(one.name, one.version) for one in partition if isinstance(one, Use)]
        assert raised == [(LEVEL, NEWEST)] * written
