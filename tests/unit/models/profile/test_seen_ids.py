from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batch import Outputs
from models.events import Event
from models.log import Control, Tick, opening
from models.profile.codec import unpack
from models.profile.seen_ids import BUCKET, MAX_IDS, SeenIds, digest_of, forget, knows, remember
from models.rejected import decode_rejected
from models.units import DAY, HOUR
from tests.support.configured_versions import settings_version
from tests.support.event_logs import START, fold_log, shoppers, written


def test_bytes_are_found_only_if_they_are_one_whole_digest() -> None:
    ids = SeenIds(marks=[2, 0], digests=b"0123456789abcdef")

    assert knows(ids, b"01234567")
    assert knows(ids, b"89abcdef")
    assert not knows(ids, b"456789ab")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3 * DAY), st.integers(-2 * DAY, DAY)), max_size=60))
def test_a_repeat_within_the_horizon_is_known_and_no_id_that_could_still_be_folded_is_forgotten(
    log: list[tuple[int, int, int]],
) -> None:
    horizon, ids, now = 2 * DAY, SeenIds(), 10 * DAY
    folded: dict[int, tuple[int, int]] = {}
    for number, passed, ahead in log:
        now += passed
        at = now + ahead
        forget(ids, now - horizon)
        if knows(ids, digest_of(str(number))):
            continue
        if number in folded:
            first_now, first_at = folded[number]
            assert now - first_now > horizon, "a repeat within the horizon"
            assert first_at < now - horizon, "an id that was forgotten too early: its event would be folded again"
        remember(ids, digest_of(str(number)), now, at)
        folded[number] = now, at


def test_the_oldest_ids_are_forgotten_first_one_bucket_at_a_time() -> None:
    ids = SeenIds()
    for number in range(10):
        remember(ids, digest_of(str(number)), number * HOUR, number * HOUR)

    forget(ids, 4 * HOUR + 1)

    assert [knows(ids, digest_of(str(number))) for number in range(10)] == [False] * 5 + [True] * 5


def test_too_many_ids_shorten_the_deduplication_window_and_the_forgotten_ids_are_counted() -> None:
    ids, forgotten = SeenIds(), 0
    for number in range(MAX_IDS + BUCKET + 1):
        forgotten += remember(ids, digest_of(str(number)), START + number, START + number)

    assert forgotten == 2 * BUCKET
    assert len(ids) <= MAX_IDS
    assert ids.floor == START + 2 * BUCKET
    assert not knows(ids, digest_of(str(2 * BUCKET - 1)))
    assert knows(ids, digest_of(str(2 * BUCKET)))


def test_ids_with_times_ahead_of_the_clock_do_not_raise_the_floor() -> None:
    ids = SeenIds()
    for number in range(MAX_IDS + 1):
        remember(ids, digest_of(str(number)), START + number, START + DAY)

    assert ids.floor == 0


def counted(outputs: list[Outputs], *name: str) -> float:
    return sum(output.counts.get(name, 0) for output in outputs)


def test_replaying_a_whole_topic_at_any_time_changes_no_byte_of_any_user() -> None:
    log = shoppers(21, users=8, days=10)
    once, _ = fold_log(written(log), itertools.repeat(100))
    events = [event for event in log if isinstance(event, Event)]
    for later in (0, 12 * HOUR, 100 * DAY):
        end = max(tick.at for tick in log if isinstance(tick, Tick)) + later
        waited, _ = fold_log(written([*log, Tick(at=end)]), itertools.repeat(100))
        twice, outputs = fold_log(written([*log, Tick(at=end), *events]), itertools.repeat(100))

        assert twice.records == waited.records
        too_late = counted(outputs, "events_rejected", "too_late")
        distinct = len({event.id for event in events})
        assert counted(outputs, "events_duplicate") + too_late == 2 * len(events) - distinct
        assert too_late > 0
    assert once.records.keys() == waited.records.keys()


