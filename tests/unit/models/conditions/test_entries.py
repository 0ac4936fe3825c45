from hypothesis import given
from hypothesis import strategies as st

from models.conditions.entries import Newest, Series, Track, Variety
from models.conditions.merging import merge, merge_oldest
from models.units import DAY, HOUR, MINUTE

START = 1_700_000_000_000


def _series(times: list[int], values: list[int] | None = None) -> Series:
    series = Series()
    for i, at in enumerate(times):
        series.insert(at, i, None if values is None else values[i])
    return series


@given(st.lists(st.integers(-(10**12), 2 * 10**12)), st.booleans())
def test_a_series_is_stored_and_read_in_the_order_of_time(times: list[int], has_values: bool) -> None:
    series = _series(times, list(range(len(times))) if has_values else None)
    read = Series.decode(series.encode())
    assert read.times == series.times == sorted(times)
    assert (read.marks, read.values) == (series.marks, series.values)


def test_an_event_of_a_counting_clause_needs_ten_bytes() -> None:
    series = _series([START + i * 7 * HOUR for i in range(100)])
    series.marks = [2**32 - 1] * 100
    assert len(series.encode()) <= 100 * 10 + 20


@given(st.dictionaries(st.text(max_size=9), st.lists(st.integers(0, 2 * 10**12), min_size=1, max_size=4), max_size=9))
def test_values_with_their_times_are_stored_and_read(found: dict[str, list[int]]) -> None:
    variety = Variety()
    variety.keys, variety.times = list(found), [sorted(times) for times in found.values()]
    read = Variety.decode(variety.encode())
    assert dict(zip(read.keys, read.times, strict=True)) == {key: sorted(times) for key, times in found.items()}
    assert read.encode() == variety.encode()


def test_matches_of_a_sequence_are_stored_and_read() -> None:
    track = Track(2)
    track.newest = START
    track.settled = [[(START - 5, START - 3, ("a", None))], []]
    track.recent = [(START, 3, True, (None, "b"))]
    read = Track.decode(track.encode())
    assert (read.newest, read.settled, read.recent) == (track.newest, track.settled, track.recent)


def test_the_newest_event_is_stored_and_read() -> None:
    read = Newest.decode(Newest(START, 7).encode())
    assert (read.at, read.mark) == (START, 7)


def test_the_two_oldest_entries_are_merged_at_the_time_of_the_newer_one() -> None:
    series = _series([1, 5, 9], [10, 20, 30])
    merge_oldest(series, sum)
    assert (series.times, series.values, series.counts, series.is_approximate) == ([5, 9], [30, 30], [2, 1], True)
    merge_oldest(series, max)
    assert (series.times, series.values, series.counts) == ([9], [30], [3])


def test_events_are_merged_by_hours_then_by_days_then_in_pairs() -> None:
    begin = START // DAY * DAY
    series = _series([begin + i * 10 * MINUTE for i in range(6 * 48)], [1] * 6 * 48)
    merge(series, sum)
    assert (len(series.times), set(series.counts), sum(series.values)) == (48, {6}, 288)
    merge(series, sum)
    assert (len(series.times), sum(series.values)) == (2, 288)
    daily = _series([begin + i * DAY for i in range(10)])
    merge(daily, sum)
    assert (len(daily.times), daily.counts) == (5, [2] * 5)
