"""docs/users.md explains exactly the names in the answers about a user."""

from __future__ import annotations

import re

from models.fold.members import DayMoves, SegmentMembers
from models.fold.membership_view import why
from models.fold.memo import read_memo, versions_in_use
from models.fold.view import describe
from models.profile.codec import unpack
from stream.cli.segment_report import SegmentReport, described
from tests.support.paths import ROOT
from tests.support.segment_logs import VIEWERS, folded, segments_in_use, tick, viewed

PAGE = (ROOT / "docs" / "users.md").read_text()


def _names(table: str) -> set[str]:
    """Return the names in the first column of a table, which is at the beginning of the text."""
    rows = table.split("\n\n")[0].splitlines()
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}


def test_every_name_in_the_answers_about_a_user_is_explained() -> None:
    state = folded(segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0))
    memo, customer = read_memo(state), unpack(state.records[b"u1"])
    versions = versions_in_use(state, memo)
    answer = why("u1", customer, memo.now, versions, "viewers")

    user, membership = map(_names, PAGE.split("| name | value |\n|---|---|\n")[1:])
    (clause,) = map(_names, PAGE.split("| name of a clause | value |\n|---|---|\n")[1:])
    assert user == set(describe("u1", customer, memo.now, versions))
    assert membership == set(answer)
    assert clause == set(answer["tree"])


def test_every_name_in_the_description_of_a_segment_is_explained() -> None:
    (table,) = map(_names, PAGE.split("| name of a segment | value |\n|---|---|\n")[1:])
    report = described(SegmentReport("viewers", VIEWERS["when"], SegmentMembers(1, [DayMoves(20_000, 1)]), 1))

    assert table == {*report, "configuration", "adopts_until", "waiting"}
    assert [name for name in report["days"][0] if f"`{name}`" not in PAGE] == []
