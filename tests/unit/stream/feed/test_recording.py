"""Recorded wire events pass the same validation as events at a door."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.rejected import decode_rejected
from stream.feed.recording import CannotReplay, ReadLine, read_wire_events, survey

NOW = 1_777_636_800_250


def read(tmp_path: Path, *lines: bytes) -> list[ReadLine]:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    return list(read_wire_events(survey(path), NOW))


def test_both_forms_of_the_wire_are_read(tmp_path: Path) -> None:
    short, segment = read(
        tmp_path,
        b'{"type":"click","user":"u1","item":"sku1","at":1777636800000}',
        b'{"type":"track","event":"Product Clicked","userId":"u1","properties":{"product_id":"sku1"},'
        b'"timestamp":"2026-05-01T12:00:00Z","messageId":"m1"}',
    )

    assert short.event is not None
    assert segment.event is not None
    assert (short.event.type, segment.event.type, segment.event.id) == ("click", "click", "m1")


def test_a_replayed_event_is_never_live_even_if_its_line_says_so(tmp_path: Path) -> None:
    (found,) = read(tmp_path, b'{"type":"click","user":"u1","item":"sku1","origin":"live"}')

    assert found.event is not None
    assert found.event.origin == "replay"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\x00\xff garbage", "bad_json"),
        (b'{"type":"click","item":"sku1"}', "missing_user"),
        (b'{"type":"click","user":"u1","item":"sku1","at":"9999-01-01T00:00:00Z"}', "time_in_future"),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason(tmp_path: Path, line: bytes, reason: str) -> None:
    found, _ = read(tmp_path, line, b'{"type":"click","user":"u1","item":"sku1"}')

    assert found.rejected is not None
    assert decode_rejected(found.rejected.value).reason == reason


def test_blank_lines_and_a_byte_order_mark_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    click = b'{"type":"click","user":"u1"}'
    path.write_bytes(b"\xef\xbb\xbf\n" + click + b"\r\n\r\n \t\n" + click + b"\n\n")
    recording = survey(path)

    found = list(read_wire_events(recording, NOW))

    assert recording.lines == 2
    assert [one.number for one in found] == [2, 5]
    assert all(one.event is not None for one in found)


def test_a_first_event_after_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (found,) = read(tmp_path, b'\xef\xbb\xbf{"type":"click","user":"u1"}')

    assert found.event is not None


def test_every_line_counts_even_a_last_line_without_a_line_break(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n{}\n{}")

    assert survey(path).lines == 3


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    path.write_bytes(b"")

    with pytest.raises(CannotReplay, match="jsonl"):
        survey(path)


def test_the_withdrawal_in_a_rejected_line_counts(tmp_path: Path) -> None:
    (found,) = read(tmp_path, b'{"type":"dance","userId":"u1","traits":{"unsubscribed":true}}')

    assert found.event is not None
    assert found.event.traits == {"unsubscribed": True}
    assert found.rejected is not None
    assert decode_rejected(found.rejected.value).withdrawal


def test_a_withdrawal_without_a_readable_time_gets_the_time_of_the_next_or_last_event(tmp_path: Path) -> None:
    out = b'{"type":"track","userId":"u1","event":"Unsubscribed","timestamp":"soon"}'
    reads = read(
        tmp_path,
        out,
        b'{"type":"click","user":"u1","item":"a","at":1700000000000}',
        b'{"type":"click","user":"u1","item":"a","at":1700000060000}',
        out,
    )

    assert [read.event.at for read in reads if read.event is not None] == [
        1_700_000_000_000,
        1_700_000_000_000,
        1_700_000_060_000,
        1_700_000_060_000,
    ]