@pytest.mark.parametrize("seed", range(6))
def test_repeated_events_at_any_place_of_a_log_change_no_user(seed: int) -> None:
    rng = random.Random(seed)
    log = shoppers(seed, users=6, days=8)
    seen: list[Event] = []
    repeated: list[Event | Control] = []
    for content in log:
        repeated.append(content)
        if isinstance(content, Event):
            seen.append(content)
        if seen and rng.random() < 0.3:
            repeated.append(rng.choice(seen))

    plain, _ = fold_log(written(log), itertools.repeat(50))
    state, _ = fold_log(written(repeated), iter(lambda: rng.randrange(1, 200), None))

    for key, packed in plain.records.items():
        clean, dirty = unpack(packed), unpack(state.records[key])
        assert (dirty.facts, dirty.ledger) == (clean.facts, clean.ledger)


def test_an_event_older_than_the_horizon_is_refused_and_creates_no_user() -> None:
    old = Event(id="m", user="u", type="click", at=START - 48 * HOUR - 1, item="s")
    just = Event(id="n", user="v", type="click", at=START - 48 * HOUR, item="s")

    state, outputs = fold_log(written([opening("feeder"), Tick(at=START), old, just]), itertools.repeat(9))

    (rejected,) = [decode_rejected(r.value) for o in outputs for r in o.commit.records if r.topic == "events.rejected"]
    assert (rejected.reason, rejected.field, rejected.offset) == ("too_late", "at", 2)
    assert [key for key in state.records if not key.startswith(b"\x00")] == [b"v"]


def test_a_person_can_force_a_late_event_once() -> None:
    forced = Event(id="m", user="u", type="click", at=START - 9 * DAY, item="s", forced=True)

    state, outputs = fold_log(written([opening("feeder"), Tick(at=START), forced, forced]), itertools.repeat(9))

    assert unpack(state.records[b"u"]).facts.events == {"click": 1}
    assert counted(outputs, "events_duplicate") == 1


def test_reports_of_delivery_are_never_too_late_in_a_log_with_a_feeders_clock() -> None:
    sent = Event(id="m:message_sent", user="u", type="message_sent", at=START - 9 * DAY, message="m")

    state, _ = fold_log(written([opening("feeder"), Tick(at=START), sent]), itertools.repeat(9))
    live, outputs = fold_log(written([opening("wall"), sent], stamp=START), itertools.repeat(9))

    assert unpack(state.records[b"u"]).facts.messages == {"message_sent": 1}
    assert not live.records
    assert counted(outputs, "events_rejected", "too_late") == 1


def test_a_rejected_event_can_come_again_with_the_same_id() -> None:
    full = [Event(id=f"f{n}", user="u", type="purchase", at=START, amount=1, currency=f"{n:03d}") for n in range(17)]
    again = Event(id="f16", user="u", type="purchase", at=START, amount=1, currency="000")

    state, outputs = fold_log(written([opening("feeder"), Tick(at=START), *full, again]), itertools.repeat(99))

    assert counted(outputs, "events_rejected", "state_full") == 1
    assert unpack(state.records[b"u"]).facts.spent["000"] == 2


def test_a_longer_horizon_accepts_no_event_whose_id_was_forgotten_under_a_shorter_one() -> None:
    event = Event(id="m", user="u", type="click", at=START, item="s")
    other = Event(id="n", user="u", type="click", at=START + 3 * HOUR, item="s")
    log: list[Event | Control] = [
        opening("feeder"),
        settings_version(1, horizon="2h"),
        Tick(at=START),
        event,
        Tick(at=START + 3 * HOUR),
        other,
    ]
    log += [settings_version(2, horizon="72h"), Tick(at=START + 4 * HOUR), event]

    state, outputs = fold_log(written(log), itertools.repeat(1))

    assert len(unpack(state.records[b"u"]).facts.seen_ids) == 1
    assert unpack(state.records[b"u"]).facts.events == {"click": 2}
    assert counted(outputs, "events_rejected", "too_late") == 1


def test_the_id_of_an_event_ahead_of_the_clock_is_kept_until_the_event_would_be_too_late() -> None:
    ahead = Event(id="m", user="u", type="click", at=START + 20 * HOUR, item="s")
    for days, kept in ((0, True), (2, True), (2.9, False)):
        log: list[Event | Control] = [opening("feeder"), Tick(at=START), ahead, Tick(at=START + int(days * DAY)), ahead]
        state, outputs = fold_log(written(log), itertools.repeat(1))

        assert unpack(state.records[b"u"]).facts.events == {"click": 1}
        assert counted(outputs, "events_duplicate") == kept
