"""Segments by rule are described with their clauses, their coverage and their next change."""

from __future__ import annotations

from typing import Any

import pytest

from models.batch import Restored
from models.conditions.entries import mark_of
from models.fold.membership_view import UnknownSegment, memberships, why
from models.fold.memo import read_memo, versions_in_use
from models.fold.moments import moment
from models.fold.versions import Versions
from models.profile.codec import unpack
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import segments_version
from tests.support.event_logs import START
from tests.support.segment_logs import FREE_VIEWERS, VIEWERS, folded, identified, segments_in_use, tick, viewed


def explained(state: Restored, user: str, segment: str) -> dict[str, Any]:
    memo = read_memo(state)
    return why(user, unpack(state.records[user.encode()]), memo.now, versions_in_use(state, memo), segment)


def clause(answer: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in answer["tree"]["of"] if name in one["clause"]]
    return dict(found)


BUSY = (
    *(segments_in_use(1, FREE_VIEWERS, VIEWERS), tick(0), identified("u1", 0, plan="free"), viewed("u1", 0)),
    *(tick(MINUTE), viewed("u1", MINUTE)),
)


def test_a_member_is_explained_with_value_bound_deciding_event_and_next_change() -> None:
    answer = explained(folded(*BUSY), "u1", "viewers")

    assert (answer["since"], answer["as_of"]) == (moment(START + MINUTE), moment(START + MINUTE))
    assert (answer["failing"], answer["adopts_at"], answer["configuration"]) == ([], None, 1)
    assert answer["tree"] == {
        "clause": VIEWERS["when"],
        "truth": True,
        "value": "2",
        "bound": {"at_least": 2},
        "decided_at": moment(START),
        "decided_by": f"{mark_of('u1-0'):08x}",
        "approximate": False,
        "covered_from": None,
        "unknown_until": None,
        "waits_for_history": False,
        "changes_at": moment(START + 3 * HOUR),
        "event": None,
        "no_event": "not_read",
    }


def test_for_a_user_who_is_not_a_member_the_smallest_set_of_clauses_that_fail_is_named() -> None:
    answer = explained(folded(*BUSY), "u1", "free_viewers")

    assert answer["since"] is None
    assert answer["failing"] == [{"absent": "purchase", "for": "2d"}]
    assert answer["tree"]["group"] == "all"
    assert clause(answer, "trait")["value"] == "free"
    assert clause(answer, "segment")["truth"] is True
    assert clause(answer, "absent")["changes_at"] == moment(START + 2 * DAY)


def test_an_unknown_clause_says_until_when_and_since_when_it_has_seen_everything() -> None:
    answer = explained(
        folded(tick(0), viewed("u1", 0), tick(DAY), segments_in_use(1, FREE_VIEWERS, VIEWERS), tick(2 * DAY)),
        *("u1", "free_viewers"),
    )

    absent = clause(answer, "absent")
    assert (absent["truth"], absent["covered_from"]) == (None, moment(START + DAY))
    assert absent["unknown_until"] == moment(START + 3 * DAY)


def test_for_a_user_who_has_not_come_to_new_conditions_the_time_is_named() -> None:
    state = folded(tick(0), viewed("u1", 0), tick(DAY), segments_in_use(1, VIEWERS))

    assert explained(state, "u1", "viewers")["adopts_at"] == moment(START + DAY + 1)
    assert memberships(unpack(state.records[b"u1"]), versions_in_use(state, read_memo(state))) == []


def test_the_memberships_of_a_user_have_the_sequence_of_the_file() -> None:
    state = folded(*BUSY, tick(2 * DAY + MINUTE), viewed("u1", 2 * DAY), viewed("u1", 2 * DAY + MINUTE))

    found = memberships(unpack(state.records[b"u1"]), versions_in_use(state, read_memo(state)))

    entered = moment(START + 2 * DAY + MINUTE)
    assert found == [{"name": "free_viewers", "since": entered}, {"name": "viewers", "since": entered}]


def test_the_answer_changes_nothing_of_the_user() -> None:
    state = folded(*BUSY)
    before = unpack(state.records[b"u1"])
    memo = read_memo(state)

    why("u1", before, memo.now, versions_in_use(state, memo), "viewers")

    assert before == unpack(state.records[b"u1"])


def test_an_unknown_name_and_a_learned_one_get_the_names_that_exist() -> None:
    state = folded(segments_version(1), segments_in_use(1, FREE_VIEWERS, VIEWERS), tick(0), viewed("u1", 0))

    with pytest.raises(UnknownSegment, match=r"'viewer' \(did you mean viewers\?\); .*: free_viewers, viewers"):
        explained(state, "u1", "viewer")
    with pytest.raises(UnknownSegment, match=r"'busy' is a segment that a model has learned.* free_viewers, viewers"):
        explained(state, "u1", "busy")
    with pytest.raises(UnknownSegment, match="the configuration in use has no segments by rule; perennial apply"):
        why("u1", unpack(state.records[b"u1"]), START, Versions(), "viewers")
