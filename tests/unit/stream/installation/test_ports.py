"""A default port that is taken is replaced; a port that was set is never replaced."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.installation.ports import Claims, PortTaken, choose, is_taken
from stream.settings.loading import Settings, load
from tests.support.brokers import free_ports


@contextmanager
def listening(port: int = 0, host: str = "127.0.0.1") -> Iterator[int]:
    with socket.create_server((host, port)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Claims]:
    with Claims(tmp_path / "claims") as claims:
        yield claims


def settings(home: Path, text: str = "", environment: dict[str, str] | None = None) -> Settings:
    (home / "perennial.yaml").write_text(f"version: 1\n{text}")
    return load(home / "perennial.yaml", {}, environment or {})


def test_a_default_port_that_is_taken_is_replaced_by_a_free_one_with_a_note(
    tmp_path: Path, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {9092, 8080, 8391, 9101, 9102}
    monkeypatch.setattr("stream.installation.ports.is_taken", lambda host, port: port in taken)

    chosen = choose(settings(tmp_path), claims)

    ports = dict(chosen.ports)
    assert (ports["--broker-port"], ports["http.port"], ports["worker.port"]) == (9093, 8081, 8391 + 16)
    assert (ports["metrics.fold"], ports["metrics.deliver"], ports["metrics.learn"]) == (9107, 9108, 9103)
    assert "port 8080 is taken: http.port is 8081" in chosen.notes
    assert len(chosen.notes) == len(taken)
    assert len(set(ports.values())) == len(ports)


@pytest.mark.parametrize("where", ["file", "environment"])
@pytest.mark.parametrize("setting", ["http.port", "worker.port", "metrics.learn"])
def test_a_port_that_was_set_and_is_taken_is_an_error_that_names_its_place(
    tmp_path: Path, claims: Claims, setting: str, where: str
) -> None:
    section, name = setting.split(".")
    with listening() as port:
        if where == "file":
            given = settings(tmp_path, f"{section}: {{{name}: {port}}}")
        else:
            given = settings(tmp_path, "", {f"PERENNIAL_{section}__{name}".upper(): str(port)})
        origin = "perennial.yaml:2" if where == "file" else f"PERENNIAL_{section}__{name}".upper()

        with pytest.raises(PortTaken, match=rf"port {port} is taken; {setting} names it \(.*{origin}\)"):
            choose(given, claims)


def test_a_broker_port_that_was_set_and_is_taken_is_an_error(tmp_path: Path, claims: Claims) -> None:
    with listening() as port:
        with pytest.raises(PortTaken, match=rf"port {port} is taken; --broker-port names it \(a flag\)"):
            choose(settings(tmp_path), claims, port)
        with pytest.raises(PortTaken, match=rf"port {port} is taken; kafka.servers names it \(.*perennial.yaml:2\)"):
            choose(settings(tmp_path, f"kafka: {{servers: '127.0.0.1:{port}', embedded: true}}"), claims)


def test_two_addresses_of_one_broker_contradict_each_other(tmp_path: Path, claims: Claims) -> None:
    given = settings(tmp_path, "kafka: {servers: '127.0.0.1:29092', embedded: true}")

    with pytest.raises(PortTaken, match=r"--broker-port 29093 contradicts kafka.servers"):
        choose(given, claims, 29093)


def test_port_0_becomes_the_number_of_a_free_port(tmp_path: Path, claims: Claims) -> None:
    chosen = choose(settings(tmp_path, "http: {port: 0}\nmetrics: {fold: null}"), claims, 0)

    assert chosen.ports["http.port"] > 0
    assert chosen.ports["--broker-port"] > 0
    assert "metrics.fold" not in chosen.ports


def test_an_installation_with_another_kafka_needs_no_broker_port(tmp_path: Path, claims: Claims) -> None:
    chosen = choose(settings(tmp_path, "kafka: {servers: 'kafka.example:9092'}"), claims)

    assert not {"--broker-port", "kafka.servers"} & set(chosen.ports)


def test_a_port_that_another_process_has_claimed_is_taken_until_that_process_ends(tmp_path: Path) -> None:
    [port] = free_ports(1)
    script = (
        "import sys, pathlib; from stream.installation.ports import Claims\n"
        f"with Claims(pathlib.Path({str(tmp_path / 'claims')!r})) as claims:\n"
        f"    print(claims.claim('127.0.0.1', {port}), flush=True); sys.stdin.read()"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
        Claims(tmp_path / "claims") as mine,
    ):
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        meanwhile = mine.claim("127.0.0.1", port)
        other.kill()
        other.wait()
        afterwards = mine.claim("127.0.0.1", port)

    assert (theirs, meanwhile, afterwards) == ("True", False, True)


def test_a_listener_on_all_addresses_has_the_port_of_loopback_too() -> None:
    with listening(host="0.0.0.0") as port:
        assert is_taken("127.0.0.1", port)
    assert not is_taken("127.0.0.1", port)


def test_an_address_that_is_not_of_this_machine_is_not_taken() -> None:
    assert not is_taken("192.0.2.1", 8080)
