"""``perennial replay --embedded`` reports each line as counted, as a repetition of a counted line, or as refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stream.installation.commands import perennial

pytestmark = pytest.mark.slow
DAY_1 = datetime(2026, 1, 1, tzinfo=UTC)


def at(days: float) -> str:
    return (DAY_1 + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def click(user: str, days: float, **more: Any) -> dict[str, Any]:
    return {"type": "click", "user": user, "item": "a", "at": at(days), **more}


def order(number: str, days: float, message: str, revenue: float = 20) -> dict[str, Any]:
    properties = {
        "order_id": number, "revenue": revenue, "currency": "EUR",
        "products": [{"product_id": "p1", "price": revenue, "quantity": 1}],
    }  # fmt: skip
    return {
        "type": "track", "event": "Order Completed", "userId": "buyer", "messageId": message, "timestamp": at(days),
        "properties": properties,
    }  # fmt: skip


def replay(folder: Path, lines: Iterable[Any], *more: str) -> subprocess.CompletedProcess[str]:
    """Replay lines. Each is a record, or a text that is written unchanged."""
    file = folder / "events.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("".join(f"{text}\n" for text in texts))
    return subprocess.run(
        perennial("replay", str(file), "--embedded", *more),
        cwd=folder, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def test_a_repeated_line_is_counted_as_repeated_and_the_replay_is_complete(tmp_path: Path) -> None:
    repeated = click("a", 2, messageId="m2")

    ended = replay(tmp_path, [click("a", 1), repeated, repeated, click("b", 3)], "--json")

    found = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (found["lines"], found["folded"], found["repeated"], found["rejected"]) == (4, 3, 1, 0)
    assert (found["complete"], found["missing"]) == (True, 0)


def test_an_order_that_is_stated_twice_counts_once_and_no_line_is_missing(tmp_path: Path) -> None:
    ended = replay(
        tmp_path, [order("o1", 1, "m1"), order("o1", 1.1, "m2"), order("o2", 2, "m3", 30), order("o1", 2.1, "m4")]
    )

    assert ended.returncode == 0, ended.stderr
    words = {line.split()[0]: line.split()[1] for line in ended.stdout.splitlines()[:-1]}
    assert (words["lines"], words["folded"], words["orders"], words["rejected"]) == ("4", "2", "2", "0")
    assert words["revenue"].startswith("50")
    assert ended.stdout.splitlines()[-1].endswith("; complete")


def test_a_replay_names_each_line_that_the_fold_refused_with_its_reason(tmp_path: Path) -> None:
    late_with_an_id = click("c", 1, messageId="late")
    lines = [click("a", 0), click("a", 9), "", click("b", 2), "nonsense", late_with_an_id, click("d", 10)]

    ended = replay(tmp_path, lines, "--json", "--rejected", str(tmp_path / "rejected"))

    found = json.loads(ended.stdout)
    assert ended.returncode == 3
    assert (found["lines"], found["folded"], found["rejected"], found["complete"]) == (6, 3, 3, True)
    assert [(each["line"], each["by"], each["reason"]) for each in found["refused"]] == [
        (4, "fold", "too_late"), (5, "file", "bad_json"), (6, "fold", "too_late"),
    ]  # fmt: skip
    assert "3 of 6 lines were rejected" in ended.stderr
    assert "line 4: too_late: at: found " in ended.stderr
    assert [json.loads(line) for line in (tmp_path / "rejected").read_text().splitlines()] == found["refused"]


def test_many_refused_lines_are_shown_in_part_and_counted(tmp_path: Path) -> None:
    ended = replay(tmp_path, [click("a", 1), *("nonsense" for _ in range(14))])

    assert ended.returncode == 3
    assert sum("bad_json" in line for line in ended.stderr.splitlines()) == 10
    assert "and 4 lines more; --rejected FILE or --json shows all" in ended.stderr


def test_a_withdrawal_in_a_refused_line_counts_and_the_line_is_counted_once(tmp_path: Path) -> None:
    refused = {"type": "consent", "user": "a", "channel": "email", "granted": False, "at": "the day before"}
    late = {"type": "consent", "user": "b", "channel": "email", "granted": False, "at": at(1), "id": "w1"}

    ended = replay(tmp_path, [click("a", 1), refused, click("b", 9), late, late, click("a", 10)], "--json")

    found = json.loads(ended.stdout)
    assert (found["complete"], found["missing"]) == (True, 0), ended.stdout


def test_a_line_of_which_only_the_withdrawal_counts_is_not_missing(tmp_path: Path) -> None:
    late = {"type": "consent", "user": "a", "granted": False, "channel": "email", "at": at(1), "id": "w"}

    ended = replay(tmp_path, [click("a", 10), late])

    assert (ended.returncode, ended.stderr) == (0, "")
    lines = {line.split()[0]: line.split()[1] for line in ended.stdout.splitlines()}
    assert (lines["lines"], lines["folded"], lines["withdrawn"], lines["rejected"]) == ("2", "1", "1", "0")


def test_ignored_details_of_events_are_named_and_do_not_change_the_exit_code(tmp_path: Path) -> None:
    bad = {"type": "identify", "userId": "a", "timestamp": at(1), "traits": {"email": "no-address", "plan": "pro"}}
    many = {"type": "identify", "userId": "a", "timestamp": at(2), "traits": {f"t{n}": n for n in range(101)}}

    ended = replay(tmp_path, [bad, "", many, click("b", 3)], "--json")

    found = json.loads(ended.stdout)
    assert (ended.returncode, found["complete"], found["rejected"], found["warnings"]) == (0, True, 0, 2)
    assert (found["lines"], found["folded"]) == (3, 3)
    assert "line 1: traits.email: found 'no-address'; allowed: one address" in ended.stderr
    assert "line 3: traits" in ended.stderr
