"""Lines of Online Retail as events, and the published totals of the file."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from models.errors import InvalidEvent
from models.events import MICROS
from models.rejected import decode_rejected
from stream.feed.online_retail import COLUMNS, read_online_retail, short_form
from stream.feed.recording import CannotReplay, ReadLine, survey
from tests.support.paths import ONLINE_RETAIL

NOW = 1_767_571_200_000
HEADER = ",".join(COLUMNS)


def read(tmp_path: Path, *lines: str) -> list[ReadLine]:
    path = tmp_path / "retail.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return list(read_online_retail(survey(path), NOW))


def test_a_line_of_the_file_is_a_purchase_with_one_order_line(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom")

    event = found.event
    assert event is not None
    assert (event.user, event.type, event.order, event.amount, event.currency) == (
        "17850", "purchase", "536365", 15_300_000, "GBP",
    )  # fmt: skip
    assert (event.at, event.origin) == (1_291_191_960_000, "replay")


@pytest.mark.parametrize("beginning", ["\ufeff", "\ufeff\n", "\n\r\n"])
def test_a_byte_order_mark_and_blank_lines_are_skipped(tmp_path: Path, beginning: str) -> None:
    path = tmp_path / "retail.csv"
    line = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom"
    path.write_text(f"{beginning}{HEADER}\n\n{line}\r\n  \n{line}\n\n", encoding="utf-8")
    recording = survey(path)

    found = list(read_online_retail(recording, NOW))

    assert recording.lines == len(found) == 2
    assert all(one.event is not None for one in found)


def test_a_negative_quantity_is_a_refund(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527,United Kingdom")

    assert found.event is not None
    assert (found.event.type, found.event.amount) == ("refund", 27_500_000)


def test_a_bad_debt_is_a_refund_of_an_anonymous_shopper(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "A563186,B,Adjust bad debt,1,2011-08-12 14:51:00,-11062.06,,United Kingdom")

    assert found.event is not None
    assert (found.event.type, found.event.amount, found.event.user) == (
        "refund", 11_062_060_000, "anonymous:invoice-A563186",
    )  # fmt: skip


def test_the_same_line_twice_is_two_events(tmp_path: Path) -> None:
    line = "536409,21866,FLASK,1,2010-12-01 11:45:00,1.25,17908,United Kingdom"

    first, second = read(tmp_path, line, line)

    assert first.event is not None
    assert second.event is not None
    assert first.event.id != second.event.id


def test_a_damaged_line_is_rejected_with_its_reason_and_the_others_are_read(tmp_path: Path) -> None:
    good = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom"

    bad, fine = read(tmp_path, good.replace(",6,", ",six,"), good)

    assert bad.rejected is not None
    assert decode_rejected(bad.rejected.value).field == "Quantity"
    assert fine.event is not None


def test_a_line_with_another_number_of_fields_is_an_error() -> None:
    with pytest.raises(InvalidEvent, match="3 fields"):
        short_form(["a", "b", "c"])


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")

    with pytest.raises(CannotReplay, match="not UCI Online Retail"):
        list(read_online_retail(survey(path), NOW))


def test_a_compressed_file_gives_the_same_events_as_a_plain_one(tmp_path: Path) -> None:
    text = f"{HEADER}\n536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"
    packed = tmp_path / "retail.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))

    recording = survey(packed)

    assert recording.lines == 1
    assert len(list(read_online_retail(recording, NOW))) == 1


def test_a_file_that_is_not_compressed_despite_its_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "retail.csv.gz"
    path.write_bytes(b"not packed")

    with pytest.raises(CannotReplay, match="cannot be read"):
        survey(path)


@pytest.mark.skipif(not ONLINE_RETAIL.exists(), reason=f"{ONLINE_RETAIL} is not there")
def test_the_published_totals_of_the_real_file() -> None:
    recording = survey(ONLINE_RETAIL)
    revenue, customers, ids = 0, set(), set()

    for found in read_online_retail(recording, NOW):
        event = found.event
        assert event is not None
        revenue += event.amount if event.type == "purchase" else -event.amount
        ids.add(event.id)
        if event.identified:
            customers.add(event.user)

    assert recording.lines == len(ids) == 541_909
    assert len(customers) == 4_372
    assert revenue == 9_747_747_934 * MICROS // 1000
