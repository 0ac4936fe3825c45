"""Random logs give the same state and outputs in any cut, with new versions and with failures of every kind."""

from __future__ import annotations

import gc
import itertools
from types import FunctionType
from typing import Any
from zlib import crc32

import pytest

from models.batch import Batch, Restored
from models.conditions.program import segment_key
from models.engage.planner import Planner
from models.fold import facts_pass, journey_counts, members, step
from models.fold.live_user import RUNS
from models.fold.partition import PartitionFold
from models.log import Tick, opening
from models.profile import reducers
from models.profile.codec import unpack
from models.units import HOUR
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.random_logs import log_with_orders, random_log

CUTS: tuple[dict[str, int], ...] = (
    {"size": 2},
    {"size": 7},
    {"size": 40},
    {"size": 5_000},
    {"size": 1, "restart_every": 1},
    {"size": 7, "restart_every": 1},
    {"size": 40, "max_timers": 1},
    {"size": 40, "max_timers": 3, "restart_every": 1},
)
STEPS = (1, 3, 17)
SEEDS = range(12)

Results = tuple[dict[bytes, bytes], bytes, list[tuple[str, bytes, bytes | None]]]


def in_batches(log: list[PartitionRecord], size: int, **options: int) -> Results:
    state, given = fold_log(log, itertools.repeat(size), **options)
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for o in given for r in o.commit.records]


