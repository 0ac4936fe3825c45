"""``perennial token`` prints tokens that the HTTP door accepts."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from models.units import now_ms
from stream.cli import run
from stream.collector.configured import server_tokens, user_tokens
from stream.settings.loading import load
from stream.settings.sources import InvalidSettings


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "perennial.yaml"
    file.write_text("version: 1\n")
    return str(file)


def test_a_token_for_a_user_works_without_any_setting(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "user", "a/b 😀", "--config", config]) == 0
    token = capsys.readouterr().out.strip()

    assert user_tokens(load(Path(config))).user(token, now_ms()) == "a/b 😀"
    secret = Path(config).parent / ".perennial" / "user_tokens.secret"
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_token_is_signed_with_the_secret_of_the_settings(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s" * 32)
    Path(config).write_text("version: 1\nhttp: {user_token_secrets: [{env: SECRET}]}\n")

    assert run(["token", "user", "ada", "--expires", "24h", "--json", "--config", config]) == 0
    said = orjson.loads(capsys.readouterr().out)

    assert user_tokens(load(Path(config))).user(said["token"], said["expires"] * 1000 - 1) == "ada"
    assert not (Path(config).parent / ".perennial").exists()


@pytest.mark.parametrize(
    "arguments", [["ada", "--expires", "25h"], ["ada", "--expires", "soon"], [""], ["x" * 201], ["a\x00b"]]
)
def test_token_refuses_arguments_that_cannot_work(
    config: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["token", "user", *arguments, "--config", config]) == 2
    assert "allowed" in capsys.readouterr().err


def test_server_tokens_are_new_each_time_and_long_enough(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["token", "server"]) == 0
    assert run(["token", "server", "--role", "viewer", "--json"]) == 0
    first, rest = capsys.readouterr().out.split("\n", 1)
    second = orjson.loads(rest)

    assert first != second["token"]
    (tmp_path / "token").write_text(first)
    (tmp_path / "perennial.yaml").write_text("version: 1\nhttp: {server_tokens: [{file: token, role: viewer}]}\n")
    assert server_tokens(load(tmp_path / "perennial.yaml")) == [first.encode()]
    assert run(["token", "server", "--role", "admin"]) == 2


@pytest.mark.parametrize(("setting", "read"), [("user_token_secrets", user_tokens), ("server_tokens", server_tokens)])
def test_a_short_secret_is_refused_and_not_shown(tmp_path: Path, setting: str, read: object) -> None:
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "perennial.yaml").write_text(f"version: 1\nhttp: {{{setting}: [{{file: secret}}]}}\n")

    assert callable(read)
    with pytest.raises(InvalidSettings, match=rf"http\.{setting}\[0\].*at least \d+ bytes") as caught:
        read(load(tmp_path / "perennial.yaml"))
    assert "hunter2" not in str(caught.value)
