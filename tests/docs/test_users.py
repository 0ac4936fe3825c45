"""docs/users.md explains exactly the names in the answers about a user."""

from __future__ import annotations

import json
import re

from models.fold.members import DayMoves, SegmentMembers
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.profile.codec import unpack
from stream.cli.segment_report import SegmentReport, described
from tests.support.described_users import PATH, answers, fields
from tests.support.paths import ROOT
from tests.support.segment_logs import VIEWERS, folded, segments_in_use, tick, viewed
from tests.unit.models.fold.test_journey_reasons import answer as answer_why_not
from tests.unit.models.fold.test_message_view import described as described_messages
from tests.unit.models.fold.test_message_view import story
from tests.unit.stream.cli.test_user_questions import LOG

PAGE = (ROOT / "docs" / "users.md").read_text()


def _names(table: str) -> set[str]:
    """Return the names in the first column of a table, which is at the beginning of the text."""
    rows = table.split("\n\n")[0].splitlines()
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}


def test_every_field_of_a_user_is_documented_and_every_documented_field_is_there() -> None:
    tables = PAGE.split("| field | kind | value |\n|---|---|---|\n")[1:]
    rows = [row for table in tables for row in table.split("\n\n")[0].splitlines()]
    documented = dict(row.removeprefix("| `").split(" | ")[:2] for row in rows)

    present = {f"{path}`": kind for path, kind in fields(answers()).items() if kind not in ("object", "list")}

    assert documented == present
    assert len(documented) == len(rows)


def test_the_promised_fields_of_a_user_are_still_there_and_new_ones_are_promised() -> None:
    assert fields(answers()) == json.loads(PATH.read_text())


def test_every_name_in_the_answer_to_why_is_explained() -> None:
    state = folded(segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0))
    memo, customer = read_memo(state), unpack(state.records[b"u1"])
    versions = versions_in_use(state, memo)
    answer = why("u1", customer, memo.now, versions, "viewers")

    (membership,) = map(_names, PAGE.split("| name | value |\n|---|---|\n")[1:])
    (clause,) = map(_names, PAGE.split("| name of a clause | value |\n|---|---|\n")[1:])
    assert membership == {*answer, "partition", "position"}
    assert clause == set(answer["tree"])


def test_every_name_in_the_answers_about_messages_and_journeys_is_explained() -> None:
    state, decisions = story()
    answer = described_messages(state, decisions)
    reasons = answer_why_not(folded(*LOG))

    def table(of: str) -> set[str]:
        (found,) = map(_names, PAGE.split(f"| name of {of} | value |\n|---|---|\n")[1:])
        return found

    assert table("the messages") == set(answer)
    assert table("a decision") == set(answer["messages"][0])
    assert table("the reasons") >= {*reasons, "history"}
    assert table("a check") == set(reasons["checks"][0])
    (checks,) = [row for row in PAGE.splitlines() if row.startswith("| `check` |")]
    assert {one["check"] for one in reasons["checks"]} <= set(re.findall(r"`(\w+)`", checks))
    (messages,) = [row for row in PAGE.splitlines() if row.startswith("| `messages` | what would")]
    assert set(reasons["messages"][0]) <= set(re.findall(r"`(\w+)`", messages))


def test_every_name_in_the_description_of_a_segment_is_explained() -> None:
    (table,) = map(_names, PAGE.split("| name of a segment | value |\n|---|---|\n")[1:])
    report = described(SegmentReport("viewers", VIEWERS["when"], SegmentMembers(1, [DayMoves(20_000, 1)]), 1))

    assert table == {*report, "configuration", "adopts_until", "waiting"}
    assert [name for name in report["days"][0] if f"`{name}`" not in PAGE] == []
