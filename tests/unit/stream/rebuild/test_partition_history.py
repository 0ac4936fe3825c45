"""A merge record waits until the fold of the visitor's partition has given its facts."""

from __future__ import annotations

import pytest

from models.events import Event, MergeOutcome, MergeRecord
from models.identity.payload import unpack_payload
from models.profile.codec import pack
from models.profile.state import Customer, Facts
from stream.rebuild.partition_history import HandedOver
from tests.support.event_logs import START


def merge(support: int | None, outcome: MergeOutcome = "merged", notice: int = 5) -> Event:
    """Make the merge record of a visitor with this number of messages to support; ``None`` for one without facts."""
    payload = b"" if support is None else pack(Customer(Facts(support=support)))
    said = MergeRecord(outcome, "m7", START, payload=payload, notice=notice)
    return Event(id="merge1", user="u1", type="identity_merge", at=START, anonymous="anonymous:a1", identity=said)


def support_in(merge: Event) -> int | None:
    said = merge.identity
    assert isinstance(said, MergeRecord)
    return unpack_payload(said.payload).facts.support if said.payload else None


@pytest.mark.parametrize("answer", [merge(3), merge(None, "empty")])
def test_a_merge_record_takes_the_facts_of_the_answer_once_it_is_there(answer: Event) -> None:
    handed = HandedOver()
    assert handed.is_awaited(merge(2))
    handed.add([answer, merge(9)])  # a second notice of the same login gets nothing more

    assert not handed.is_awaited(merge(2))
    assert support_in(handed.taken(merge(2))) == support_in(answer)
    assert not handed.is_awaited(merge(2))
    assert handed.on_their_way == set()


def test_an_answer_that_contradicts_the_log_is_no_answer() -> None:
    handed = HandedOver()
    handed.add([merge(None, "other_origin")])

    assert handed.is_awaited(merge(2))


def test_a_record_without_facts_and_one_from_before_the_beginning_of_the_log_wait_for_nothing() -> None:
    handed = HandedOver(lambda visitor: 6 if visitor == "anonymous:a1" else 0)

    assert not handed.is_awaited(merge(None, "empty"))
    assert not handed.is_awaited(merge(2))
    assert handed.is_awaited(merge(2, notice=6))
    assert support_in(handed.taken(merge(2))) == 2


def test_only_answers_with_facts_are_on_their_way() -> None:
    handed = HandedOver()
    handed.add([merge(None, "empty")])
    assert handed.on_their_way == set()
    other = HandedOver()
    other.add([merge(2)])
    assert other.on_their_way == {"merge1"}
