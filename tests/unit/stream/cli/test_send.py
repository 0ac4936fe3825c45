from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.events import Event, decode_event
from models.log import is_control
from stream.cli import run
from stream.cluster import topics
from stream.installation.embedded_broker import EmbeddedBroker
from stream.log.event_log import EventLog
from tests.support.topic_reading import read_all

PREFIX = "send."


@pytest.fixture(scope="module")
def installation(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of an installation whose topics exist."""
    topics.create(embedded_broker.connection(PREFIX), 4)
    file = tmp_path_factory.mktemp("send") / "perennial.yaml"
    file.write_text(
        f"version: 1\nkafka: {{servers: '{embedded_broker.address}', embedded: true, prefix: {PREFIX}}}\n"
        "http: {port: 0}\nmetrics: {collector: 0}\n"
    )
    return file


def sent(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run(["send", *arguments, "--json"])
    return code, orjson.loads(capsys.readouterr().out)


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put lines on standard input."""
    with ExitStack() as opened:

        def put(*lines: str) -> None:
            file = tmp_path / "lines"
            file.write_text("\n".join(lines))
            monkeypatch.setattr("sys.stdin", opened.enter_context(file.open()))

        yield put


def test_send_prints_the_id_and_the_place_of_each_event(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = '{"type":"click","user":"u1","item":"sku1","messageId":"m1"}'

    code, said = sent(capsys, event, "--config", str(installation))

    (one,) = said["sent"]
    assert code == 0
    assert (one["id"], one["user"], one["type"]) == ("m1", "u1", "click")
    assert one["offset"] >= 1  # the record of the log's clock comes first


def test_text_shows_partition_and_offset(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["send", '{"type":"page","userId":"u1","messageId":"m7"}', "--config", str(installation)]) == 0

    assert "sent m7 (page_view of u1): partition " in capsys.readouterr().out


def test_lines_from_standard_input_are_sent_and_bad_ones_named(
    installation: Path,
    embedded_broker: EmbeddedBroker,
    capsys: pytest.CaptureFixture[str],
    typed: Callable[..., None],
) -> None:
    lines = ['{"type":"click","user":"in","id":"a"}', "", "nonsense", '{"type":"click","user":5}']
    lines += ['{"userId":"in","messageId":"b","type":"track","event":"Own"}']
    typed(*lines)

    code = run(["send", "-", "--config", str(installation), "--test"])

    errors = capsys.readouterr().err
    assert code == 2
    assert "line 3: found" in errors
    assert "line 4: user: found 5; allowed: a string" in errors
    events = [event for event in in_the_log(embedded_broker) if event.user == "test:in"]
    assert [(event.id, event.origin) for event in events] == [("a", "test"), ("b", "test")]


def test_the_withdrawal_in_a_refused_line_is_sent(
    installation: Path,
    embedded_broker: EmbeddedBroker,
    capsys: pytest.CaptureFixture[str],
    typed: Callable[..., None],
) -> None:
    typed('{"type":"identify","userId":"gone","messageId":"w","timestamp":"soon","traits":{"unsubscribed":true}}')

    code = run(["send", "-", "--config", str(installation)])

    assert code == 2
    assert "the withdrawal of consent in it is still sent" in capsys.readouterr().err
    (event,) = [event for event in in_the_log(embedded_broker) if event.user == "gone"]
    assert (event.id, event.traits) == ("w~withdrawal", {"unsubscribed": True})


def test_send_names_the_details_that_are_left_out_of_an_event(
    installation: Path, capsys: pytest.CaptureFixture[str], typed: Callable[..., None]
) -> None:
    typed('\ufeff{"type":"identify","user":"w","id":"w1","traits":{"email":"no-address","plan":"pro"}}', "\ufeff", " ")

    code = run(["send", "-", "--config", str(installation)])

    printed = capsys.readouterr()
    assert code == 0
    assert "sent w1 (identify of w)" in printed.out
    assert "line 1: warning: traits.email: found 'no-address'; allowed: one address" in printed.err


def test_send_reads_a_pipe_without_the_argument_dash(
    installation: Path, capsys: pytest.CaptureFixture[str], typed: Callable[..., None]
) -> None:
    typed('{"type":"click","user":"piped","id":"p1"}', '{"type":"click","user":"piped","id":"p2"}')

    code, said = sent(capsys, "--config", str(installation))

    assert code == 0
    assert [one["id"] for one in said["sent"]] == ["p1", "p2"]


def test_an_empty_pipe_is_reported(capsys: pytest.CaptureFixture[str], typed: Callable[..., None]) -> None:
    typed("")

    assert run(["send"]) == 0
    assert "nothing to send" in capsys.readouterr().err


def in_the_log(broker: EmbeddedBroker) -> list[Event]:
    """Return the events of the log. The command that sent them has ended, so all of them are in the log."""
    records = asyncio.run(read_all(broker.connection(PREFIX), "events"))
    return [decode_event(record.value or b"") for record in records if not is_control(record.key)]


def test_send_refuses_an_invalid_event_in_one_line_and_without_a_broker(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nowhere = tmp_path / "perennial.yaml"
    nowhere.write_text("version: 1\nkafka: {servers: '127.0.0.1:1'}\n")

    code = run(["send", '{"type":"click","user":"u1","at":1700000000}', "--config", str(nowhere)])

    assert code == 2
    assert capsys.readouterr().err == (
        "perennial: at: found 1700000000; allowed: milliseconds since the epoch; this looks like seconds: "
        "did you mean 1700000000000?\n"
    )


def test_send_reports_an_unreachable_broker(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nowhere = tmp_path / "perennial.yaml"
    nowhere.write_text("version: 1\nkafka: {servers: '127.0.0.1:1'}\n")

    code = run(["send", '{"type":"click","user":"u1"}', "--config", str(nowhere)])

    assert code == 69
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_send_reports_an_unreachable_door(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["send", '{"type":"click","user":"u1"}', "--http", "http://127.0.0.1:1"])

    assert code == 2
    assert "no HTTP door answers at http://127.0.0.1:1" in capsys.readouterr().err


@contextmanager
def collector(installation: Path) -> Iterator[str]:
    """Run the HTTP door as a separate process, and yield its address."""
    command = [sys.executable, "-m", "stream.cli", "collector", "--config", str(installation)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
        assert process.wait(20) == 0


def test_send_posts_its_lines_to_a_door_that_runs_as_a_process(
    installation: Path, capsys: pytest.CaptureFixture[str], typed: Callable[..., None]
) -> None:
    lines = [f'{{"type":"click","user":"u{i}","id":"http{i}"}}' for i in range(700)]
    with collector(installation) as address:
        typed(*lines)
        code, said = sent(capsys, "-", "--http", address)

    assert code == 0
    assert [one["id"] for one in said["sent"]] == [f"http{i}" for i in range(700)]
    assert {one["partition"] for one in said["sent"]} == {0, 1, 2, 3}


def test_send_writes_each_line_before_it_reads_the_next_one(installation: Path) -> None:
    command = [sys.executable, "-m", "stream.cli", "send", "-", "--config", str(installation)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("one", "two"):
            process.stdin.write(f'{{"type":"click","user":"u1","id":"{name}"}}\n')
            assert f"sent {name} " in process.stdout.readline()
        process.stdin.close()
        assert process.wait(20) == 0


def test_ctrl_c_ends_send_while_send_waits_for_a_line(installation: Path) -> None:
    command = [sys.executable, "-m", "stream.cli", "send", "-", "--config", str(installation)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"type":"click","user":"u1","id":"only"}\n')
        assert "sent only " in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_the_door_refuses_a_log_that_a_replay_feeds(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    connection = embedded_broker.connection("fed.")
    topics.create(connection, 1)

    async def feed() -> None:
        async with EventLog(connection, 1) as log:
            await log.ensure_clock("feeder")

    asyncio.run(feed())
    file = tmp_path / "perennial.yaml"
    file.write_text(
        f"version: 1\nkafka: {{servers: '{embedded_broker.address}', embedded: true, prefix: fed., partitions: 1}}\n"
    )

    for command in (["collector", "--port", "0"], ["send", '{"type":"click","user":"u1"}']):
        ended = subprocess.run(
            [sys.executable, "-m", "stream.cli", *command, "--config", str(file)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ended.returncode == 2
        assert "is fed by a replay or a simulation" in ended.stderr
        assert "Traceback" not in ended.stderr
