from __future__ import annotations

import itertools

import pytest

from models.batch import Batch, Outputs, Restored
from models.errors import StateMismatch
from models.events import Event, encode_event
from models.fold import step
from models.fold.live_user import LiveUser
from models.fold.memo import read_memo
from models.fold.partition import PartitionFold
from models.fold.piece import Piece
from models.log import Tick, opening
from models.profile import codec
from models.profile.codec import header, pack, unpack
from models.profile.ledger import NEVER, Timer
from models.profile.state import Customer
from models.profile.timers import cancel, cancel_all, is_set, set_timer
from models.units import DAY, MINUTE
from tests.support.configured_versions import configuration_version
from tests.support.event_logs import START, PartitionRecord, batches, fold_log, shoppers, written


def test_timers_stay_sorted_with_one_timer_of_each_name() -> None:
    customer = Customer()
    for name, due in (("b", 5), ("a", 5), ("c", 1), ("b", 3)):
        set_timer(customer, name, due)

    assert customer.ledger.timers == [Timer(1, "c"), Timer(3, "b"), Timer(5, "a")]
    cancel(customer, "c")
    cancel(customer, "unknown")
    assert customer.next_due == 3
    assert is_set(customer, "b")


def test_all_of_a_kind_are_cancelled_together() -> None:
    customer = Customer()
    for name in ("cart:one", "cart:two", "carton"):
        set_timer(customer, name, 1)

    cancel_all(customer, "cart")

    assert [timer.name for timer in customer.ledger.timers] == ["carton"]


def test_the_header_is_read_without_decoding_the_rest() -> None:
    customer = Customer(seen=41)
    assert header(pack(customer)) == (41, NEVER)
    set_timer(customer, "assess", 99)

    assert header(pack(customer)) == (41, 99)
    assert unpack(pack(customer)) == customer


def test_a_state_of_another_schema_is_refused() -> None:
    packed = b"\x63" + pack(Customer())[1:]

    for read in (header, unpack):
        with pytest.raises(StateMismatch, match="version 99"):
            read(packed)


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, str]]:
    seen: list[tuple[int, str, str]] = []
    original = step.step_timer

    def recording(piece: Piece, user: LiveUser, timer: Timer) -> None:
        seen.append((timer.due, user.name, timer.name))
        original(piece, user, timer)

    monkeypatch.setattr(step, "step_timer", recording)
    return seen


def test_timers_fire_in_the_order_of_due_user_and_name_before_the_record_that_moved_now(
    fired: list[tuple[int, str, str]],
) -> None:
    state = Restored()
    for user in ("u2", "u1", "u3"):
        customer = Customer()
        for name, due in (("z", 10), ("a", 10), ("m", 5 if user == "u3" else 20)):
            set_timer(customer, name, START + due)
        state.records[user.encode()] = pack(customer)
    fold = PartitionFold(state)
    click = Event(id="e", user="u9", type="click", at=START, item="i")

    fold.fold(Batch("events", 0, written([opening("feeder"), Tick(at=START + 9), click, Tick(at=START + 30)])))

    at = [(due - START, user, name) for due, user, name in fired]
    assert at == [
        (5, "u3", "m"),
        (10, "u1", "a"), (10, "u1", "z"), (10, "u2", "a"), (10, "u2", "z"), (10, "u3", "a"), (10, "u3", "z"),
        (20, "u1", "m"), (20, "u2", "m"),
    ]  # fmt: skip


