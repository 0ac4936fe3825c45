"""The fold writes in the format level in use at its place in the log, and refuses a level that it does not know."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from models.batch import Batch, Restored
from models.fold.buyer_steps import BUYER
from models.fold.memo import Memo, encode_memo, read_memo, versions_in_use
from models.fold.partition import PartitionFold
from models.learning import buyers
from models.levels import FIRST, LEVEL, NEWEST, SCHEMA_OF_LEVEL, UnknownLevel
from models.log import Clock, Use, encode_control, is_control
from models.profile.codec import unpack
from models.profile.timers import cancel
from tests.support.event_logs import PartitionRecord, fold_log
from tests.support.random_logs import random_log

CUTS: tuple[dict[str, int], ...] = (
    {"size": 2},
    {"size": 7},
    {"size": 5_000},
    {"size": 1, "restart_every": 1},
    {"size": 40, "max_timers": 3, "restart_every": 1},
)
SEEDS = range(8)

Results = tuple[dict[bytes, bytes], bytes, list[tuple[str, bytes, bytes | None]]]


def raised(level: int) -> tuple[bytes, bytes]:
    return encode_control(Use(LEVEL, level, msgspec.Raw(b"null")))


def old_log(seed: int) -> list[PartitionRecord]:
    """Return a log that code without levels has begun."""
    records = random_log(seed, with_versions=True)
    return [
        record._replace(value=encode_control(Clock("feeder"))[1]) if record.key == b"\x00clock" else record
        for record in records
    ]


def with_level(log: list[PartitionRecord], place: int, level: int = NEWEST) -> list[PartitionRecord]:
    """Return a log with a record at this place that raises the level."""
    key, value = raised(level)
    record = PartitionRecord(0, log[place].timestamp, key, value)
    return [one._replace(offset=offset) for offset, one in enumerate([*log[:place], record, *log[place:]])]


def folded(log: list[PartitionRecord], size: int = 1, **options: int) -> Results:
    state, given = fold_log(log, itertools.repeat(size), **options)
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for o in given for r in o.commit.records]


def users(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {key: packed for key, packed in records.items() if not is_control(key)}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_whose_level_is_raised_in_the_middle_gives_the_same_bytes_in_any_cut(seed: int) -> None:
    log = old_log(seed)
    log = with_level(log, len(log) // 2)
    reference = folded(log)

    for cut in CUTS:
        assert folded(log, **cut) == reference, cut
    for steps in (1, 3, 17):
        state = Restored()
        given = PartitionFold(state, steps).fold(Batch("events", 0, log))
        state.apply(given.commit)
        assert (dict(state.records), state.memo) == reference[:2], f"pieces of {steps} steps"


def test_a_state_has_the_schema_of_the_level_that_was_in_use_at_its_last_change() -> None:
    log = old_log(2)

    stored = users(folded(with_level(log, len(log) - 1))[0])

    assert {packed[0] for packed in stored.values()} == {SCHEMA_OF_LEVEL[FIRST], SCHEMA_OF_LEVEL[NEWEST]}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_level_changes_no_output_and_no_value_of_a_user(seed: int) -> None:
    log = old_log(seed)

    lower, higher = (folded(with_level(log, 1, level)) for level in (FIRST, NEWEST))

    assert lower[2] == [output for output in higher[2] if output[0] != buyers.TOPIC]
    assert {packed[0] for packed in users(lower[0]).values()} == {SCHEMA_OF_LEVEL[FIRST]}
    assert {packed[0] for packed in users(higher[0]).values()} == {SCHEMA_OF_LEVEL[NEWEST]}
    values = [{key: unpack(packed) for key, packed in users(given[0]).items()} for given in (lower, higher)]
    for user in values[1].values():
        user.facts.known_since = 0  # which the first level does not store, as it does not store proofs of consent
        user.facts.consent = {
            channel: msgspec.structs.replace(
                state, event=b"", event_type="", event_at=0, confirmed=False, everything=-1
            )
            for channel, state in user.facts.consent.items()
        }
        cancel(user, BUYER)
    assert values[0] == values[1]


def test_the_first_record_of_a_log_states_its_level() -> None:
    clock = PartitionRecord(0, 0, *encode_control(Clock("feeder", NEWEST)))

    memo = read_memo(Restored(memo=folded([clock])[1]))

    assert (memo.clock, memo.numbers) == ("feeder", {LEVEL: NEWEST})


def test_a_level_is_never_lowered_and_a_log_without_levels_has_the_memo_of_code_without_levels() -> None:
    clock = PartitionRecord(0, 0, *encode_control(Clock("feeder", NEWEST)))
    lower = PartitionRecord(1, 0, *raised(FIRST))
    unstated = PartitionRecord(0, 0, *encode_control(Clock("feeder")))

    assert folded([clock, lower])[1] == folded([clock])[1]
    assert folded([unstated, lower])[1] == folded([unstated])[1]
    assert folded([unstated])[1][0] == 2, "the first byte that code without levels can read"
    assert folded([clock])[1][0] == 3, "code without levels refuses this byte"


@pytest.mark.parametrize("level", [NEWEST + 1, NEWEST + 50])
@pytest.mark.parametrize("size", [1, 7, 5_000])
def test_a_higher_level_than_the_code_knows_stops_the_fold_before_it_gives_outputs(level: int, size: int) -> None:
    log = with_level(old_log(4), 20, level)

    with pytest.raises(UnknownLevel, match=rf"events-0 at offset 20: found format level {level}; allowed: 1 to 2"):
        folded(log, size)


def test_a_log_that_was_created_by_later_code_stops_the_fold() -> None:
    clock = PartitionRecord(0, 0, *encode_control(Clock("feeder", NEWEST + 1)))

    with pytest.raises(UnknownLevel, match="events-0 at offset 0"):
        folded([clock])


def test_a_state_of_a_higher_level_is_refused_with_its_place() -> None:
    memo = encode_memo(Memo(numbers={LEVEL: NEWEST + 1}))

    with pytest.raises(UnknownLevel, match=f"state of partition 5 at offset 9: found format level {NEWEST + 1}"):
        PartitionFold(Restored(5, 9, memo))


def test_a_level_that_code_without_levels_has_passed_is_in_use() -> None:
    """Such code remembers the number and the content of a name that it does not know."""
    memo = encode_memo(Memo(numbers={LEVEL: NEWEST}))
    state = Restored(memo=bytes((2,)) + memo[1:], records={b"\x00use:level": b"null"})

    versions = versions_in_use(state, read_memo(state))

    assert (versions.level, versions.schema) == (NEWEST, SCHEMA_OF_LEVEL[NEWEST])
