from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from models.batch import Batch, Outputs, Restored
from models.events import Event
from models.fold.failures import MAX_FAILURES, FoldBroken
from models.fold.live_user import LiveUser
from models.fold.partition import PartitionFold
from models.fold.piece import Piece
from models.log import Control, Tick, Use, opening
from models.profile.codec import unpack
from models.profile.features import FEATURES
from models.profile.ledger import Timer
from models.profile.numbers import SUPPORT, Numbers
from models.profile.state import Facts
from models.rejected import decode_rejected
from models.units import DAY
from tests.support.configured_versions import VERSIONS_OVER_TIME, configuration_version
from tests.support.event_logs import START, batches, fold_log, shoppers, written


def everything(outputs: list[Outputs]) -> list[tuple[str, bytes, bytes | None]]:
    return [tuple(record) for output in outputs for record in output.commit.records]  # type: ignore[misc]


def forever(size: int) -> itertools.repeat[int]:
    return itertools.repeat(size)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_cut_into_any_batches_gives_the_same_bytes(seed: int) -> None:
    log = written(shoppers(seed, extra=VERSIONS_OVER_TIME))
    state, outputs = fold_log(log, forever(1))
    topics = {record.topic for output in outputs for record in output.commit.records}
    assert {"interactions", "signals", "decisions", "messages.email", "examples.churn", "examples.segments"} <= topics

    rng = random.Random(seed)
    cuts = [forever(2), forever(37), forever(500), forever(2_000), iter(lambda: rng.randrange(1, 300), None)]
    for sizes in cuts:
        other, others = fold_log(log, sizes)

        assert other.records == state.records
        assert other.memo == state.memo
        assert everything(others) == everything(outputs)


def test_a_fold_that_is_restored_every_few_batches_gives_the_same_bytes() -> None:
    log = written(shoppers(3, extra=VERSIONS_OVER_TIME))

    whole, outputs = fold_log(log, forever(64))
    pieces, others = fold_log(log, forever(64), restart_every=3)

    assert pieces.records == whole.records
    assert everything(others) == everything(outputs)


def test_folding_a_log_twice_changes_only_the_clock_and_the_number_of_duplicates() -> None:
    events = [e for e in shoppers(4, users=5, days=1) if isinstance(e, Event)]
    once, _ = fold_log(written([opening("feeder"), *events]), forever(50))
    twice, outputs = fold_log(written([opening("feeder"), *events, *events]), forever(50))

    facts = {key: unpack(value).facts for key, value in once.records.items()}
    assert {key: unpack(value).facts for key, value in twice.records.items()} == facts
    duplicates = sum(output.counts.get(("events_duplicate",), 0) for output in outputs)
    assert duplicates >= len(events)


