"""A second replay into the same log is refused, even if the first one was killed, because events would count twice."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from models.events import Event
from models.log import Tick, Use, encode_control
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.feed.progress import require_unfed
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import EventLog, LogUnavailable
from tests.support.topic_reading import read_all

NOW = 1_767_571_200_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(None, tmp_path_factory.mktemp("broker")) as running:
        yield running


async def leave_killed_replay(connection: Connection) -> None:
    """Write the records that a replay leaves if it is killed after its first event."""
    async with EventLog(connection, 1) as log:
        await log.ensure_clock("feeder")
        await log.broadcast(*encode_control(Use(name="x", version=1, content=msgspec.Raw(b"{}"))))
        await log.broadcast(*encode_control(Tick(at=NOW)))
        await log.append([Event(id="m", user="u", type="page_view", at=NOW)])


@pytest.mark.parametrize("what", ["replay", "simulate"])
def test_a_log_with_the_beginning_of_another_replay_is_refused_with_the_remedy(
    broker: EmbeddedBroker, tmp_path: Path, what: str
) -> None:
    connection = broker.connection(f"{what}.")
    topics.create(connection, 1)
    asyncio.run(leave_killed_replay(connection))
    file, recording = tmp_path / "perennial.yaml", tmp_path / "events.jsonl"
    file.write_text(
        f"version: 1\nkafka: {{servers: '{broker.address}', embedded: true, prefix: {what}., partitions: 1}}\n"
    )
    recording.write_text(f'{{"type":"click","user":"u1","item":"a","at":{NOW}}}\n')

    more = [str(recording)] if what == "replay" else ["--days", "1"]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "stream.cli", what, *more, "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert f"{what}.events was fed before" in ended.stderr
    assert "kafka.prefix" in ended.stderr
    assert "Traceback" not in ended.stderr
    left = asyncio.run(read_all(connection, "events"))
    assert len(left) == 4  # nothing was added


async def test_a_broker_that_does_not_answer_is_reported_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = Connection(f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(LogUnavailable, match="did not show the log"):
            await require_unfed(connection, 1, within_s=0.5)
