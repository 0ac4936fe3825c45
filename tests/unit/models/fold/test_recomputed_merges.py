"""The second pass takes the answers of the first one, knows which are missing, and which have not come yet."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from models.batch import Record
from models.events import Event, MergeOutcome, MergeRecord
from models.fold.handovers import merges_in
from models.fold.recomputed_merges import MissingPayload, RecomputedMerges, taken_merges
from models.identity.payload import unpack_payload
from models.profile.codec import pack
from models.profile.state import Customer, Facts
from tests.support.event_logs import START, written

VISITOR = "anonymous:a1"


def merge(support: int | None, number: int = 1, notice: int = 5, outcome: MergeOutcome = "merged") -> Event:
    """Make the merge record of a visitor with this number of messages to support; ``None`` for one without facts."""
    payload = b"" if support is None else pack(Customer(Facts(support=support)))
    said = MergeRecord(outcome, "m7", START, payload=payload, notice=notice)
    return Event(id=f"merge{number}", user="u1", type="identity_merge", at=START, anonymous=VISITOR, identity=said)


def folded_below(end: int) -> RecomputedMerges:
    """Return answers without any record, of a first pass that has folded the visitor's partition up to an offset."""
    return RecomputedMerges({}, lambda visitor, notice: visitor == VISITOR and notice < end)


def answers(*merges: Event) -> RecomputedMerges:
    return RecomputedMerges({one.id: one for one in merges}, lambda _, notice: notice < 100)


def support_of(records: Sequence[Record]) -> list[int]:
    """Return the number of messages to support in each merge record with facts."""
    found = [one.identity for _, one in merges_in(records)]
    return [unpack_payload(one.payload).facts.support for one in found if isinstance(one, MergeRecord) and one.payload]


def test_a_merge_record_gets_the_facts_of_the_answer_and_other_records_stay() -> None:
    records = written([Event(id="m1", user="u1", type="click", at=START), merge(2), merge(7, number=2, notice=200)])

    taken = answers(merge(1)).replaced(0, records)

    assert support_of(taken) == [1, 7]
    assert [(one.offset, one.timestamp, one.key) for one in taken] == [one[:3] for one in records]
    assert taken[0] is records[0]
    assert taken[2] is records[2]


def test_a_visitor_who_has_nothing_to_hand_over_by_this_code_brings_nothing() -> None:
    (taken,) = answers(merge(None, outcome="empty")).replaced(0, written([merge(2)]))

    ((_, found),) = merges_in([taken])
    assert isinstance(found.identity, MergeRecord)
    assert (found.identity.outcome, found.identity.payload) == ("empty", b"")


def test_facts_that_the_log_does_not_have_are_taken_too() -> None:
    assert support_of(answers(merge(3)).replaced(0, written([merge(None, outcome="empty")]))) == [3]


def test_a_missing_answer_is_an_error_only_for_a_notice_that_the_first_pass_has_folded() -> None:
    records = written([merge(2)])

    assert folded_below(5).replaced(0, records) == records
    assert folded_below(6).replaced(0, written([merge(None)])) is not None
    with pytest.raises(MissingPayload, match="partition 4 of events has at offset 0 what anonymous:a1 has"):
        folded_below(6).replaced(4, records)
    with pytest.raises(MissingPayload, match="the answer is 'other_origin'; run `perennial rebuild --anew`"):
        answers(merge(None, outcome="other_origin")).replaced(4, records)


def test_a_fold_agrees_if_it_has_taken_the_same_facts() -> None:
    stored = taken_merges(written([merge(2), merge(7, number=2, notice=200)])) | {b"u1": b"", b"\x00stages": b""}

    assert answers(merge(2)).agree(stored)
    assert not answers(merge(3)).agree(stored)
    assert not answers().agree(stored)
    assert answers(merge(2), merge(8, number=3)).agree(stored)


def test_an_answer_is_awaited_until_its_record_was_read() -> None:
    both = answers(merge(2), merge(2, number=2), merge(None, number=3, outcome="empty"))

    assert [one.id for one in both.awaited({})] == ["merge1", "merge2"]
    assert [one.id for one in both.awaited(taken_merges(written([merge(2)])))] == ["merge2"]


def test_of_two_records_with_the_same_id_the_first_one_counts() -> None:
    first = taken_merges(written([merge(2), merge(None)]))

    assert first == taken_merges(written([merge(2)]))
    assert taken_merges(written([merge(None)]), first) == {}