def test_an_ordered_commit_that_was_cut_short_is_folded_again_without_counting_twice() -> None:
    log = written(shoppers(5, users=8, days=10, extra=VERSIONS_OVER_TIME[:2]))
    head, tail = log[: len(log) // 2], log[len(log) // 2 :]
    complete, _ = fold_log(log, forever(10_000))
    state, _ = fold_log(head, forever(10_000))
    cut = PartitionFold(state).fold(Batch("events", 0, tail))

    for keep in (0, 1, len(cut.commit.state) // 2, len(cut.commit.state)):
        # The state of some users was written before the crash. Position, clock and versions are still the old ones.
        written_keys = [key for key in sorted(cut.commit.state) if not key.startswith(b"\x00")][:keep]
        torn = Restored(memo=state.memo, position=state.position, records=dict(state.records))
        torn.records.update({key: value for key in written_keys if (value := cut.commit.state[key]) is not None})
        torn.apply(PartitionFold(torn).fold(Batch("events", 0, tail)).commit)

        assert torn.records == complete.records


def test_a_wall_clock_is_the_newest_stamp_and_a_feeders_clock_the_newest_tick() -> None:
    event = Event(id="m", user="u", type="click", at=START, item="sku")
    wall = PartitionFold(Restored())
    wall.fold(Batch("events", 0, written([event, Tick(at=START + 9 * DAY)], stamp=START + 5)))
    feeder = PartitionFold(Restored())
    feeder.fold(Batch("events", 0, written([opening("feeder"), event, Tick(at=START + 9 * DAY)], stamp=5)))

    assert (wall.clock, wall.now) == ("wall", START + 6)
    assert (feeder.clock, feeder.now) == ("feeder", START + 9 * DAY)


def test_outputs_give_the_next_due_time_so_that_the_driver_can_move_the_clock() -> None:
    state = Restored()
    fold = PartitionFold(state)
    outputs = fold.fold(Batch("events", 0, written([Event(id="m", user="u", type="click", at=START, item="s")])))
    state.apply(outputs.commit)

    assert outputs.next_due == unpack(state.records[b"u"]).next_due
    assert PartitionFold(state).fold(Batch("events", 0, written([Tick(at=0)]))).next_due == outputs.next_due


def test_garbage_between_valid_events_is_rejected_with_its_offset_and_changes_nothing_else() -> None:
    good = [Event(id=f"m{i}", user="u", type="click", at=START + i, item="s") for i in range(3)]
    garbage = [(b"u", b"\xff\x00"), (b"u", b"[]"), (None, None), (b"\x00tick", b"{}"), (b"u", b'{"id":1}')]
    log = written([good[0], *garbage, *good[1:]])

    clean, _ = fold_log(written(good), forever(100))
    state, outputs = fold_log(log, forever(100))

    rejected = [
        decode_rejected(r.value) for output in outputs for r in output.commit.records if r.topic == "events.rejected"
    ]
    assert [(r.reason, r.offset) for r in rejected] == [("undecodable", i) for i in range(1, 6)]
    assert unpack(state.records[b"u"]).facts.events == unpack(clean.records[b"u"]).facts.events == {"click": 3}


def test_an_event_that_breaks_a_reducer_is_rejected_and_its_partial_change_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from models.profile import reducers

    def broken(facts: Facts, numbers: Numbers, event: Event) -> None:
        if event.text == "break":
            raise ZeroDivisionError("boom")

    monkeypatch.setitem(reducers.REDUCERS, "support_message", broken)
    events = [Event(id=f"m{i}", user=f"u{i % 2}", type="click", at=START + i, item="s") for i in range(6)]
    bad = Event(id="bad", user="u1", type="support_message", at=START + 2, text="break")
    clean, _ = fold_log(written([*events[:3], (b"\x00order", b"{}"), *events[3:]]), forever(100))

    state, outputs = fold_log(written([*events[:3], bad, *events[3:]]), forever(100))

    rejected = [
        decode_rejected(r.value) for output in outputs for r in output.commit.records if r.topic == "events.rejected"
    ]
    assert [(r.reason, r.offset) for r in rejected] == [("fold_failed", 3)]
    assert "boom" in rejected[0].found
    assert state.records == clean.records


def test_a_hundred_failures_in_a_row_stop_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.profile import reducers

    def broken(facts: Facts, numbers: Numbers, event: Event) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(reducers.REDUCERS, "support_message", broken)
    events = [Event(id=f"m{i}", user="u", type="support_message", at=START + i) for i in range(MAX_FAILURES)]

    with pytest.raises(FoldBroken):
        fold_log(written(events), forever(7))


def test_a_lower_or_equal_version_is_ignored_and_one_that_cannot_be_read_is_rejected() -> None:
    fold = PartitionFold(Restored())
    log = [configuration_version(2), configuration_version(1), Use(name="churn", version=1, content=b'{"no":1}')]  # type: ignore[arg-type]
    outputs = fold.fold(Batch("events", 0, written(log)))

    assert fold.versions.number("configuration") == 2
    assert fold.versions.number("churn") == 0
    assert [decode_rejected(r.value).offset for r in outputs.commit.records] == [2]


def test_every_user_who_was_scored_has_a_segment_a_risk_and_rows_with_every_feature() -> None:
    state, _ = fold_log(written(shoppers(7, users=6, days=20, extra=VERSIONS_OVER_TIME[:3])), forever(100))

    customers = [unpack(packed) for key, packed in state.records.items() if not key.startswith(b"\x00")]
    scored = [customer for customer in customers if customer.ledger.segment_version]
    assert {customer.ledger.segment for customer in scored} <= {"quiet", "busy"}
    risks = [customer.ledger.risk for customer in scored if customer.facts.identified]
    assert len(risks) > 2
    assert all(risk is not None and 0 <= risk <= 1 for risk in risks)
    rows = [example.row for customer in scored for example in customer.ledger.examples]
    assert len(rows) > 2
    assert {len(row) for row in rows} == {len(FEATURES)}


def test_batches_of_a_log_contain_every_record_once_and_in_order() -> None:
    records = written([Tick(at=i) for i in range(5)])

    cut = [batch.records for batch in batches(records, iter([2, 2, 2]))]

    assert [len(part) for part in cut] == [2, 2, 1]
    assert [record for part in cut for record in part] == records


def hostile(seed: int) -> list[Event | Control]:
    """Make a log in which some support messages and cart timers fail after a part of their change."""
    rng = random.Random(seed)
    log = shoppers(seed, users=8, days=15, extra=VERSIONS_OVER_TIME[:3])
    bad = [
        Event(
            id=f"bad{n}", user=f"u{rng.randrange(8)}", type="support_message", at=START, text="break", origin="simulate"
        )
        for n in range(12)
    ]
    for event in bad:
        log.insert(rng.randrange(5, len(log)), event)
    return log


@pytest.fixture
def brittle(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.fold import step
    from models.profile import reducers

    def broken(facts: Facts, numbers: Numbers, event: Event) -> None:
        facts.support += 1
        numbers[SUPPORT] += 1
        if event.text == "break":
            raise ZeroDivisionError("boom")

    fire = step.step_timer

    def unlucky(piece: Piece, user: LiveUser, timer: Timer) -> None:
        user.facts.support += 1
        user.numbers[SUPPORT] += 1
        if timer.name.startswith("cart") and timer.due % 3 == 0:
            raise ZeroDivisionError("late")
        fire(piece, user, timer)

    monkeypatch.setitem(reducers.REDUCERS, "support_message", broken)
    monkeypatch.setattr(step, "step_timer", unlucky)


@pytest.mark.usefixtures("brittle")
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_log_with_failures_cut_into_any_batches_gives_the_same_bytes(seed: int) -> None:
    log = written(hostile(seed))
    state, outputs = fold_log(log, forever(1))
    rejected = [decode_rejected(r.value) for o in outputs for r in o.commit.records if r.topic == "events.rejected"]
    assert {"boom", "late"} <= {r.found.partition(": ")[2] for r in rejected}

    rng = random.Random(seed)
    for sizes in (forever(7), forever(5_000), iter(lambda: rng.randrange(1, 300), None)):
        other, others = fold_log(log, sizes, restart_every=rng.choice([0, 3]))

        assert everything(others) == everything(outputs)
        assert (other.records, other.memo) == (state.records, state.memo)


def test_a_hundred_failures_that_are_not_in_a_row_are_bad_data(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.profile import reducers

    def broken(facts: Facts, numbers: Numbers, event: Event) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(reducers.REDUCERS, "support_message", broken)
    events = [
        Event(id=f"m{i}", user="u", type="support_message" if i % 2 else "click", at=START + i, item="s")
        for i in range(6 * MAX_FAILURES)
    ]
    for size in (1, 10_000):
        _, outputs = fold_log(written(events), forever(size))

        assert sum(o.counts.get(("events_rejected", "fold_failed"), 0) for o in outputs) == 3 * MAX_FAILURES


@pytest.mark.parametrize(
    ("event", "times"),
    [
        ({"type": "identify", "traits": {"bio": "x" * 30_000}}, 60),
        ({"type": "purchase", "amount": 10**16}, 2_000),
        ({"type": "purchase", "amount": 1}, 30),
    ],
)
def test_no_events_can_make_a_profile_too_large_for_a_record(event: dict[str, Any], times: int) -> None:
    log: list[Event] = []
    for n in range(times):
        changed = dict(event)
        if "traits" in changed:
            changed["traits"] = {f"bio{n}": "x" * 30_000}
        if changed.get("amount") == 1:
            changed["currency"] = f"{n:03d}"
        log.append(Event(id=f"m{n}", user="u", at=START + n, **changed))

    state, outputs = fold_log(written(log), forever(100))

    assert len(state.records[b"u"]) < 100_000 + 30 * times
    refused = [decode_rejected(r.value) for o in outputs for r in o.commit.records if r.topic == "events.rejected"]
    assert {r.reason for r in refused} == {"state_full"}


def test_the_queue_of_timers_has_an_entry_per_user_and_not_per_event() -> None:
    state = Restored()
    fold = PartitionFold(state)
    events = [Event(id=f"m{n}", user=f"u{n % 10}", type="click", at=START + n, item="s") for n in range(5_000)]

    state.apply(fold.fold(Batch("events", 0, written(events))).commit)

    assert fold.scheduled == 10


def test_no_event_is_live_in_a_log_with_a_feeders_clock() -> None:
    event = Event(id="m", user="u", type="click", at=START, item="s", origin="live")

    fed, _ = fold_log(written([opening("feeder"), Tick(at=START), event]), forever(9))
    live, _ = fold_log(written([opening("wall"), event]), forever(9))

    assert [unpack(state.records[b"u"]).facts.origin for state in (fed, live)] == ["replay", "live"]