def a_crowd(users: int, timers: int = 2) -> Restored:
    """Make users whose timers are not due in the order of the users; some are due at the same time."""
    state = Restored()
    for number in range(users):
        customer = Customer()
        for name in range(timers):
            set_timer(customer, f"note:{name}", START + (number * 7919 + name * 31) % (users // 2))
        state.records[b"u%d" % number] = pack(customer)
    return state


def log_with_jump(users: int) -> list[PartitionRecord]:
    """Make a log of two events, and between them a record that moves the clock past all timers."""
    before = Event(id="e1", user="u0", type="click", at=START, item="i")
    after = Event(id="e2", user="u1", type="click", at=START, item="i")
    return written([opening("feeder"), Tick(at=START - 1), before, Tick(at=START + users), after, Tick(at=START + DAY)])


@pytest.mark.parametrize("max_timers", [1, 7, 50, 10_000])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_timers_fire_in_slices_and_the_result_does_not_depend_on_the_size_of_a_slice(
    fired: list[tuple[int, str, str]], max_timers: int, size: int
) -> None:
    users, whole = 60, a_crowd(60)
    for batch in batches(log_with_jump(users), itertools.repeat(100)):
        whole.apply(PartitionFold(whole).fold(batch).commit)
    in_one = fired[:]
    fired.clear()

    state = a_crowd(users)
    fold, slices = PartitionFold(state), 0
    for batch in batches(log_with_jump(users), itertools.repeat(size)):
        for outputs in fold.slices(batch, max_timers):
            state.apply(outputs.commit)
            slices += 1

    assert fired == in_one == sorted(fired)
    assert (state.records, state.memo) == (whole.records, whole.memo)
    assert slices >= 2 * users // max_timers


@pytest.mark.parametrize("max_timers", [1, 7, 50])
def test_a_crash_between_two_slices_loses_and_repeats_nothing(
    fired: list[tuple[int, str, str]], max_timers: int
) -> None:
    users = 60
    log, whole, outputs = log_with_jump(users), a_crowd(users), []
    fold = PartitionFold(whole)
    for given in fold.slices(Batch("events", 0, log)):
        whole.apply(given.commit)
        outputs += given.commit.records
    in_one = fired[:]
    fired.clear()

    state, written_out, lives = a_crowd(users), [], 0
    while state.position < len(log):
        lives += 1
        state = Restored(memo=state.memo, position=state.position, records=dict(state.records))
        given = next(PartitionFold(state).slices(Batch("events", 0, log[state.position :]), max_timers))
        state.apply(given.commit)
        written_out += given.commit.records
        state.position = state.checkpoint(given.commit, len(log)).position

    assert fired == in_one
    assert (state.records, state.memo, written_out) == (whole.records, whole.memo, outputs)
    assert lives > 2 * users // max_timers


def test_a_slice_that_ends_before_a_record_gives_its_offset_and_has_moved_the_clock() -> None:
    state = a_crowd(10, timers=1)
    click = encode_event(Event(id="e", user="u0", type="click", at=START, item="i"))
    log = [PartitionRecord(0, START + 99, b"u0", click)]

    first, *others = fold_each(state, log, max_timers=4)

    assert first.commit.position == 0
    assert read_memo(Restored(memo=first.commit.memo or b"")).now == START + 99
    assert [given.commit.position for given in others] == [0, None]
    assert unpack(state.records[b"u0"]).facts.events == {"click": 1}


def fold_each(state: Restored, log: list[PartitionRecord], max_timers: int) -> list[Outputs]:
    given = []
    for outputs in PartitionFold(state).slices(Batch("events", 0, log), max_timers):
        state.apply(outputs.commit)
        given.append(outputs)
    return given


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_with_long_gaps_gives_the_same_bytes_for_any_size_of_a_slice(seed: int) -> None:
    log = written(shoppers(seed, users=12, days=12, extra=[(0.0, configuration_version(1))]))
    awake = [record for record in log if record.offset % 500 == 0 or record.key != b"\x00tick"]
    whole, outputs = fold_log(awake, itertools.repeat(1_000), max_timers=10**9)

    for max_timers in (1, 3, 40):
        state, others = fold_log(awake, itertools.repeat(33), restart_every=2, max_timers=max_timers)

        assert (state.records, state.memo) == (whole.records, whole.memo)
        assert [r for o in others for r in o.commit.records] == [r for o in outputs for r in o.commit.records]


def test_an_event_decodes_only_its_user_even_if_many_timers_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    original = header

    def recording(packed: bytes) -> tuple[int, int]:
        decoded.append(packed)
        return original(packed)

    state = Restored()
    for number in range(20_000):
        customer = Customer()
        set_timer(customer, "note", START + DAY + number * MINUTE)
        state.records[b"u%d" % number] = pack(customer)
    state.apply(
        (fold := PartitionFold(state)).fold(Batch("events", 0, written([opening("feeder"), Tick(at=START)]))).commit
    )
    click = Event(id="e", user="u7", type="click", at=START, item="i")
    monkeypatch.setattr(codec, "header", recording)

    outputs = fold.fold(Batch("events", 0, written([opening("feeder"), Tick(at=START), click, Tick(at=START + 1)])[1:]))

    assert len(decoded) < 100
    assert outputs.next_due is not None
    assert START < outputs.next_due <= START + DAY