def in_pieces(log: list[PartitionRecord], max_steps: int) -> Results:
    state = Restored()
    given = PartitionFold(state, max_steps).fold(Batch("events", 0, log))
    state.apply(given.commit)
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for r in given.commit.records]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of some events, timers, plans and releases, each time they are tried."""
    originals: dict[str, Any] = {
        "reduce_facts": reducers.reduce_facts,
        "step_timer": step.step_timer,
        "plan": Planner.plan,
        "release": Planner.release,
    }

    def fail_at(chance: int, *what: object) -> None:
        if crc32(repr(what).encode()) % 1_000 < chance:
            raise ZeroDivisionError("planned")

    def reduce_facts(facts: Any, numbers: Any, event: Any, *more: Any) -> None:
        originals["reduce_facts"](facts, numbers, event, *more)
        fail_at(60, event.id)

    def step_timer(piece: Any, user: Any, timer: Any) -> None:
        fail_at(60, user.name, timer.name, timer.due)
        originals["step_timer"](piece, user, timer)

    def plan(self: Planner, rule: Any, signal: Any, recipient: Any) -> Any:
        fail_at(60, rule.name, signal.cause, signal.at)
        return originals["plan"](self, rule, signal, recipient)

    def release(self: Planner, recipient: Any) -> Any:
        fail_at(200, recipient.user, recipient.now)
        return originals["release"](self, recipient)

    monkeypatch.setattr(step, "reduce_facts", reduce_facts)
    monkeypatch.setattr(step, "step_timer", step_timer)
    monkeypatch.setattr(Planner, "plan", plan)
    monkeypatch.setattr(Planner, "release", release)


def assert_equal_in_all_cuts(log: list[PartitionRecord]) -> Results:
    reference = in_batches(log, 1)
    for cut in CUTS:
        assert in_batches(log, **cut) == reference, cut
    for steps in STEPS:
        assert in_pieces(log, steps) == reference, f"pieces of {steps} steps"
    return reference


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    _, _, outputs = assert_equal_in_all_cuts(random_log(seed, with_versions=False))

    assert {"decisions", "signals"} <= {topic for topic, _, _ in outputs}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_new_versions_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    assert_equal_in_all_cuts(random_log(100 + seed, with_versions=True))


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_in_which_steps_fail_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    _, _, outputs = assert_equal_in_all_cuts(random_log(200 + seed, with_versions=True))

    assert any(topic == "events.rejected" for topic, _, _ in outputs)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_segments_by_rule_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    _, _, outputs = assert_equal_in_all_cuts(random_log(300 + seed, with_versions=True, with_segments=True))

    assert {"decisions", "signals"} <= {topic for topic, _, _ in outputs}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_whose_newest_members_leave_gives_the_same_bytes_in_any_cut(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MAX_NEWEST", 2)

    records, _, _ = assert_equal_in_all_cuts(random_log(900 + seed, with_versions=True, with_segments=True))

    users = {key.decode(): unpack(packed) for key, packed in records.items() if key[:1] != b"\x00"}
    for key, content in records.items():
        if key.startswith(members.KEY):
            number, found = segment_key(key[len(members.KEY) :].decode()), members.read_members(content)
            known = {name: user.ledger.memberships for name, user in users.items()}
            since = {name: of.since[number] for name, of in known.items() if of is not None and number in of.since}
            assert found.number == len(since)
            assert all(since[one.user] == one.since for one in found.newest)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_a_lifecycle_and_new_gaps_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    log = random_log(500 + seed, with_versions=True, with_segments=True, with_lifecycle=True)

    _, _, outputs = assert_equal_in_all_cuts(log)

    assert any(topic == "signals" and value and b"lifecycle_moved" in value for topic, _, value in outputs)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_conditions_on_features_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    log = random_log(
        600 + seed, with_versions=True, with_segments=True, with_lifecycle=seed % 2 == 0, with_features=True
    )

    records, _, outputs = assert_equal_in_all_cuts(log)

    users = [unpack(packed) for key, packed in records.items() if key[:1] != b"\x00"]
    assert any(user.ledger.features for user in users)
    signals = [value for topic, _, value in outputs if topic == "signals" and value]
    assert any(b'"name":"loyal"' in value for value in signals)
    if seed in (0, 1, 3):
        assert any(b'"cause":"timer:adopt"' in value for value in signals)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_journeys_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    log = random_log(701 + seed, with_versions=True, with_segments=True, with_journeys=True)

    records, _, outputs = assert_equal_in_all_cuts(log)

    users = [unpack(packed) for key, packed in records.items() if key[:1] != b"\x00"]
    for user in users:
        has_run = user.ledger.runs is not None and bool(user.ledger.runs.active)
        assert not has_run or any(timer.name == RUNS for timer in user.ledger.timers)
    assert any(topic == "signals" and value and b"journey_entered" in value for topic, _, value in outputs)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_journeys_in_which_steps_fail_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    assert_equal_in_all_cuts(random_log(750 + seed, with_versions=True, with_segments=True, with_journeys=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_orders_about_runs_gives_the_same_bytes_in_any_cut(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr(facts_pass, "MAX_ENTRIES_PER_TIMER", 1)
    records, _, _ = assert_equal_in_all_cuts(log_with_orders(1100 + seed))

    held, under_way = dict[str, int](), dict[tuple[str, str], int]()
    for key, packed in records.items():
        runs = None if key[:1] == b"\x00" else unpack(packed).ledger.runs
        for run in () if runs is None else runs.active:
            held[run.journey] = held.get(run.journey, 0) + bool(run.held_since)
            under_way[run.journey, run.version] = under_way.get((run.journey, run.version), 0) + 1
    for key, content in records.items():
        if key.startswith(journey_counts.KEY):
            name, found = key[len(journey_counts.KEY) :].decode(), journey_counts.read_counts(content)
            assert found.held == held.get(name, 0)
            assert found.active == {of: number for (one, of), number in sorted(under_way.items()) if one == name}


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_orders_about_runs_in_which_steps_fail_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    assert_equal_in_all_cuts(log_with_orders(1150 + seed))


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_features_in_which_steps_fail_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    assert_equal_in_all_cuts(random_log(650 + seed, with_versions=True, with_segments=True, with_features=True))


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_segments_in_which_steps_fail_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    assert_equal_in_all_cuts(random_log(400 + seed, with_versions=True, with_segments=True))


def test_the_queue_of_timers_does_not_grow_with_the_number_of_pieces() -> None:
    log = random_log(3, with_versions=False)
    users = {record.key for record in log if record.key is not None and record.key[:1] != b"\x00"}
    state = Restored()
    fold = PartitionFold(state)
    for record in log:
        for outputs in fold.slices(Batch("events", 0, [record])):
            state.apply(outputs.commit, record.offset + 1)

    assert fold.scheduled <= 3 * len(users)


@pytest.mark.usefixtures("failing")
def test_the_work_for_a_failure_does_not_grow_with_the_size_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [event for seed in (5, 6, 7) for event in random_log(seed, with_versions=False)]
    log = [record._replace(offset=offset) for offset, record in enumerate(contents)]
    calls, reduce_facts = 0, vars(step)["reduce_facts"]  # the failing one

    def counted(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        reduce_facts(*arguments)

    monkeypatch.setattr(step, "reduce_facts", counted)
    in_batches(log, 1)
    one_by_one = calls
    calls = 0
    in_batches(log, 5_000)

    assert calls < 6 * one_by_one


def test_a_log_may_end_with_its_clock() -> None:
    log = written([opening("feeder"), Tick(at=START), Tick(at=START + HOUR)])

    assert in_batches(log, 3) == in_batches(log, 1)


def open_tasks() -> set[int]:
    """Return the identities of the tasks that steps have left and that are still in memory."""
    return {
        id(one)
        for one in gc.get_objects()
        if type(one) is FunctionType
        and str(one.__module__).startswith("models.fold")
        and "<locals>" in one.__qualname__
    }


@pytest.mark.parametrize("seed", range(4))
def test_no_step_stays_in_memory(seed: int) -> None:
    """The garbage collector does not track steps, so a task that refers to its step would keep it for ever."""
    gc.collect()
    before = open_tasks()
    for log in (random_log(seed, with_versions=True), log_with_orders(seed)):
        in_batches(log, 40)
    gc.collect()
    assert open_tasks() <= before


@pytest.mark.usefixtures("failing")
def test_no_step_that_fails_stays_in_memory() -> None:
    gc.collect()
    before = open_tasks()
    in_batches(random_log(1, with_versions=True), 40)
    gc.collect()
    assert open_tasks() <= before
