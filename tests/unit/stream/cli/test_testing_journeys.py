"""``perennial journeys test`` prints what fails, and names what no test has reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.cli import run

SETTINGS = """\
version: 1
journeys:
  - name: welcome
    enter: {on: {event: Signed Up}}
    exit: [{after: 9d, as: late}]
    steps:
      - id: pause
        wait_for: {event: Came Back, at_most: 1d}
        then: [{id: thanks, send: welcome}]
        otherwise: [{id: mail, send: welcome}]
"""
TEST = """\
of: welcome
start: 2026-03-02T10:00:00Z
given: [{user: ada, traits: {email: ada@example.org}, consent: {email: granted}}]
steps:
  - {at: +0s, event: {type: custom, user: ada, name: Signed Up}}
  - {expect: {message: welcome/mail, at: +1d}}
"""


def write(folder: Path, test: str = TEST) -> str:
    for part in ("subject", "text"):
        file = folder / "templates" / "welcome" / f"{part}.liquid"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"the {part}")
    (folder / "journeys").mkdir(exist_ok=True)
    (folder / "journeys" / "welcome.test.yaml").write_text(test)
    (folder / "perennial.yaml").write_text(SETTINGS)
    return str(folder / "perennial.yaml")


def test_a_test_that_passes_names_what_it_has_not_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path)

    assert run(["journeys", "test", "--config", config, "--coverage", "--shake"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"passed  {tmp_path}/journeys/welcome.test.yaml  welcome, 3 runs, ")
    assert second == "welcome: no test reaches step thanks"
    assert run(["journeys", "test", "--config", config, "--json", "--coverage"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["not_reached"] == {"welcome": ["step thanks"]}
    assert [(one["journey"], one["passed"], one["failures"]) for one in said["tests"]] == [("welcome", True, [])]


def test_a_test_that_fails_shows_the_line_and_the_timeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, TEST.replace("+1d", "+2d"))

    assert run(["journeys", "test", "--config", config]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAILED ")
    assert lines[1] == f"  {tmp_path}/journeys/welcome.test.yaml:6: steps[1].expect.at"
    assert lines[2:4] == [
        "    expected: welcome/mail at 2026-03-04T10:00:00Z",
        "    came:     2026-03-03T10:00:00Z",
    ]
    assert lines[-2:] == [
        "      2026-03-03T10:00:00Z ended welcome: completed",
        "      2026-03-03T10:00:00Z message welcome/mail: welcome to ada@example.org over email 'the subject'",
    ]
    assert run(["journeys", "test", "--config", config, "--json"]) == 1
    (one,) = json.loads(capsys.readouterr().out)["tests"]
    assert one["failures"][0]["place"].endswith("welcome.test.yaml:6")


def test_files_may_be_named_and_there_must_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path)
    moved = (tmp_path / "journeys" / "welcome.test.yaml").rename(tmp_path / "other.yaml")

    assert run(["journeys", "test", "--config", config]) == 2
    assert "docs/journey_tests.md has an example" in capsys.readouterr().err
    assert run(["journeys", "test", str(moved), "--config", config]) == 0


def test_an_edge_of_a_millisecond_is_found_by_shaking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The awaited event comes exactly as the wait ends, and the timer goes first; 1 ms earlier, it does not."""
    edge = TEST.replace("  - {expect", "  - {at: +1d, event: {type: custom, user: ada, name: Came Back}}\n  - {expect")
    config = write(tmp_path, edge)

    assert run(["journeys", "test", "--config", config]) == 0
    capsys.readouterr()
    assert run(["journeys", "test", "--config", config, "--shake"]) == 1
    assert "(steps[1] is shifted by -1 ms)" in capsys.readouterr().out
