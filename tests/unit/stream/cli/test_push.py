"""``perennial push`` makes a key that web push can use, and shows its public part."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream.cli import run
from stream.delivery.push_secrets import vapid_key
from stream.settings.loading import load

WEB = 'version: 1\ndelivery: {push: {web: {private_key: {file: vapid.key}, contact: "mailto:push@shop.example"}}}\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "perennial.yaml"
    file.write_text(WEB)
    return file


def test_a_new_key_is_for_its_owner_alone_and_is_the_one_of_the_settings(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config.parent / "vapid.key"

    assert run(["push", "keys", str(file)]) == 0
    made = capsys.readouterr().out.strip()
    assert run(["push", "public-key", "--config", str(config)]) == 0
    shown = capsys.readouterr().out.strip()

    key = vapid_key(load(config))
    assert key is not None
    assert made == shown == key.public_text
    assert file.read_text().strip() == key.private_text
    assert file.stat().st_mode & 0o777 == 0o600
    assert key.private_text not in made


def test_machines_get_the_public_key_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config.parent / "vapid.key"

    assert run(["push", "keys", str(file), "--json"]) == 0
    made = orjson.loads(capsys.readouterr().out)
    assert run(["push", "public-key", "--json", "--config", str(config)]) == 0

    assert made == {**orjson.loads(capsys.readouterr().out), "file": str(file)}
    assert len(made["public_key"]) == 87


def test_a_key_is_never_overwritten(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config.parent / "vapid.key"
    file.write_text("precious\n")

    assert run(["push", "keys", str(file)]) == 2

    assert "allowed: a new file" in capsys.readouterr().err.replace("\n", " ")
    assert file.read_text() == "precious\n"


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["push", "keys", str(tmp_path / "no" / "vapid.key")]) == 2
    assert "cannot be written" in capsys.readouterr().err.replace("\n", " ")


def test_without_web_push_there_is_no_key_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text("version: 1\n")

    assert run(["push", "public-key", "--config", str(file)]) == 2
    assert "delivery.push.web" in capsys.readouterr().err
