"""The load of the benchmarks is what it says: seeded, heavy-tailed, and made of events that the fold takes."""

from __future__ import annotations

from collections import Counter

from models.events import decode_event
from models.log import Tick, decode_control, is_control
from tests.benchmarks.load import Load


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    assert list(Load(events=500)) == list(Load(events=500))
    assert list(Load(events=500)) != list(Load(events=500, seed=2))


def test_events_have_about_300_bytes_and_ids_of_their_own() -> None:
    load = [(key, value) for key, value in Load(events=20_000) if not is_control(key)]
    events = [decode_event(value) for _, value in load]

    assert 270 < sum(len(value) for _, value in load) / len(load) < 330
    assert len({event.id for event in events}) == len(events) == 20_000
    assert all(event.user.encode() == key for event, (key, _) in zip(events, load, strict=True))


def test_a_hundredth_of_the_users_does_a_large_part_of_what_is_done() -> None:
    done = Counter(key for key, _ in Load(events=50_000, users=50_000) if not is_control(key))

    assert sum(count for _, count in done.most_common(500)) > 0.3 * 50_000


def test_time_passes_with_ticks_that_are_never_ahead_of_the_next_event() -> None:
    now = 0
    for key, value in Load(events=5_000):
        if is_control(key):
            tick = decode_control(value)
            assert isinstance(tick, Tick)
            assert tick.at >= now
            now = tick.at
        else:
            assert decode_event(value).at >= now
