"""``perennial plan`` on a recording: it needs no broker, and shows what a changed file would change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.cli import run

RULES: list[dict[str, Any]] = [
    {"name": "cart", "when": {"cart_left": {"for": "1h"}}},
    {"name": "clicked", "when": {"event": "click"}},
]


def _settings(folder: Path, rules: list[dict[str, Any]], **more: Any) -> Path:
    for rule in RULES:
        place = folder / "templates" / rule["name"]
        place.mkdir(parents=True, exist_ok=True)
        (place / "subject.liquid").write_text("Hello")
        (place / "text.liquid").write_text("Hello {{ unsubscribe_url }}")
    file = folder / "perennial.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "timezone": "UTC", "rules": rules, **more}))
    return file


def _log(folder: Path, *more: str) -> Path:
    lines: list[dict[str, Any]] = []
    for number, user in enumerate(("ada", "bob", "cleo")):
        own = {"user": user, "at": f"2026-01-0{number + 1}T10:00:00Z"}
        lines += [
            {"type": "identify", "id": f"i-{user}", "traits": {"email": f"{user}@example.org"}, **own},
            {"type": "consent", "id": f"g-{user}", "granted": True, "channel": "email", **own},
            {"type": "cart_add", "id": f"a-{user}", "item": "mug", **own},
        ]
    lines.append({"type": "click", "id": "c", "user": "ada", "item": "mug", "at": "2026-01-06T10:00:00Z"})
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + "".join(more))
    return file


def _plan(tmp_path: Path, proposed: list[dict[str, Any]], *options: str, **more: Any) -> int:
    for name in ("now", "then"):
        (tmp_path / name).mkdir()
    now, then = _settings(tmp_path / "now", RULES), _settings(tmp_path / "then", proposed, **more)
    log = _log(tmp_path)
    return run(["plan", "--config", str(then), "--against", str(now), "--replay", str(log), *options])


def test_each_message_is_compared_and_a_recording_needs_no_broker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = [{"name": "cart", "when": {"cart_left": {"for": "2h"}}}]
    assert _plan(tmp_path, later, "--json") == 0

    found = json.loads(capsys.readouterr().out)
    assert found["totals"] == {"new": 0, "gone": 1, "moved": 3, "channel": 0, "text": 0, "reason": 0}
    assert found["gone_because"] == {"not decided": 1}
    assert [(one["rule"], one["sent_now"], one["would_send"]) for one in found["rules"]] == [
        ("cart", 3, 3),
        ("clicked", 1, 0),
    ]
    moves = [(one["user"], one["present"]["at"], one["proposed"]["at"]) for one in found["examples"][1:]]
    assert min(moves) == ("ada", "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z")
    assert found["against"].endswith("now/perennial.yaml")


def test_a_lower_cap_shows_what_it_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _plan(tmp_path, RULES, caps=[{"messages": 1, "within": "7d"}]) == 0

    shown = capsys.readouterr().out
    assert "gone because: capped 1" in shown
    assert (
        "gone    ada   clicked  sent 2026-01-06 10:00 email  dropped 2026-01-06 10:00 email (capped: 1 in 7d" in shown
    )
    assert "So this shows decisions, not their effects." in shown


def test_the_same_file_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _plan(tmp_path, RULES) == 0
    assert "no message changes" in capsys.readouterr().out


def test_decisions_before_the_last_days_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _plan(tmp_path, [], "--last", "1d", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["rule"] for one in found["rules"]] == ["clicked"]
    assert (found["since"], found["until"]) == ("2026-01-05T10:00:00Z", "2026-01-06T10:00:00Z")


def test_bad_options_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _plan(tmp_path, RULES, "--last", "soon") == 2
    assert "--last: found 'soon'; allowed: " in capsys.readouterr().err


def test_a_recording_without_events_is_an_error_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "now").mkdir()
    file, log = _settings(tmp_path / "now", RULES), tmp_path / "bad.jsonl"
    log.write_text("garbage\n")
    assert run(["plan", "--config", str(file), "--against", str(file), "--replay", str(log)]) == 2
    said = capsys.readouterr().err
    assert "refused: 1 of 1 line; `perennial replay` shows them" in said
    assert "bad.jsonl has no event that can be folded" in said


@pytest.mark.parametrize("command", [["plan"], ["forecast"], ["campaigns", "start", "spring"]])
def test_without_a_broker_the_command_says_how_to_start_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _settings(tmp_path, RULES, kafka={"servers": "127.0.0.1:1"})
    assert run([*command, "--config", str(file)]) == 69
    assert "no broker answers at 127.0.0.1:1" in capsys.readouterr().err
