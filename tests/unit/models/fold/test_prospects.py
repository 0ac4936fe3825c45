"""The numbers before a change of conditions are those that the running fold has after it."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from models.batch import Batch, Restored
from models.conditions.ordering import references
from models.conditions.program import segment_key
from models.configuration.compiled import Configuration, decode, encode
from models.configuration.parsing import parse
from models.fold.memo import read_memo
from models.fold.partition import PartitionFold
from models.fold.prospects import ConditionsPlan, ProspectiveCounts, Prospects, counts_of
from models.fold.stages import STAGES_KEY, read_stages
from models.log import BringHistory, HistoryComplete, Tick, Use, decode_control, encode_control, is_control
from models.profile.codec import unpack
from stream.rebuild.partition_history import PartitionHistory
from tests.support.event_logs import PartitionRecord, fold_log
from tests.support.random_logs import random_log
from tests.support.segment_logs import identified, segment_log, tick, viewed

SEEDS = range(14)


def logged(seed: int) -> list[PartitionRecord]:
    return random_log(
        seed, with_versions=True, with_segments=True, with_lifecycle=seed % 3 != 0, with_features=seed % 2 == 0
    )


def wanted_of(seed: int) -> Configuration:
    """Return the newest configuration of a random log with segments, features and a lifecycle."""
    found = configuration_in(logged(seed))
    assert found is not None
    return msgspec.structs.replace(found, rules=())


def configuration_in(log: list[PartitionRecord]) -> Configuration | None:
    controls = [decode_control(one.value or b"") for one in log if is_control(one.key) and one.value != b"junk"]
    uses = [one for one in controls if isinstance(one, Use) and one.name == "configuration"]
    return decode(bytes(max(uses, key=lambda use: use.version).content)) if uses else None


def without_configurations(log: list[PartitionRecord]) -> list[PartitionRecord]:
    kept = [one for one in log if b'"name":"configuration"' not in (one.value or b"")]
    return [record._replace(offset=offset) for offset, record in enumerate(kept)]


def added(log: list[PartitionRecord], *contents: tuple[bytes, bytes], after: int = 0) -> list[PartitionRecord]:
    """Return a log with more records, some milliseconds after its end."""
    last = log[-1]
    records = [
        PartitionRecord(last.offset + 1 + number, last.timestamp + after, *content)
        for number, content in enumerate(contents)
    ]
    return [*log, *records]


def applied(log: list[PartitionRecord], wanted: Configuration) -> list[PartitionRecord]:
    return added(log, encode_control(Use("configuration", 1_000, msgspec.Raw(encode(wanted)))))


def settled(log: list[PartitionRecord]) -> Restored:
    """Return the state after all users have come to the conditions at the end of a log."""
    now = read_memo(folded(log)).now
    return folded(added(log, encode_control(Tick(now + 1_000)), after=1_000))


def folded(log: list[PartitionRecord]) -> Restored:
    return fold_log(log, itertools.repeat(1_000))[0]


def prospects(log: list[PartitionRecord], plan: ConditionsPlan, covered_from: int | None) -> ProspectiveCounts:
    state = Restored()
    fold = PartitionFold(state, watched=plan.asked)
    state.apply(fold.fold(Batch("events", 0, log)).commit, len(log))
    found = Prospects(plan, fold.versions, fold.now, covered_from)
    for key, packed in state.records.items():
        if not is_control(key):
            found.add(key.decode(), unpack(packed))
    return counts_of([found])


def members(state: Restored, names: frozenset[str]) -> dict[str, int]:
    found = dict.fromkeys(sorted(names), 0)
    for key, packed in state.records.items():
        held = None if is_control(key) else unpack(packed).ledger.memberships
        since = {} if held is None else held.since
        for name in names:
            found[name] += segment_key(name) in since
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_new_conditions_that_see_nothing_of_the_past(seed: int) -> None:
    log, wanted = without_configurations(logged(800 + seed)), wanted_of(900 + seed)
    plan = ConditionsPlan(wanted, configuration_in(log))

    found, state = prospects(log, plan, None), settled(applied(log, wanted))

    assert found.members == members(state, plan.changed)
    assert plan.changed == {segment.name for segment in wanted.segments}
    assert {name: number for name, number in found.stages.items() if number} == stages(state)


def stages(state: Restored) -> dict[str, int]:
    return read_stages(state.records.get(STAGES_KEY)).users


@pytest.mark.parametrize("seed", SEEDS)
def test_new_conditions_that_get_their_history(seed: int) -> None:
    log, wanted = without_configurations(logged(800 + seed)), wanted_of(900 + seed)
    plan = ConditionsPlan(wanted, configuration_in(log))
    expected = prospects(log, plan, 0)

    history = PartitionHistory(0, plan)
    history.fold(log)
    in_use = applied(log, wanted)
    begun = added(in_use, announced(plan))
    history.fold(begun[len(log) :])
    brought = added(begun, *((key, value) for _, key, value in history.records_of(history.users())))
    complete = added(brought, encode_control(HistoryComplete(tuple(sorted(plan.clauses)))))
    state = settled(complete)

    assert expected.members == members(state, plan.changed)
    assert {name: number for name, number in expected.stages.items() if number} == stages(state)
    assert any(expected.members.values())


def announced(plan: ConditionsPlan) -> tuple[bytes, bytes]:
    return encode_control(BringHistory(tuple(sorted(plan.clauses))))


@pytest.mark.parametrize("seed", SEEDS)
def test_segments_that_are_new_beside_others(seed: int) -> None:
    log, wanted = logged(800 + seed), wanted_of(900 + seed)
    known = configuration_in(log)
    plan = ConditionsPlan(wanted, known)
    kept = {segment.name for segment in wanted.segments} - plan.changed
    alone = frozenset(rule.name for rule in wanted.segments if rule.name in plan.changed and not references(rule.when))

    found, state = prospects(log, plan, None), settled(applied(log, wanted))

    assert known is not None
    assert kept <= {segment.name for segment in known.segments}
    assert {name: found.members[name] for name in sorted(alone)} == members(state, alone)


PLAN = {"name": "plan_a", "when": {"trait": "plan", "is": "a"}, "on_apply": "enter"}
VIEWED = {"name": "viewed", "when": {"event": "product_view", "within": "9d"}, "on_apply": "enter"}
BOTH = {"name": "both", "when": {"all": [{"segment": "viewed"}, {"segment": "plan_a"}]}, "on_apply": "enter"}
SILENT = {"name": "silent", "when": {"trait": "plan", "is": "b"}}
STAGED = {"defaults": "none", "stages": ["one", "two"], "moves": [{"from": "one", "to": "two", "when": VIEWED["when"]}]}
LOG = segment_log(
    tick(0), *(identified(f"u{n}", 0, plan="ab"[n % 2]) for n in range(10)), viewed("u0", 0), viewed("u1", 0)
)


def plan_of(known: list[dict[str, Any]] | None, *wanted: dict[str, Any], **more: Any) -> ConditionsPlan:
    in_use = None if known is None else parse({"segments": known}, {})
    return ConditionsPlan(parse({"segments": list(wanted), **more}, {}), in_use)


def test_only_new_and_changed_segments_for_which_it_was_asked_are_entered() -> None:
    assert plan_of(None, PLAN, VIEWED, BOTH, SILENT).entering == ("plan_a", "viewed", "both")
    assert plan_of([PLAN, SILENT], PLAN, VIEWED, SILENT).entering == ("viewed",)
    assert plan_of([SILENT, {**PLAN, "on_apply": "silent"}], PLAN).entering == ()
    assert plan_of([{**PLAN, "when": {"trait": "plan", "is": "c"}}], PLAN).entering == ("plan_a",)


def test_a_segment_that_refers_to_a_changed_one_is_changed() -> None:
    other = {**VIEWED, "when": {"event": "click", "within": "9d"}}

    assert plan_of([VIEWED, PLAN, BOTH, SILENT], other, PLAN, BOTH, SILENT).changed == {"viewed", "both"}
    assert plan_of([VIEWED, PLAN], PLAN, VIEWED).changed == frozenset()


def test_the_users_who_would_enter_are_counted_with_the_history_and_without_it() -> None:
    plan = plan_of([], PLAN, VIEWED, BOTH, SILENT)

    brought, from_now = prospects(LOG, plan, 0), prospects(LOG, plan, None)

    assert brought.users == from_now.users == 10
    assert brought.entering == {"plan_a": 5, "viewed": 2, "both": 1}
    assert from_now.entering == {"plan_a": 5, "viewed": 0, "both": 0}
    assert (brought.members["silent"], from_now.members["silent"]) == (5, 5)


def test_a_new_lifecycle_begins_with_its_first_stage_and_all_moves_that_hold_are_made() -> None:
    plan = plan_of([], lifecycle=STAGED)

    assert plan.has_new_stages
    assert prospects(LOG, plan, 0).stages == {"one": 8, "two": 2}
    assert prospects(LOG, plan, None).stages == {"one": 10}


def test_conditions_that_wait_for_a_history_are_new_although_they_are_in_use() -> None:
    wanted = parse({"segments": [PLAN, VIEWED, BOTH], "lifecycle": STAGED}, {})
    (clause,) = ConditionsPlan(wanted, None).clauses

    plan = ConditionsPlan(wanted, wanted, {clause, 17})

    assert plan.clauses == plan.pending == {clause}
    assert plan.changed == {"viewed", "both"}
    assert (plan.entering, plan.has_new_stages) == (("viewed", "both"), True)
    assert ConditionsPlan(wanted, wanted).clauses == frozenset()
    assert not ConditionsPlan(wanted, wanted).has_new_stages
