"""A preview has the members and the moves of the fold, also over longer times than the fold keeps."""

from __future__ import annotations

import pytest

from models.configuration.parsing import parse
from models.fold.members import DayMoves, key_of, read_members
from models.fold.preview import SegmentPreview
from models.units import DAY, HOUR
from tests.support.event_logs import START
from tests.support.segment_logs import VIEWERS, folded, segments_in_use, tick, viewed

GONE = {"name": "gone", "when": {"absent": "product_view", "for": "40d"}}
CONFIGURATION = parse({"segments": [VIEWERS, GONE]}, {})


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_a_preview_equals_the_fold_for_any_size_of_portions(size: int) -> None:
    events = [
        *(
            viewed(f"u{user}", day * DAY + user + more)
            for day in range(0, 20, 3)
            for user in range(4)
            for more in (0, HOUR)
        )
    ]
    events.sort(key=lambda event: event.at)
    preview = SegmentPreview(CONFIGURATION)
    for begin in range(0, len(events), size):
        preview.fold(events[begin : begin + size])
    preview.pass_to(START + 25 * DAY)

    contents = [one for event in events for one in (tick(event.at - START), event)]
    state = folded(segments_in_use(1, VIEWERS, GONE), *contents, tick(25 * DAY))

    assert preview.members("viewers") == read_members(state.records[key_of("viewers")])
    assert (preview.users, preview.events, preview.now) == (4, len(events), START + 25 * DAY)


def test_the_moves_of_all_days_are_kept_although_the_fold_keeps_35() -> None:
    preview = SegmentPreview(CONFIGURATION)
    preview.fold(viewed(f"u{day}", day * DAY) for day in range(100))
    preview.pass_to(START + 200 * DAY)

    first = START // DAY
    assert preview.members("gone").number == 100
    assert preview.members("gone").days == [DayMoves(first + day, 1) for day in range(40, 140)]
    assert len(preview.members("gone").newest) == 20


def test_an_event_after_a_long_silence_moves_the_clock_in_steps() -> None:
    preview = SegmentPreview(CONFIGURATION)
    preview.fold([*(viewed(f"u{day}", day * DAY) for day in range(60)), viewed("u0", 400 * DAY)])

    assert [moves.entered for moves in preview.members("gone").days][:60] == [1] * 60
    assert preview.members("gone").number == 59


@pytest.mark.parametrize(
    ("when", "reads"),
    [
        ({"score": "churn", "at_least": 0.5}, True),
        ({"segment": "regulars"}, True),
        ({"trait": "plan", "is": "free"}, False),
    ],
)
def test_it_is_known_whether_models_would_be_read(when: dict[str, object], reads: bool) -> None:
    assert SegmentPreview(parse({"segments": [{"name": "s", "when": when}]}, {})).reads_models is reads
