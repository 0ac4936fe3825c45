"""``perennial upgrade`` shows who runs old code, and warns before a step that cannot be undone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.levels import FIRST, NEWEST
from stream import cli
from stream.cluster import topics
from stream.cluster.group_members import GroupMember
from stream.installation import upgrading
from stream.installation.upgrading import UpgradeStanding
from tests.support.brokers import Cluster

OLD = GroupMember("fold", "10.0.0.1", "m1", FIRST)
NEW = GroupMember("fold", "10.0.0.2", "m2", NEWEST)
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[UpgradeStanding]:
    """The standing that the commands find, which is the last one in this list."""
    standings: list[UpgradeStanding] = []
    monkeypatch.setattr(upgrading, "standing", lambda *_: standings[-1])
    monkeypatch.setenv("PERENNIAL_KAFKA__SERVERS", "127.0.0.1:1")
    return standings


def test_the_status_lists_every_worker_and_marks_old_code(found: list[UpgradeStanding], capsys: Captured) -> None:
    found.append(UpgradeStanding(FIRST, [OLD, NEW]))

    assert cli.run(["upgrade", "status"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"the log has format level {FIRST}; this release knows levels {FIRST} to {NEWEST}"
    assert [line.split() for line in lines[2:4]] == [
        ["fold", "10.0.0.1", "level", "1,", "old", "m1"],
        ["fold", "10.0.0.2", "level", "2", "m2"],
    ]
    assert lines[4].startswith("not ready: 1 worker of 2 still run code that does not know level 2: fold on 10.0.0.1")


@pytest.mark.parametrize(
    ("standing", "last"),
    [
        (
            UpgradeStanding(FIRST, [NEW]),
            "they can be replaced back until `perennial upgrade finish`, and not afterwards",
        ),
        (UpgradeStanding(NEWEST, [NEW]), "nothing is left to do"),
    ],
)
def test_the_status_ends_with_the_next_step(
    found: list[UpgradeStanding], capsys: Captured, standing: UpgradeStanding, last: str
) -> None:
    found.append(standing)

    assert cli.run(["upgrade", "status"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(last)


def test_the_status_is_one_json_document(found: list[UpgradeStanding], capsys: Captured) -> None:
    found.append(UpgradeStanding(FIRST, [OLD, NEW]))

    assert cli.run(["upgrade", "status", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["level"] == FIRST
    assert shown["knows"] == {"oldest": FIRST, "newest": NEWEST}
    assert (shown["can_finish"], shown["can_go_back"]) == (False, True)
    assert shown["workers"] == [
        {"role": "fold", "host": "10.0.0.1", "member": "m1", "level": FIRST, "old": True},
        {"role": "fold", "host": "10.0.0.2", "member": "m2", "level": NEWEST, "old": False},
    ]


@pytest.mark.parametrize("words", [["finish"], ["finish", "--yes"], ["finish", "--json"]])
def test_finishing_is_refused_while_a_worker_runs_old_code(
    found: list[UpgradeStanding], capsys: Captured, words: list[str]
) -> None:
    found.append(UpgradeStanding(FIRST, [OLD, NEW]))

    assert cli.run(["upgrade", *words]) == 2
    assert "fold on 10.0.0.1; replace them first" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["finish"], ["finish", "--json"]])
def test_without_yes_it_says_that_there_is_no_way_back_and_changes_nothing(
    found: list[UpgradeStanding], capsys: Captured, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    found.append(UpgradeStanding(FIRST, [NEW]))
    raised: list[int] = []
    monkeypatch.setattr(upgrading, "raise_level", lambda *_: raised.append(1))

    assert cli.run(["upgrade", *words]) == 2

    shown = capsys.readouterr()
    assert "cannot be undone. --yes does it; nothing was changed" in shown.err
    assert raised == []
    if "--json" in words:
        assert json.loads(shown.out)["finished"] is False


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("after", "code"), [([NEW], 0), ([NEW, OLD], 2)])
def test_with_yes_it_raises_the_level_and_names_old_workers_that_were_started_meanwhile(
    found: list[UpgradeStanding],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
    after: list[GroupMember],
    code: int,
) -> None:
    found.append(UpgradeStanding(FIRST, [NEW]))

    async def raise_level(_: object, level: int) -> None:
        found.append(UpgradeStanding(level, after))

    monkeypatch.setattr(upgrading, "raise_level", raise_level)

    assert cli.run(["upgrade", "finish", "--yes", *(["--json"] if as_json else [])]) == code

    assert found[-1].level == NEWEST
    shown = capsys.readouterr()
    assert ("stop them now: fold on 10.0.0.1" in shown.err) == bool(code)
    if as_json:
        assert (json.loads(shown.out)["level"], json.loads(shown.out)["finished"]) == (NEWEST, True)
    else:
        assert shown.out == f"the log has format level {NEWEST} (before: {FIRST}) from its next records on\n"


def test_on_the_embedded_broker_the_command_says_why_there_is_nothing_to_finish(
    embedded: Cluster, tmp_path: Path, capsys: Captured
) -> None:
    topics.create(embedded.connection, 2)
    file = tmp_path / "perennial.yaml"
    kafka = {"servers": embedded.connection.servers, "prefix": embedded.connection.prefix, "partitions": 2}
    file.write_text(json.dumps({"version": 1, "kafka": kafka}))

    assert cli.run(["upgrade", "status", "--json", "--config", str(file)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["level"], shown["workers"], shown["can_go_back"]) == (NEWEST, None, False)
    assert cli.run(["upgrade", "finish", "--yes", "--config", str(file)]) == 2
    assert "the embedded broker does not list its workers" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "finish"])
def test_the_help_says_what_happens_to_old_workers(command: str, capsys: Captured) -> None:
    assert cli.run(["upgrade", command, "--help"]) == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert {"status": "HTTP doors and retrainers are not listed", "finish": "no way back"}[command] in shown
