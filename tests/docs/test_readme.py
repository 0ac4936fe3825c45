"""The documents are true: their commands run, their files exist, and their settings are known."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream import presets
from stream.cli import commands
from stream.settings import loading as settings
from tests.support.brokers import free_ports
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md")
DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text() for pattern in PAGES for path in sorted(ROOT.glob(pattern))}
PERENNIAL = f"{sys.executable} -m stream.cli"
PORTS = [
    *("HTTP__PORT", "WORKER__PORT"),
    *(f"METRICS__{name}" for name in ("FOLD", "DELIVER", "LEARN", "RETRAINER", "COLLECTOR", "WORKER")),
]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def first_event() -> str:
    """Return the block of "Your first own event" that is typed in the second terminal."""
    return next(block for block in blocks("sh") if "perennial send" in block)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment variables for a second terminal, while ``perennial up`` runs in a temporary folder on free ports."""
    presets.write("shop", tmp_path)
    broker, *ports = free_ports(1 + len(PORTS))
    given = {f"PERENNIAL_{name}": str(port) for name, port in zip(PORTS, ports, strict=True)}
    environment = {**os.environ, **given, "COLUMNS": "200"}
    up = subprocess.Popen(
        [*PERENNIAL.split(), "up", "--broker-port", str(broker)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert up.stdout is not None
    try:
        said = []
        for line in up.stdout:
            said.append(line)
            if "ready" in line:
                break
        else:
            pytest.fail("".join(said))
        there = {"PERENNIAL_KAFKA__SERVERS": f"127.0.0.1:{broker}", "PERENNIAL_KAFKA__EMBEDDED": "true"}
        yield {**environment, **there}
    finally:
        up.terminate()
        up.communicate(timeout=60)


def shell(command: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = command.replace(".venv/bin/perennial", PERENNIAL)
    return subprocess.run(
        ["bash", "-euc", command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
def test_the_first_event_has_the_results_that_the_readme_describes(house: dict[str, str], tmp_path: Path) -> None:
    assert len(first_event().strip().splitlines()) == 3

    typed = shell(first_event(), tmp_path, house)
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert "Ada" in typed.stdout
    assert "49.90" in typed.stdout

    # The fold decides about the message when it folds the event. The delivery follows shortly afterwards.
    answer: dict[str, Any] = {}
    for _ in range(60):
        shown = shell(".venv/bin/perennial user ada --json", tmp_path, house)
        answer = json.loads(shown.stdout)
        if answer["messages"] and list((tmp_path / ".perennial/outbox").glob("**/*.eml")):
            break
    assert [message["rule"] for message in answer["messages"]] == ["first_order"]
    (mail,) = (tmp_path / ".perennial/outbox").glob("**/*.eml")
    assert "ada@shop.example" in mail.read_text()

    door = next(block for block in blocks("sh") if block.startswith("curl"))
    posted = shell(door.replace(":8080", f":{house['PERENNIAL_HTTP__PORT']}"), tmp_path, house)
    assert json.loads(posted.stdout)["success"] is True

    edited = shell(next(block for block in blocks("sh") if block.startswith("sed")), tmp_path, house)
    assert edited.returncode == 0, edited.stdout + edited.stderr
    assert "{for: 20m}" in (tmp_path / "perennial.yaml").read_text()
    assert "configuration version 2 is in use from now on" in edited.stdout


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_that_a_document_names_exists(name: str) -> None:
    named = set(re.findall(r"\bperennial ([a-z]+)\b", "\n".join(re.findall(r"`+[^`]+`+", DOCUMENTS[name]))))

    assert named <= commands().keys()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_that_a_document_names_exists(name: str) -> None:
    named = set(re.findall(r"^    make ([a-z-]+)|`make ([a-z-]+)", DOCUMENTS[name], flags=re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))

    assert {a or b for a, b in named} <= targets


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_document_names_exists(name: str) -> None:
    named = re.findall(r"`((?:models|agents|stream|monitoring|tests|docs)/[\w./-]+)`", DOCUMENTS[name])
    linked = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", DOCUMENTS[name])
    folder = (ROOT / name).parent

    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [path for path in linked if not (folder / path).exists()]
    assert not missing


def test_the_example_with_another_kafka_is_valid() -> None:
    (example,) = [block for block in blocks("yaml") if "sasl" in block]
    written = yaml.safe_load(example)

    flags = {f"kafka.{name}": value for name, value in written["kafka"].items()}
    loaded = settings.load(environment={"KAFKA_PASSWORD": "secret"}, flags=flags)

    assert loaded.sections.kafka.sasl is not None
    assert loaded.sections.kafka.sasl.mechanism == "SCRAM-SHA-512"
    assert not loaded.embedded


def test_the_readme_names_the_default_port() -> None:
    named = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", README)}

    assert named == {settings.load(environment={}).sections.http.port}


def test_every_metric_of_the_runbook_is_declared() -> None:
    from monitoring.declarations import DECLARED

    exposed = {declared.exposed for declared in DECLARED}
    assert set(re.findall(r"`(perennial_[a-z_]+)`", RUNBOOK)) <= exposed
