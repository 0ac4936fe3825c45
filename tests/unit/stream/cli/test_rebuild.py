"""``perennial rebuild`` compares the recomputed facts, puts them into use, and refuses the embedded broker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from models.fold import step
from models.fold.recomputed_merges import KeptLink
from stream import cli
from stream.cluster import topics
from stream.cluster.admin import admin
from stream.cluster.topics import existing
from stream.log.event_log import EventLog
from stream.rebuild.process import Rebuild
from stream.rebuild.shadow_topic import MERGES, TOPIC
from tests.chaos.reference import Reference
from tests.support.brokers import Cluster
from tests.support.folding_worker import wrong
from tests.support.shop import Owner, Shoppers

PARTITIONS = 2


def test_the_embedded_broker_is_refused_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "perennial.yaml").write_text("version: 1\n")

    assert cli.run(["rebuild", "--config", str(tmp_path / "perennial.yaml")]) == 2
    assert capsys.readouterr().err.startswith("perennial: a rebuild needs transactions, and the embedded broker has")


@pytest.mark.kafka
def test_a_rebuild_compares_then_switches_over_and_removes_its_topic(
    kafka: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = kafka.connection
    file = tmp_path / "perennial.yaml"
    file.write_text(
        f"version: 1\nkafka: {{servers: '{connection.servers}', prefix: {connection.prefix}, partitions: {PARTITIONS}}}"
    )
    topics.create(connection, PARTITIONS)
    with monkeypatch.context() as patch:
        patch.setattr(step, "reduce_facts", wrong)
        asyncio.run(shop(kafka))

    codes = [cli.run(["rebuild", "--config", str(file), "--compare", "--json"])]
    compared = json.loads(capsys.readouterr().out)
    with monkeypatch.context() as patch:
        patch.setattr(Rebuild, "kept", [KeptLink("anonymous:a1", "u1", "", 1, 1_250)])
        assert cli.run(["rebuild", "--config", str(file), "--compare", "--keep-differing"]) == 0
    kept = capsys.readouterr().out.splitlines()[-3:]
    codes.append(cli.run(["rebuild", "--config", str(file)]))
    told = capsys.readouterr().out
    with admin(connection) as client:
        left = existing(client, connection)

    assert codes == [0, 0]
    assert [one["kept"] for one in compared] == [[]] * PARTITIONS
    assert kept[0] == "this version would link 1 visitor otherwise; the links of the log stay:"
    assert kept[2].split() == ["anonymous:a1", "u1", "-", "partition", "1", "at", "1,250"]
    changed = sum(one["changed"] for one in compared)
    assert changed > 10
    assert told.splitlines()[0].split() == ["partition", "position", "users", "changed", "outcome"]
    assert (
        told.splitlines()[-1] == f"{sum(one['users'] for one in compared)} users; the facts of {changed} are different"
    )
    assert {connection.topic(TOPIC), connection.topic(MERGES)} & left.keys() == set()


async def shop(kafka: Cluster) -> None:
    """Write the first events of a live log, and fold them."""
    async with EventLog(kafka.connection, PARTITIONS) as log:
        await log.ensure_clock("wall")
        await log.append(Shoppers(1).events(200))
    async with Reference(kafka.connection, PARTITIONS) as quiet:
        await quiet.catch_up()
        ends = quiet.positions
    for partition, end in enumerate(ends):
        owner = Owner(kafka.connection, partition)
        await owner.take_over()
        await owner.fold_to(end)
        await owner.leave()
