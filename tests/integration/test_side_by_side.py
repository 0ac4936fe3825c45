"""Two installations on one machine, with default ports: every command finds the one of its folder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stream.installation.commands import perennial
from tests.support.processes import await_true

pytestmark = pytest.mark.slow(together=True)
FILE = "version: 1\nretrainer: {every: 10m}\n"
OWN = {name: value for name, value in os.environ.items() if not name.startswith("PERENNIAL_")}


def command(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        perennial(*arguments), cwd=folder, env={**OWN, **more}, capture_output=True, text=True, timeout=90, check=False
    )


@contextmanager
def process(folder: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    with (
        (folder / "stderr").open("w") as err,
        subprocess.Popen(
            perennial(*arguments), cwd=folder, env={**OWN, **more}, stdout=subprocess.PIPE, stderr=err, text=True
        ) as started,
    ):
        try:
            yield started
        finally:
            started.kill()


def ready(up: subprocess.Popen[str], folder: Path) -> list[str]:
    """Return the lines that ``perennial up`` printed until it was ready."""
    assert up.stdout is not None
    lines: list[str] = []
    for line in up.stdout:
        lines.append(line.strip())
        if line.startswith("ready"):
            return lines
    raise AssertionError(f"it ended: {lines}; {(folder / 'stderr').read_text()}")


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """Folder of each installation, and the lines that it printed; both are started at the same time."""
    with ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            home = tmp_path_factory.mktemp(name)
            (home / "perennial.yaml").write_text(FILE)
            found.append((home, stack.enter_context(process(home, "up"))))
        yield {str(home): ready(up, home) for home, up in found}


def record(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / ".perennial" / "installation.json").read_text())
    return found


def post(port: int, user: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/track",
        json.dumps({"userId": user, "event": "Product Viewed", "properties": {"product_id": "p1"}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return int(answer.status)


def known(home: Path, user: str) -> bool:
    return command(home, "user", user, "--json").returncode == 0


def test_each_command_finds_the_installation_of_its_folder_without_variables(homes: dict[str, list[str]]) -> None:
    one, two = map(Path, homes)
    sent = [command(home, "send", json.dumps({"type": "click", "user": home.name, "item": "a"})) for home in (one, two)]

    assert [each.returncode for each in sent] == [0, 0], [each.stderr for each in sent]
    for home in (one, two):
        await_true(lambda home=home: known(home, home.name), 60)  # type: ignore[misc]
    assert not known(one, two.name)
    assert not known(two, one.name)
    for home in (one, two):
        checked = command(home, "check", "--json")
        assert checked.returncode == 0, checked.stdout
        assert command(home, "dlq", "list", "--json").returncode == 0


def test_the_printed_addresses_are_the_real_ones_and_no_port_is_used_twice(homes: dict[str, list[str]]) -> None:
    ports: list[int] = []
    for home, lines in homes.items():
        found = record(Path(home))["settings"]
        ports += [value for value in found.values() if isinstance(value, int) and value > 1000]
        said = "\n".join(lines)
        assert f"broker    {found['kafka.servers']} " in said
        assert f"http://127.0.0.1:{found['http.port']}/v1/track" in said
        assert post(found["http.port"], "through-the-door") == 200
        default = found["http.port"] == 8080
        assert default or f"port 8080 is taken: http.port is {found['http.port']}" in said
        ports.append(int(found["kafka.servers"].rpartition(":")[2]))
    assert len(ports) == len(set(ports)) == 18


def test_a_second_installation_in_a_folder_is_refused_with_the_first_ones_address(homes: dict[str, list[str]]) -> None:
    home = Path(next(iter(homes)))

    refused = command(home, "up")

    assert refused.returncode == 2
    found = record(home)
    assert f"already runs in {home / '.perennial'} (process {found['pid']} since {found['started']}" in refused.stderr
    assert found["settings"]["kafka.servers"] in refused.stderr


def test_a_second_collector_writes_into_the_same_log(homes: dict[str, list[str]]) -> None:
    home = Path(next(iter(homes)))
    with process(home, "collector", "--port", "0") as collector:
        port = _port_of(collector)
        assert post(port, "beside") == 200
    await_true(lambda: known(home, "beside"), 60)


def test_the_address_of_the_embedded_broker_is_enough_in_another_folder(
    homes: dict[str, list[str]], tmp_path: Path
) -> None:
    home = Path(next(iter(homes)))
    servers = {"PERENNIAL_KAFKA__SERVERS": str(record(home)["settings"]["kafka.servers"])}

    checked = command(tmp_path, "check", "--json", **servers)
    with process(tmp_path, "collector", "--port", "0", **servers) as collector:
        assert post(_port_of(collector), "from-elsewhere") == 200
    own = command(tmp_path, "up", **servers)

    findings = {finding["name"]: finding for finding in json.loads(checked.stdout)}
    assert findings["broker"]["says"].startswith("the embedded broker at")
    assert (checked.returncode, findings["topics"]["result"]) == (0, "ok")
    await_true(lambda: known(home, "from-elsewhere"), 60)
    assert own.returncode == 2
    assert "is the embedded broker of an installation that runs: leave kafka.servers out" in own.stderr


def test_a_port_that_was_set_and_is_taken_is_named_with_its_setting(
    homes: dict[str, list[str]], tmp_path: Path
) -> None:
    port = record(Path(next(iter(homes))))["settings"]["http.port"]
    (tmp_path / "perennial.yaml").write_text(f"version: 1\nhttp: {{port: {port}}}\n")

    refused = command(tmp_path, "up")

    assert refused.returncode == 2
    assert f"port {port} is taken; http.port names it (perennial.yaml:2)" in refused.stderr
    assert not (tmp_path / ".perennial" / "installation.json").exists()


def test_the_record_of_a_stopped_installation_is_removed(tmp_path: Path) -> None:
    (tmp_path / "perennial.yaml").write_text(FILE)
    with process(tmp_path, "up") as up:
        ready(up, tmp_path)
        assert record(tmp_path)["pid"] == up.pid
        up.send_signal(signal.SIGTERM)
        up.wait(60)

    assert not (tmp_path / ".perennial" / "installation.json").exists()


def _port_of(collector: subprocess.Popen[str]) -> int:
    assert collector.stdout is not None
    found = re.search(r":(\d+)\s*$", collector.stdout.readline())
    assert found is not None, "it ended"
    return int(found[1])
