"""``perennial dlq`` lists, shows and replays dead letters of an embedded broker."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from models.errors import InvalidEvent
from models.rejected import reject_value
from models.source import Source
from stream import cli
from stream.cluster import topics
from stream.log.event_log import EventLog
from tests.support.brokers import Cluster

AT = 1_777_636_800_250
HOUR = 3_600_000


@pytest.fixture(autouse=True)
def kept(embedded: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write four dead letters with three reasons, an hour apart."""
    connection = embedded.connection
    monkeypatch.setenv("PERENNIAL_KAFKA__SERVERS", connection.servers)
    monkeypatch.setenv("PERENNIAL_KAFKA__PREFIX", connection.prefix)
    monkeypatch.setenv("PERENNIAL_KAFKA__EMBEDDED", "true")
    topics.create(connection, 4)
    good = b'{"type":"click","user":"u1","item":"sku1"}'
    wrong = [
        (good, Source("events.in", 0, 0), InvalidEvent("bad_time", "at", "1700000000", "milliseconds")),
        (b"{\x1b", Source("events.in", 1, 5), InvalidEvent("bad_json", "", "{", "JSON of one event")),
        (good, Source("door:a", 0, 3), InvalidEvent("bad_time", "at", "now", "milliseconds")),
        (b"\xff\xfe", Source("file:9f", 0, 9), ValueError("boom")),
    ]
    outputs = [reject_value(v, source, error, at=AT + n * HOUR) for n, (v, source, error) in enumerate(wrong)]

    async def write() -> None:
        async with EventLog(connection, 4) as log:
            await log.write(outputs)

    asyncio.run(write())


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert cli.run(["dlq", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_list_counts_by_reason_and_shows_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "list", "--limit", "2")

    assert found["total"] == 4
    assert [(row["reason"], row["count"]) for row in found["reasons"]] == [
        ("bad_time", 2),
        ("bad_json", 1),
        ("fold_failed", 1),
    ]
    assert [row["id"] for row in found["letters"]] == ["file:9f/0/9", "door:a/0/3"]
    assert cli.run(["dlq", "list"]) == 0
    text = capsys.readouterr().out
    assert "2026-05-01T12:00:00Z" in text
    assert "events.in/1/5" in text


def test_filters_are_combined(capsys: pytest.CaptureFixture[str]) -> None:
    def ids(*arguments: str) -> list[str]:
        return sorted(row["id"] for row in told(capsys, "list", *arguments)["letters"])

    assert ids("--reason", "bad_time") == ["door:a/0/3", "events.in/0/0"]
    assert ids("--source", "events.in") == ["events.in/0/0", "events.in/1/5"]
    assert ids("--since", "2026-05-01T13:30:00Z") == ["door:a/0/3", "file:9f/0/9"]
    assert ids("--reason", "bad_time", "--source", "door:") == ["door:a/0/3"]
    assert len(ids("--since", "5000w")) == 4
    assert cli.run(["dlq", "list", "--since", "yesterday"]) == 2
    assert "2h or 7d" in capsys.readouterr().err


def test_a_dead_letter_is_shown_in_full_with_visible_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "show", "events.in/1/5")

    assert (shown["reason"], shown["allowed"], shown["length"], shown["kept"]) == (
        "bad_json",
        "JSON of one event",
        2,
        2,
    )
    assert shown["content"] == "{\\x1b"
    assert len(shown["sha256"]) == 64
    assert cli.run(["dlq", "show", "file:9f/0/9"]) == 0
    assert "b'\\xff\\xfe'" in capsys.readouterr().out
    assert cli.run(["dlq", "show", "events.in/0/99"]) == 2
    assert "no such dead letter" in capsys.readouterr().err


def test_dlq_replay_reports_the_sent_and_the_refused_letters(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["dlq", "replay"]) == 2
    assert "name what to replay" in capsys.readouterr().err

    first = told(capsys, "replay", "--reason", "bad_time")
    assert sorted(first["sent"]) == ["door:a/0/3", "events.in/0/0"]
    rest = told(capsys, "replay", "--all", code=1)
    assert (rest["sent"], sorted(rest["sent_before"])) == ([], sorted(first["sent"]))
    assert rest["refused"].keys() == {"events.in/1/5", "file:9f/0/9"}

    assert cli.run(["dlq", "replay", "events.in/1/5", "nowhere/0/0"]) == 1
    text = capsys.readouterr().out
    assert "nowhere/0/0: there is no such dead letter" in text
    assert "0 sent, 0 were sent before, 2 refused" in text
