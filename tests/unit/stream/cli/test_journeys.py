"""``perennial journeys`` shows pauses and held runs, and ``perennial apply`` shows what a change does to runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from models.configuration.parsing import parse
from models.fold.prospects import ConditionsPlan
from models.log import JourneyOrder, JourneyOrders
from models.units import DAY, HOUR
from stream.cli import run
from stream.cli.in_flight import counted_runs, fate_of
from stream.installation.in_flight import OlderRunsNotAccepted, orders_about
from stream.lookup.server import LookupServer
from stream.settings.loading import Settings, load
from tests.support.answering import IDENTITY, serving
from tests.unit.models.fold.test_partition_journeys import (
    TEMPLATES,
    TRIAL,
    configuration,
    custom,
    fold,
    known,
    log,
    tick,
)

RESTING: dict[str, Any] = {**TRIAL, "steps": [{"id": "rest", "wait": "9d"}, {"id": "first", "send": "hello"}]}
USERS = 4


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings of an installation whose only worker has runs of a paused journey; one of them is held."""
    people = [known(f"u{number}") for number in range(USERS)]
    starts = [
        custom(f"u{number}", (number + 1) * HOUR, "Trial Started", workspace=f"w{number}") for number in range(USERS)
    ]
    pause = JourneyOrders((JourneyOrder("trial", "pause", entries="hold"),))
    last = custom("u0", DAY, "Trial Started", workspace="held")
    records = log(configuration(1, RESTING), *people, *starts, tick(DAY), pause, last)
    end = next(record.offset for record in records if b"held" in (record.value or b"")) + 1
    state, _ = fold(records[:end])
    server = LookupServer(restored=lambda _: state, owns=lambda _: True, standing=dict, partitions=1, identity=IDENTITY)
    with serving(server) as port:
        file = tmp_path / "perennial.yaml"
        file.write_text(f"version: 1\nworker: {{port: {port}}}\nkafka: {{partitions: 1}}\n")
        yield load(file, {}, {})


def plan(*journeys: dict[str, Any]) -> ConditionsPlan:
    return ConditionsPlan(parse({"journeys": list(journeys)}, TEMPLATES), parse({"journeys": [RESTING]}, TEMPLATES))


def test_a_paused_journey_is_shown_with_its_held_runs(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "perennial.yaml")
    assert run(["journeys", "list", "--config", file]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:5] == ["trial", "paused", "5", "5", "1"]

    assert run(["journeys", "show", "trial", "--config", file]) == 0
    shown = capsys.readouterr().out
    assert "paused since 2026-01-02 00:00 UTC; new entries: hold" in shown
    assert "of these, held by a pause" in shown

    assert run(["journeys", "show", "trial", "--config", file, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["held"], answer["paused"]) == (1, {"since": "2026-01-02T00:00:00Z", "entries": "hold"})


def test_the_numbers_of_a_move_are_those_of_the_runs(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    after = {**RESTING, "steps": [{"id": "rest", "wait": "22h"}, {"id": "first", "send": "hello"}]}

    runs = counted_runs(settings, plan(after), "move", may_act=True, is_plain=False)

    # Of the waits since 01:00 to 04:00, those since 01:00 and 02:00 are over at midnight. The held run stays held.
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row == ["trial", "5", "1", "2", "2", "0"]
    assert [(one.journey, one.number) for one in runs] == [("trial", 5)]


@pytest.mark.parametrize("choice", ["move", "exit"])
def test_a_change_that_no_one_has_accepted_is_refused_for_machines(settings: Settings, choice: Any) -> None:
    with pytest.raises(OlderRunsNotAccepted, match=f"5 runs under way would {choice}; nothing was applied: add --yes"):
        counted_runs(settings, plan(), choice, may_act=False, is_plain=True)


def test_runs_finish_without_a_question(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    runs = counted_runs(settings, plan(), "finish", may_act=False, is_plain=False)

    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["trial", "removed", "5"]
    assert orders_about(plan().known, plan().wanted, runs, "finish", 0) == []


def test_without_a_worker_runs_move_only_if_that_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "perennial.yaml"
    file.write_text("version: 1\nworker: {port: 1}\nkafka: {partitions: 1}\n")

    with pytest.raises(OlderRunsNotAccepted, match="no worker answers"):
        counted_runs(load(file, {}, {}), plan(), "move", may_act=False, is_plain=True)
    assert counted_runs(load(file, {}, {}), plan(), "move", may_act=True, is_plain=True) == []


@pytest.mark.parametrize("text", ["", "moves", "move:", "move:1x", "exit:1h", "finish:1h"])
def test_another_fate_of_runs_is_refused_with_those_that_are_allowed(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="allowed:"):
        fate_of(text)


def test_the_fates_of_runs() -> None:
    found = [tuple(fate_of(text)) for text in ("finish", "exit", "move", "move:2h")]

    assert found == [("finish", 0), ("exit", 0), ("move", HOUR), ("move", 2 * HOUR)]
