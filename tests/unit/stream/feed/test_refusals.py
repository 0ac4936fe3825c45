"""A dead letter of a replay names its line of the file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.batch import Output
from models.errors import InvalidEvent
from models.events import Event, encode_event
from models.rejected import Rejected, decode_rejected, reject_value
from models.source import Source
from stream.feed.reconciliation import Reconciliation
from stream.feed.recording import ReadLine, Recording
from stream.feed.refusals import RefusedLine, left_out, refusals

FILE = Recording(Path("events.jsonl"), "0123456789abcdef", 10)
LATE = InvalidEvent("too_late", "at", 1, "later")


def event(event_id: str, user: str = "u") -> Event:
    return Event(id=event_id, user=user, type="click", at=1, item="a")


def of_fold(event: Event, offset: int) -> Rejected:
    return _letter(reject_value(encode_event(event), Source("events", 0, offset), LATE, at=1))


def of_file(line: int) -> Rejected:
    return _letter(reject_value(b"nonsense", Source.line(FILE.digest, line), LATE, at=1))


def _letter(output: Output) -> Rejected:
    assert output.value is not None
    return decode_rejected(output.value)


def lines_of(letters: list[Rejected], again: list[ReadLine] | None = None) -> list[tuple[int | None, str]]:
    return [(refusal.line, refusal.by) for refusal in refusals(letters, FILE, again or [])]


def test_a_line_that_is_not_an_event_has_its_number_in_the_letter() -> None:
    assert lines_of([of_file(7), of_file(2)]) == [(2, "file"), (7, "file")]


def test_an_id_that_was_made_from_the_line_contains_its_number() -> None:
    letter = of_fold(event(Source.line(FILE.digest, 4).id), 3)

    def never() -> ReadLine:
        raise AssertionError("the file was read again")

    assert [refusal.line for refusal in refusals([letter], FILE, iter(never, None))] == [4]


def test_an_id_from_the_file_is_found_there_under_its_user() -> None:
    again = [
        ReadLine(1, event("m", "x"), None),
        ReadLine(2, None, None),
        ReadLine(3, event("m"), None),
        ReadLine(4, event("n"), None),
    ]

    assert lines_of([of_fold(event("m"), 8)], again) == [(3, "fold")]


def test_the_last_lines_with_a_repeated_id_are_the_refused_ones() -> None:
    again = [ReadLine(1, event("m"), None), ReadLine(5, event("m"), None), ReadLine(9, event("m"), None)]

    assert lines_of([of_fold(event("m"), 8), of_fold(event("m"), 9)], again) == [(5, "fold"), (9, "fold")]


def test_a_letter_with_only_a_part_of_its_record_has_no_line_and_comes_last() -> None:
    letter = msgspec.structs.replace(of_fold(event("m"), 8), content="eyJpZCI6")

    assert lines_of([letter, of_file(2)]) == [(2, "file"), (None, "fold")]


def test_details_of_accepted_events_and_outcomes_of_our_messages_are_not_lines() -> None:
    detail = msgspec.structs.replace(of_file(2), accepted=True)
    report = of_fold(Event(id="m", user="u", type="message_sent", at=1, message="x"), 8)

    assert lines_of([detail, report]) == []


def test_a_detail_that_the_fold_left_out_of_an_event_is_named_with_its_line_or_id() -> None:
    ours, theirs = (
        msgspec.structs.replace(of_fold(event(name), 8), accepted=True, field="amount", found="2.00", allowed="10.00")
        for name in (Source.line(FILE.digest, 4).id, "m1")
    )
    of_reader = msgspec.structs.replace(of_file(2), accepted=True)

    assert left_out([ours, theirs, of_reader, of_fold(event("m2"), 9)], FILE) == [
        "line 4: amount: found 2.00; allowed: 10.00",
        "event m1: amount: found 2.00; allowed: 10.00",
    ]


def reconciled(**changed: Any) -> Reconciliation:
    base = Reconciliation(
        lines=10, read=10, fed=9, resent=0, folded=6, repeated=1, orders_repeated=1, statements=0,
        refused=[
            RefusedLine(line=1, by="file", reason="r", field="", found="", allowed=""),
            RefusedLine(line=2, by="fold", reason="r", field="", found="", allowed=""),
        ],
        customers=1, revenue={"EUR": Decimal(1)},
    )  # fmt: skip
    return base._replace(**changed)


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({}, 0),
        ({"folded": 5}, 1),
        ({"folded": 7}, -1),
        ({"repeated": 0}, 1),
        ({"repeated": 2, "resent": 3}, 0),
        ({"repeated": 2}, -1),
        ({"orders_repeated": 0}, 1),
        ({"statements": 1, "folded": 5}, 0),
        ({"refused": []}, 1),
        ({"read": 8}, 2),
    ],
)
def test_each_event_that_was_written_must_be_found_once(changed: dict[str, Any], missing: int) -> None:
    found = reconciled(**changed)

    assert (found.missing, found.is_complete) == (missing, missing == 0)
