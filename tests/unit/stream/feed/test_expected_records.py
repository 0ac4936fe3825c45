"""The records between profiles that follow from what a feeder writes."""

from __future__ import annotations

from typing import Any

from models.events import Event, Forwarding, LoginNotice, MergeRecord
from models.identity.linking import merge_id
from stream.feed.expected_records import ExpectedRecord, ExpectedRecords, record_of

VISITOR, USER = "anonymous:a1", "u1"


def event(number: int, user: str, type_: Any = "click", **more: Any) -> Event:
    return Event(id=f"m{number}", user=user, type=type_, at=number, **more)


def login(number: int, user: str = USER, type_: Any = "identify") -> Event:
    return event(number, user, type_, anonymous=VISITOR)


def notice(number: int, user: str = USER) -> ExpectedRecord:
    return ExpectedRecord("notice", VISITOR, merge_id(VISITOR, user, f"m{number}"))


def merge(number: int, user: str = USER) -> ExpectedRecord:
    return notice(number, user)._replace(kind="merge")


def expecting(*events: Event) -> ExpectedRecords:
    expected = ExpectedRecords()
    for one in events:
        expected.note(one, 0 if one.identified else 1)
    return expected


def open_of(expected: ExpectedRecords) -> set[ExpectedRecord]:
    """Return the open records; those whose notice is open are hidden until the notice has arrived."""
    return set(expected.unanswered({0: 99, 1: 99}, {0: 1, 1: 1}))


def test_nothing_is_expected_without_a_login() -> None:
    assert len(expecting(event(1, VISITOR), event(2, USER), event(3, "anonymous:a2"))) == 0


def test_a_login_causes_a_notice_and_its_answer() -> None:
    expected = expecting(event(1, VISITOR), login(2))

    assert open_of(expected) == {notice(2)}
    expected.arrived(notice(2), 1, 7)
    assert open_of(expected) == {merge(2)}
    expected.arrived(merge(2), 0, 9)
    assert len(expected) == 0


def test_the_answer_may_be_read_before_the_notice() -> None:
    expected = expecting(login(1))
    expected.arrived(merge(1), 0, 9)
    expected.arrived(notice(1), 1, 7)

    assert len(expected) == 0


def test_a_known_link_causes_a_notice_only_for_a_login_and_no_answer() -> None:
    expected = expecting(login(1), event(2, USER, anonymous=VISITOR), login(3))

    assert len(expected) == 3
    assert open_of(expected) == {notice(1), notice(3)}


def test_the_first_event_with_both_ids_is_a_login() -> None:
    assert len(expecting(event(1, USER, anonymous=VISITOR))) == 2


def test_later_events_of_the_visitor_are_forwarded() -> None:
    expected = expecting(login(1), event(2, VISITOR), event(3, "anonymous:a2"))
    expected.arrived(notice(1), 1, 7)
    expected.arrived(merge(1), 0, 9)

    assert open_of(expected) == {ExpectedRecord("forwarding", VISITOR, "m2")}


def test_a_repeated_event_causes_nothing_new() -> None:
    expected = expecting(login(1), event(2, VISITOR))
    for record in (notice(1), merge(1), ExpectedRecord("forwarding", VISITOR, "m2")):
        expected.arrived(record, 1, 7)
    expected.note(login(1), 0)
    expected.note(event(2, VISITOR), 1)

    assert len(expected) == 0


def test_a_record_is_unanswered_only_after_its_cause_is_folded() -> None:
    expected = expecting(login(1))
    assert expected.unanswered({0: 4, 1: 99}, {0: 5, 1: 5}) == []
    assert expected.unanswered({0: 5}, {0: 5, 1: 5}) == [notice(1)]

    expected.arrived(notice(1), 1, 7)
    assert expected.unanswered({0: 99, 1: 7}, {0: 5, 1: 5}) == []
    assert expected.unanswered({0: 99, 1: 8}, {0: 5, 1: 5}) == [merge(1)]


def test_what_was_not_written_will_never_come_and_without_a_notice_there_is_no_answer() -> None:
    expected = expecting(login(1), login(2, "u2"))
    expected.give_up([notice(1), notice(2, "u2")], written={notice(2, "u2")})

    assert len(expected) == 2
    assert open_of(expected) == {notice(2, "u2")}


def test_records_are_recognized_in_the_log() -> None:
    notice_of = LoginNotice(USER, "m1", 1, awaits=True)
    assert record_of(event(1, VISITOR, "identity_notice", anonymous=VISITOR, identity=notice_of)) == ExpectedRecord(
        "notice", VISITOR, "m1"
    )
    merge_of = MergeRecord("empty", "m1", 1)
    assert record_of(event(1, USER, "identity_merge", anonymous=VISITOR, identity=merge_of)) == ExpectedRecord(
        "merge", VISITOR, "m1"
    )
    forwarded = event(2, USER, anonymous=VISITOR, identity=Forwarding(1))
    assert record_of(forwarded) == ExpectedRecord("forwarding", VISITOR, "m2")
    assert record_of(login(1)) is None
