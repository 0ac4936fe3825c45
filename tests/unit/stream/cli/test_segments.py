"""``perennial segments`` shows sizes, growth and members, and previews segments on recorded events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.units import DAY, HOUR
from stream.cli import run
from stream.cli.segment_report import sparkline
from stream.lookup.server import LookupServer
from tests.support.answering import IDENTITY, serving
from tests.support.segment_logs import FREE_VIEWERS, VIEWERS, folded, segments_in_use, tick, viewed


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[str]:
    """Path of the settings of an installation whose only worker has two members, one of them since today."""
    contents = [tick(HOUR), *(viewed("u1", at) for at in (0, HOUR)), tick(4 * HOUR), tick(DAY + HOUR)]
    contents += [viewed(user, DAY + at) for user in ("u1", "u2") for at in (0, HOUR)]
    state = folded(segments_in_use(1, VIEWERS, FREE_VIEWERS), tick(0), *contents)
    server = LookupServer(restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity=IDENTITY)
    with serving(server) as port:
        file = tmp_path / "perennial.yaml"
        file.write_text(f"version: 1\nworker: {{port: {port}}}\nkafka: {{partitions: 1}}\n")
        yield str(file)


def test_the_segments_are_listed_with_their_sizes(settings: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["segments", "list", "--config", settings]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:3] == [["viewers", "2", "2", "0"], ["free_viewers", "0", "0", "0"]]

    assert run(["segments", "list", "--config", settings, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["segments"][0] == {"name": "viewers", "members": 2, "entered_today": 2, "left_today": 0}
    assert (answer["as_of"], answer["configuration"]) == ("2026-01-02T01:00:00Z", 1)


def test_a_segment_is_shown_with_its_condition_its_growth_and_the_newest_members(
    settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["segments", "show", "viewers", "--config", settings]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("viewers: 2 members as of 2026-01-02 01:00 UTC\n")
    assert yaml.safe_load(shown.split("\n\n")[1]) == {"when": VIEWERS["when"]}
    assert "2026-01-01  1        1     0                  0" in shown
    assert f"2026-01-02: {'▁' * 34}█" in shown

    assert run(["segments", "show", "viewers", "--config", settings, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(day["day"], day["entered"], day["left"], day["members"]) for day in answer["days"]] == [
        ("2026-01-01", 1, 1, 0),
        ("2026-01-02", 2, 0, 2),
    ]
    assert {one["user"] for one in answer["newest"]} == {"u1", "u2"}


def test_the_members_are_listed_one_per_line(settings: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["segments", "members", "viewers", "--config", settings, "--all"]) == 0
    assert capsys.readouterr().out.splitlines() == ["2026-01-02 01:00  u1", "2026-01-02 01:00  u2"]

    assert run(["segments", "members", "viewers", "--config", settings, "--json", "--all", "--limit", "1"]) == 0
    assert capsys.readouterr().out == '{"user":"u1","since":"2026-01-02T01:00:00Z"}\n'


def test_the_newest_members_are_listed_without_reading_a_user(
    settings: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("stream.lookup.segment_answers.slice_of")

    assert run(["segments", "members", "viewers", "--config", settings]) == 0
    assert capsys.readouterr().out.splitlines() == ["2026-01-02 01:00  u2", "2026-01-02 01:00  u1"]
    assert run(["segments", "members", "viewers", "--config", settings, "--json"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == '{"user":"u2","since":"2026-01-02T01:00:00Z"}'
    assert run(["segments", "members", "viewers", "--config", settings, "--limit", "1"]) == 2
    assert "--limit only with --all" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "members"])
def test_an_unknown_name_is_refused_with_the_names_that_exist(
    command: str, settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["segments", command, "viewrs", "--config", settings]) == 2
    assert "(did you mean viewers?); the segments by rule are: viewers, free_viewers" in capsys.readouterr().err


def _preview(tmp_path: Path, segments: list[dict[str, Any]], lines: list[Any], *more: str) -> int:
    file, log = tmp_path / "perennial.yaml", tmp_path / "events.jsonl"
    file.write_text(yaml.safe_dump({"version": 1, "segments": segments}))
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run(["segments", "preview", str(file), "--replay", str(log), *more])


def _view(user: str, at: str) -> dict[str, str]:
    return {"type": "product_view", "user": user, "item": "s1", "at": f"2026-01-{at}Z", "id": f"{user}-{at}"}


LINES = [
    _view("u1", "01T00:00"),
    _view("u1", "01T01:00"),
    {"type": "click"},
    _view("u2", "02T00:00"),
    _view("u2", "02T01:00"),
]


def test_a_preview_needs_no_broker_and_counts_by_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _preview(tmp_path, [VIEWERS], LINES, "--json") == 0

    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (answer["events"], answer["users"], answer["refused"]) == (4, 2, 1)
    (segment,) = answer["segments"]
    assert (segment["members"], [one["user"] for one in segment["newest"]]) == (1, ["u2"])
    assert [(day["entered"], day["left"]) for day in segment["days"]] == [(1, 1), (1, 0)]
    assert "refused: 1 line; the first for user: found nothing; allowed: " in said.err


def test_a_preview_stops_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _preview(tmp_path, [VIEWERS], LINES, "--at", "2026-01-01T02:00Z") == 0

    shown = capsys.readouterr().out
    assert shown.startswith(
        "2 events of 1 user, up to 2026-01-01 02:00 UTC\n\nviewers: 1 member as of 2026-01-01 02:00"
    )


def test_a_preview_says_what_it_cannot_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaving = {"name": "leaving", "when": {"score": "churn", "at_least": 0.5}}
    assert _preview(tmp_path, [leaving], LINES) == 0
    assert "a condition reads a score or a learned segment" in capsys.readouterr().err

    assert _preview(tmp_path, [], LINES) == 2
    assert "found no segments" in capsys.readouterr().err
    assert _preview(tmp_path, [VIEWERS], LINES, "--at", "2025-01-01T00:00Z") == 2
    assert "holds no event that can be folded up to 2025-01-01T00:00Z" in capsys.readouterr().err


def test_a_sparkline_of_equal_or_no_numbers_is_drawn() -> None:
    assert (sparkline([]), sparkline([0, 0]), sparkline([3, 3])) == ("", "▁▁", "██")
