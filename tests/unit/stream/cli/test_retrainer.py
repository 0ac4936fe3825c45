"""``perennial retrainer`` as a process: it publishes a version, and ends on SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from models.recommend.interactions import encode_interaction
from stream.cli import run
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.installation.embedded_broker import EmbeddedBroker
from stream.recommender.artifacts import decode_published
from tests.support.tastes import interactions_of_two_tastes
from tests.support.topic_reading import read_until, write

PREFIX = "retrainer."


@pytest.fixture(scope="module")
def connection(embedded_broker: EmbeddedBroker) -> Connection:
    connection = embedded_broker.connection(PREFIX)
    topics.create(connection, 4)
    return connection


@pytest.fixture
def settings(connection: Connection, tmp_path: Path) -> Path:
    file = tmp_path / "perennial.yaml"
    file.write_text(
        f"version: 1\nkafka: {{servers: '{connection.servers}', embedded: true, prefix: {PREFIX}}}\n"
        "retrainer: {every: 1s, fresh: 50, dimensions: 8}\nmetrics: {retrainer: 0}\n"
    )
    return file


async def test_the_process_publishes_a_file_and_stops_on_sigterm(
    connection: Connection, settings: Path, tmp_path: Path
) -> None:
    interactions = interactions_of_two_tastes(users=80, seed=1)
    await write(connection, "interactions", [(each.user.encode(), encode_interaction(each)) for each in interactions])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.cli", "retrainer", "--config", str(settings)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        records = await read_until(connection, "versions", bool)
        process.terminate()
        out, error = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()

    published = decode_published(records[-1].value)
    assert (tmp_path / ".perennial" / "artifacts" / published.file).exists()
    assert process.returncode == 0, error
    assert "published version 1: good enough; 640 interactions, 24 items; recall@10" in out.decode()
    assert error == b""


def test_missing_topics_are_named_with_the_command_to_run(
    embedded_broker: EmbeddedBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text(f"version: 1\nkafka: {{servers: '{embedded_broker.address}', embedded: true, prefix: none.}}\n")
    code = run(["retrainer", "--config", str(file)])

    assert code == 2
    assert "run: perennial topics create" in capsys.readouterr().err
