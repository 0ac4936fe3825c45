"""``perennial journeys record`` reads the log, and writes a file that ``perennial journeys test`` accepts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from models.events import Event
from models.units import DAY, HOUR
from stream.cli import run
from stream.cluster import topics
from stream.log.event_log import EventLog
from stream.settings.loading import Settings, load
from tests.support.brokers import Cluster

SETTINGS = """\
version: 1
kafka: {{servers: '{servers}', embedded: true, prefix: {prefix}, partitions: 2}}
journeys:
  - name: welcome
    enter: {{on: {{event: Signed Up}}}}
    exit: [{{after: 9d, as: late}}]
    steps:
      - {{id: mail, send: welcome}}
      - {{id: pause, wait: 1h}}
"""
NOW = time.time_ns() // 1_000_000
BEGIN = NOW - DAY


@pytest.fixture
def settings(tmp_path: Path, embedded: Cluster) -> Settings:
    for part in ("subject", "text"):
        file = tmp_path / "templates" / "welcome" / f"{part}.liquid"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"the {part}")
    reached = embedded.connection
    path = tmp_path / "perennial.yaml"
    path.write_text(SETTINGS.format(servers=reached.servers, prefix=reached.prefix))
    settings = load(path, environment={})
    topics.create(settings.connection(), settings.partitions)
    events = [
        Event(id="i", user="ada-4711", type="identify", at=BEGIN, traits={"email": "ada@real.example"}),
        Event(id="c", user="ada-4711", type="consent", at=BEGIN, channel="email", granted=True),
        Event(id="o", user="bob", type="custom", at=BEGIN, name="Signed Up"),
        Event(id="s", user="ada-4711", type="custom", at=BEGIN + HOUR, name="Signed Up"),
    ]

    async def write() -> None:
        async with EventLog(settings.connection(), settings.partitions) as log:
            await log.ensure_clock("wall")
            await log.append(events)

    asyncio.run(write())
    return settings


def test_what_is_recorded_passes_and_names_no_one(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    config, file = str(settings.file), settings.home / "journeys" / "welcome.test.yaml"

    assert run(["journeys", "record", "--user", "ada-4711", "--output", str(file), "--config", config]) == 0
    text = file.read_text()
    assert "of: welcome\n" in text
    assert '  - {expect: {message: "welcome/mail", channel: email, at: "+1h' in text
    assert "ended: completed" in text
    assert ("4711" in text, "real.example" in text, "bob" in text) == (False, False, False)
    capsys.readouterr()
    assert run(["journeys", "test", "--config", config]) == 0
    assert capsys.readouterr().out.startswith("passed ")


def test_the_time_may_be_limited(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    def lines(*options: str) -> list[str]:
        assert run(["journeys", "record", "--user", "ada-4711", "--config", str(settings.file), *options]) == 0
        return capsys.readouterr().out.splitlines()

    later = lines("--from", "24h", "--of", "welcome")
    assert any(line.startswith("  - {user: user_1, traits: {email: ") for line in later), "the beginning is given"
    assert sum("event:" in line for line in later) == 1
    assert run(["journeys", "record", "--user", "ada-4711", "--to", "40d", "--config", str(settings.file)]) == 2
    assert "the log has no events of the user ada-4711 in this time" in capsys.readouterr().err
