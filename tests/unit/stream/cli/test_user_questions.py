"""``perennial user USER --messages`` and ``--why-not JOURNEY``: what is asked, and how the answers are shown."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.fold.moments import moment
from models.log import opening
from models.units import DAY, HOUR
from stream.cli import run
from stream.cli.user_messages import show_messages
from stream.cli.why_not import show_why_not
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.partitioner import partition_of
from stream.installation.user_records import decisions_of, signals_of
from stream.log.event_log import EventLog
from stream.lookup.client import UnknownUser, ask_json
from stream.lookup.server import LookupServer
from tests.support.answering import IDENTITY, serving
from tests.support.brokers import Cluster
from tests.support.event_logs import START, fold_log
from tests.support.event_logs import written as written_records
from tests.support.topic_reading import write
from tests.unit.models.fold.test_journey_reasons import BEGUN, PLAIN, answer
from tests.unit.models.fold.test_message_view import described, folded, story
from tests.unit.models.fold.test_partition_journeys import configuration, consent, known, tick

LOG = (configuration(1, PLAIN), tick(0), known("u1"), consent("u1"), tick(HOUR), BEGUN)


@pytest.fixture
def address() -> Iterator[str]:
    state, _ = folded(*LOG)
    server = LookupServer(restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity=IDENTITY)
    with serving(server) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_worker_answers_both_questions(address: str) -> None:
    said = asyncio.run(ask_json([address], "/v1/users/u1/why-not/trial"))
    kept = asyncio.run(ask_json([address], "/v1/users/u1/messages"))

    assert (said["journey"], said["would_enter"], said["runs"][0]["step"]) == ("trial", False, "setup")
    assert [(one["rule"], one["outcome"], one["kept_in"]) for one in kept["messages"]] == [
        ("trial/first", "sent", "profile")
    ]
    for path, reason in (("u1/why-not/trail", "did you mean trial"), ("u2/messages", "no user 'u2'")):
        with pytest.raises(UnknownUser, match=reason):
            asyncio.run(ask_json([address], f"/v1/users/{path}"))


def test_two_questions_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text("version: 1\n")

    assert run(["user", "u1", "--messages", "--why-not", "trial", "--config", str(file)]) == 2
    assert "--why, --why-not and --messages are three questions" in capsys.readouterr().err


def test_decisions_are_shown_with_reason_and_delivery_the_newest_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    state, decisions = story()

    show_messages(described(state, decisions, START))

    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [
        "u1  messages as of 2026-01-06 21:00 UTC, the newest first",
        "all decisions since 2026-01-01 00:00; before that only what the profile keeps",
    ]
    assert "2026-01-02 10:00  email  trial/first: sent, delivered" in lines
    place = lines.index("2026-01-06 00:00  email  trial/first: dropped (no_consent)")
    assert lines[place + 1] == "no consent on record for the purpose and the channel"
    assert (
        lines[2] == "2026-01-06 21:00  email  trial/first: deferred (quiet_hours) until 2026-01-07 10:00, and waits now"
    )
    assert place < lines.index("2026-01-02 10:00  email  trial/first: sent, delivered")


def test_why_not_shows_the_rules_the_messages_and_what_has_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    history = [{"at": moment(START), "what": "refused", "outcome": "no_key", "run": None, "control_group": False}]
    enter = {**PLAIN["enter"], "if": {"trait": "plan", "is": "pro"}}
    state, _ = folded(configuration(1, {**PLAIN, "enter": enter}), tick(0), known("u1"))

    show_why_not(answer(state) | {"history": history})

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "u1 is not in trial as of 2026-01-01 00:00 UTC"
    assert lines[1] == "a trigger would begin no run now"
    assert "condition no the condition is false" in lines
    assert "again yes again: after 10d; the user has never entered" in lines
    assert "found missing; wanted is: pro" in lines
    assert "first dropped, no consent on record for the purpose and the channel" in lines
    assert "2026-01-01 00:00 refused: no_key" in lines


def test_a_run_in_the_control_group_is_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    state, _ = folded(configuration(1, {**PLAIN, "holdout": "100%"}), *LOG[1:])

    show_why_not(answer(state) | {"history": []})

    said = " ".join(capsys.readouterr().out.split())
    assert "u1 is in trial since 2026-01-01 01:00, at setup until 2026-01-04 01:00, in the control group" in said


@pytest.mark.kafka
def test_the_answers_come_from_the_log_and_from_the_topics(
    kafka: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection, file = kafka.connection, tmp_path / "perennial.yaml"
    file.write_text(
        f"version: 1\nkafka: {{servers: '{connection.servers}', prefix: {connection.prefix}, partitions: 2}}\n"
    )
    topics.create(connection, 2)
    asyncio.run(_write(connection))

    def asked(*question: str) -> Any:
        when = str(moment(START + 2 * HOUR))
        assert run(["user", "u1", "--at", when, "--json", "--config", str(file), *question]) == 0
        return json.loads(capsys.readouterr().out)

    messages, journey = asked("--messages"), asked("--why-not", "trial")

    assert [(one["rule"], one["outcome"], one["kept_in"]) for one in messages["messages"]] == [
        ("trial/first", "sent", "decisions")
    ]
    assert messages["decisions_since"] == moment(START + HOUR)
    assert [(one["what"], one["at"]) for one in journey["history"]] == [("entered", moment(START + HOUR))]
    decisions, signals = asyncio.run(_read(connection))
    assert ([one.user for one in decisions], {one.user for one in signals}) == (["u1"], {"u1"})


async def _read(connection: Connection) -> tuple[list[Any], list[Any]]:
    return (await decisions_of(connection, 2, "u1")).records, (await signals_of(connection, 2, "u1")).records


async def _write(connection: Connection) -> None:
    """Write a log with one user, whose partition is one of two, and what a fold writes to the other topics."""
    partition = partition_of(b"u1", 2)
    async with EventLog(connection, 2) as log:
        await log.ensure_clock("feeder")
        records = written_records([*LOG, tick(DAY)])
        await log.write_at([(partition, record.key or b"", record.value or b"") for record in records])
    await _write_outputs(connection, partition)


async def _write_outputs(connection: Connection, partition: int) -> None:
    _, given = fold_log(written_records([opening("feeder"), *LOG]), itertools.repeat(1_000))
    for topic in ("decisions", "signals"):
        records = [(one.key, one.value) for outputs in given for one in outputs.commit.records if one.topic == topic]
        pairs = [(key, value) for key, value in records if value is not None]
        others = [(b"u9", value.replace(b'"u1"', b'"u9"')) for _, value in pairs]
        await write(connection, topic, [*pairs, *others], partition)
