"""The record of a running installation gives the settings that are missing. The record of a dead process is ignored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stream.cli import run
from stream.installation.check import findings
from stream.settings.installation_record import FILE, RunsAlready, owned, read, runs
from stream.settings.loading import Settings, load

RECORD: dict[str, Any] = {
    "kafka.servers": "127.0.0.1:29092",
    "kafka.embedded": True,
    "kafka.prefix": "shop.",
    "kafka.partitions": 6,
    "http.host": "127.0.0.1",
    "http.port": 8081,
    "worker.port": 8407,
    "metrics.fold": None,
}


def loaded(home: Path, text: str = "", environment: dict[str, str] | None = None, **flags: Any) -> Settings:
    (home / "perennial.yaml").write_text(f"version: 1\n{text}")
    return load(
        home / "perennial.yaml", {name.replace("_", "."): value for name, value in flags.items()}, environment or {}
    )


def test_a_command_finds_broker_and_ports_of_the_installation_in_its_folder(tmp_path: Path) -> None:
    with owned(tmp_path / ".perennial") as owner:
        owner.write(RECORD, [])
        settings = loaded(tmp_path)

    assert (settings.servers, settings.embedded, settings.sections.kafka.prefix) == ("127.0.0.1:29092", True, "shop.")
    assert (settings.partitions, settings.sections.http.port, settings.sections.worker.port) == (6, 8081, 8407)
    assert settings.sections.metrics.fold is None
    assert FILE in settings.given.source("kafka.servers")
    assert settings.given.source("metrics.learn") == "default"


def test_flags_win_over_environment_over_file_over_record(tmp_path: Path) -> None:
    with owned(tmp_path / ".perennial") as owner:
        owner.write(RECORD, [])
        settings = loaded(
            tmp_path,
            "http: {port: 1}\nworker: {port: 1}\nmetrics: {fold: 1}",
            {"PERENNIAL_WORKER__PORT": "2", "PERENNIAL_METRICS__FOLD": "2"},
            metrics_fold=3,
        )

    assert (settings.sections.http.port, settings.sections.worker.port, settings.sections.metrics.fold) == (1, 2, 3)


def test_another_folder_has_another_installation(tmp_path: Path) -> None:
    with owned(tmp_path / ".perennial") as owner:
        owner.write(RECORD, [])
        settings = loaded(tmp_path, "folder: elsewhere")

    assert settings.servers == "127.0.0.1:9092"


def test_the_brokers_address_alone_is_enough_to_use_the_record(tmp_path: Path) -> None:
    with owned(tmp_path / ".perennial") as owner:
        owner.write(RECORD, [])
        settings = loaded(tmp_path, "", {"PERENNIAL_KAFKA__SERVERS": "localhost:29092"})

    assert (settings.embedded, settings.partitions) == (True, 6)


def test_the_record_is_ignored_with_a_note_if_it_has_the_address_of_another_broker(tmp_path: Path) -> None:
    with owned(tmp_path / ".perennial") as owner:
        owner.write(RECORD, [])
        settings = loaded(tmp_path, "kafka: {servers: 'kafka.example:9092'}")

    assert (settings.servers, settings.embedded, settings.sections.http.port) == ("kafka.example:9092", False, 8080)
    assert "because it names another broker" in settings.note


def test_the_partitions_of_the_record_do_not_apply_to_another_prefix(tmp_path: Path) -> None:
    with owned(tmp_path / ".perennial") as owner:
        owner.write(RECORD, [])
        settings = loaded(tmp_path, "kafka: {prefix: other.}")

    assert (settings.servers, settings.sections.kafka.prefix, settings.partitions) == ("127.0.0.1:29092", "other.", 4)


def test_the_record_of_a_killed_process_is_ignored_with_a_note_and_replaced_by_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / ".perennial"
    script = (
        "import sys, pathlib; from stream.settings.installation_record import owned\n"
        f"with owned(pathlib.Path({str(folder)!r})) as owner:\n"
        f"    owner.write({RECORD!r}, []); print('there', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        alive = loaded(tmp_path).servers, runs(folder)
        with (
            pytest.raises(
                RunsAlready, match=rf"already runs in .*\(process {other.pid} since .*broker 127.0.0.1:29092"
            ),
            owned(folder),
        ):
            pass
        other.kill()
        other.wait()
    dead = loaded(tmp_path)

    assert alive == ("127.0.0.1:29092", True)
    assert (dead.servers, runs(folder)) == ("127.0.0.1:9092", False)
    assert f"because its installation has ended (process {other.pid}" in dead.note
    assert [finding.says for finding in findings(dead, offline=True) if finding.name == "installation"] == [dead.note]
    with owned(folder) as owner:
        owner.write(RECORD | {"http.port": 8099}, [])
        assert loaded(tmp_path).sections.http.port == 8099
    assert read(folder) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\x00"])
def test_a_file_that_is_not_a_record_is_ignored(tmp_path: Path, content: str) -> None:
    folder = tmp_path / ".perennial"
    with owned(folder):
        (folder / FILE).write_text(content)
        assert loaded(tmp_path).servers == "127.0.0.1:9092"


def test_the_record_of_a_living_process_without_the_lock_is_ignored(tmp_path: Path) -> None:
    # The process id in the record may belong to another process by now.
    folder = tmp_path / ".perennial"
    folder.mkdir()
    (folder / FILE).write_text(json.dumps({"pid": os.getpid(), "started": "2026-01-01T00:00:00Z", "settings": RECORD}))

    assert loaded(tmp_path).servers == "127.0.0.1:9092"


def test_config_show_names_the_record_as_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with owned(tmp_path / ".perennial") as owner:
        owner.write(RECORD, [])
        assert run(["config", "show", "--json"]) == 0
    rows = {row["setting"]: row for row in json.loads(capsys.readouterr().out)}

    assert (rows["http.port"]["value"], rows["http.port"]["source"]) == (
        8081,
        f"{Path('.perennial', FILE)} (perennial up, process {os.getpid()})",
    )
