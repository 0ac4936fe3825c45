"""Each failure becomes a dead letter of the step that has caused it, in whatever pass over the piece it occurs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

from models.batch import Batch, Outputs, Restored
from models.delivery.notices import AddressReport, decode_notice
from models.engage import outcomes
from models.events import Event, decode_event
from models.fold import aligned_results, decisions_pass
from models.fold.failures import EVENT, STATEMENT, Cause, FoldBroken, StepFailed
from models.fold.known_failures import KnownFailures
from models.fold.partition import PartitionFold
from models.learning.churn_scorer import ChurnScorer
from models.learning.segment_scorer import SegmentScorer
from models.log import Clock, Control, Tick, Use
from models.profile import codec
from models.profile.state import Customer
from models.profile.trait_limits import MAX_NEEDED_BYTES
from models.rejected import Rejected, decode_rejected
from models.units import DAY, HOUR
from tests.support.configured_versions import churn_version, segments_version
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.fold_failures import inject_failures
from tests.support.random_logs import crowded_log, random_log

CUTS = (7, 37, 500, 2_000)
STEPS = (1, 2, 16, 1_000)
Results = tuple[dict[bytes, bytes], bytes, list[tuple[str, bytes, bytes | None]]]


def results(state: Restored, given: list[Outputs]) -> Results:
    return dict(state.records), state.memo, [(r.topic, r.key, r.value) for one in given for r in one.commit.records]


def in_batches(log: list[PartitionRecord], size: int) -> Results:
    return results(*fold_log(log, itertools.repeat(size)))


def in_pieces(log: list[PartitionRecord], max_steps: int) -> Results:
    state = Restored()
    given = PartitionFold(state, max_steps).fold(Batch("events", 0, log))
    state.apply(given.commit)
    return results(state, [given])


def assert_equal_in_all_cuts(log: list[PartitionRecord]) -> Results:
    reference = in_batches(log, 1)
    for size in CUTS:
        assert in_batches(log, size) == reference, f"batches of {size} records"
    for steps in STEPS:
        assert in_pieces(log, steps) == reference, f"pieces of {steps} steps"
    return reference


def letters(found: Results) -> list[Rejected]:
    return [decode_rejected(value) for topic, _, value in found[2] if topic == "events.rejected"]


def clicks(users: int, each: int) -> list[Event | Control]:
    """Return a log in which users click in turn, with both models in use."""
    log: list[Event | Control] = [Clock("feeder"), Tick(at=START), churn_version(1), segments_version(1)]
    for number in range(users * each):
        at = START + number * HOUR
        log += [Tick(at=at), Event(id=f"m{number}", user=f"u{number % users}", type="click", at=at, item="a")]
    return log


@pytest.mark.parametrize("seed", range(6))
def test_failures_at_every_kind_of_place_give_the_same_bytes_in_any_cut(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject_failures(monkeypatch, seed, per_mille=(20, 60, 150)[seed % 3])

    found = assert_equal_in_all_cuts(random_log(300 + seed, with_versions=seed % 2 == 0))

    assert letters(found)


@pytest.mark.parametrize("per_mille", [0, 60])
@pytest.mark.parametrize("seed", range(3))
def test_statements_whose_traits_have_no_room_give_the_same_bytes_in_any_cut(
    seed: int, per_mille: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject_failures(monkeypatch, seed, per_mille)
    log = crowded_log(seed)

    found = assert_equal_in_all_cuts(log)

    assert ("state_full" if per_mille == 0 else "fold_failed") in {one.reason for one in letters(found)}
    events = [decode_event(record.value or b"") for record in log if record.key in (b"u0", b"u1", b"u2")]
    complaints = {(one.user, one.at) for one in events if one.complaint and one.granted is False}
    notices = [decode_notice(value or b"") for topic, _, value in found[2] if topic == "messages.email"]
    reported = [one for one in notices if isinstance(one, AddressReport) and one.kind == "complaint"]
    reports = Counter((one.user, one.at) for one in reported)
    assert per_mille > 0 or reports
    assert set(reports) <= complaints
    assert set(reports.values()) <= {1}, "a complaint is reported once"


@pytest.mark.parametrize("scorer", [ChurnScorer, SegmentScorer])
def test_a_score_that_fails_is_a_dead_letter_of_its_step_alone(scorer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    predict_one, predict = scorer.predict_one, scorer.predict
    place = 0  # days since the last event: 0 at each click, and more at each daily assessment

    def failing_one(self: Any, row: Any) -> Any:
        if row[place] > 0:
            raise OverflowError("alone")
        return predict_one(self, row)

    def failing(self: Any, columns: Any) -> Any:
        if (columns[place] > 0).any():
            raise OverflowError("in columns")
        return predict(self, columns)

    monkeypatch.setattr(scorer, "predict_one", failing_one)
    monkeypatch.setattr(scorer, "predict", failing)
    log = written([*clicks(users=12, each=6), Tick(at=START + 9 * DAY)])

    found = assert_equal_in_all_cuts(log)

    said = Counter((one.reason, one.found) for one in letters(found))
    assert list(said) == [("fold_failed", "ModelsFailed: churn@1 and segments@1: OverflowError: alone")]
    users = [codec.unpack(packed) for key, packed in found[0].items() if key[:1] != b"\x00"]
    assert [user.facts.events["click"] for user in users] == [6] * 12


@pytest.mark.parametrize(
    ("module", "name", "is_odd"),
    [
        (decisions_pass, "crosses", lambda thresholds, previous, risk: round(risk * 1e9) % 3 == 0),
        (decisions_pass, "pack_row", lambda row: round(sum(row) * 1e9) % 3 == 0),
        (aligned_results, "has_old_segment", lambda user, versions: user.facts.last_seen % 3 == 0),
    ],
)
def test_a_failure_in_the_work_of_many_steps_at_once_is_a_dead_letter_of_its_step(
    module: ModuleType, name: str, is_odd: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(module, name)

    def failing(*arguments: Any) -> Any:
        if is_odd(*arguments):
            raise ZeroDivisionError(name)
        return original(*arguments)

    monkeypatch.setattr(module, name, failing)

    found = assert_equal_in_all_cuts(random_log(104, with_versions=True))

    assert name in {one.found.partition(": ")[2] for one in letters(found)}


def test_models_that_give_no_score_at_all_stop_the_fold_with_an_error_that_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = written(clicks(users=3, each=40))
    fold, state = PartitionFold(Restored()), Restored()
    state.apply(fold.fold(Batch("events", 0, log[:4])).commit)

    def failing(*_: Any) -> None:
        raise OverflowError("always")

    for scorer in (ChurnScorer, SegmentScorer):
        monkeypatch.setattr(scorer, "predict_one", failing)
        monkeypatch.setattr(scorer, "predict", failing)

    with pytest.raises(FoldBroken, match="newest error: ModelsFailed: churn@1 and segments@1: OverflowError: always"):
        fold.fold(Batch("events", 0, log[4:]))


@pytest.mark.parametrize(("scorer", "name"), [(ChurnScorer, "churn"), (SegmentScorer, "segments")])
def test_a_version_whose_model_gives_no_score_is_refused_and_the_older_one_stays_in_use(
    scorer: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_one = scorer.predict_one

    def failing(self: Any, row: Any) -> Any:
        if self.model.examples == 99:
            raise OverflowError("never a score")
        return predict_one(self, row)

    monkeypatch.setattr(scorer, "predict_one", failing)
    older = {"churn": churn_version, "segments": segments_version}[name](1)
    model = msgspec.structs.replace(scorer.decode(bytes(older.content)).model, examples=99)
    newer = Use(name=name, version=2, content=msgspec.Raw(msgspec.json.encode(model)))
    log = [Clock("feeder"), Tick(at=START), older, newer, *clicks(users=2, each=2)[4:]]

    fold = PartitionFold(Restored())
    given = fold.fold(Batch("events", 0, written(log)))

    found = [decode_rejected(one.value or b"") for one in given.commit.records if one.topic == "events.rejected"]
    assert [(one.reason, one.found) for one in found] == [("fold_failed", "OverflowError: never a score")]
    assert fold.versions.numbers == {name: 1}


def test_an_event_after_which_its_user_cannot_be_stored_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = codec.pack

    def failing(customer: Customer, *more: Any) -> bytes:
        if "odd" in customer.facts.traits:
            raise TypeError("no such type")
        return pack(customer, *more)

    monkeypatch.setattr(codec, "pack", failing)
    log = clicks(users=5, each=4)
    log.insert(20, Event(id="odd", user="u1", type="identify", at=START, traits={"odd": 1}))

    found = assert_equal_in_all_cuts(written(log))

    assert [one.found for one in letters(found)] == ["TypeError: no such type"]
    assert codec.unpack(found[0][b"u1"]).facts.traits == {}


def test_the_error_of_a_statement_is_not_taken_for_that_of_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    original = outcomes.notices_of_withdrawal

    def failing(ledger: Any, event: Event, channels: Any, granted: Any) -> Any:
        if event.traits and "unsubscribed" in event.traits:
            raise ZeroDivisionError("no notice")
        return original(ledger, event, channels, granted)

    monkeypatch.setattr(outcomes, "notices_of_withdrawal", failing)
    full = {"address": {"street": "x" * (MAX_NEEDED_BYTES - 30)}}
    identify = Event(id="i", user="u", type="identify", at=START, traits=full)
    both = Event(id="b", user="u", type="identify", at=START + 1, traits={"unsubscribed": True, "plan": "pro"})
    click = Event(id="c", user="u", type="click", at=START + 2, item="a")
    log = written([Clock("feeder"), Tick(at=START), identify, both, click])

    found = assert_equal_in_all_cuts(log)

    facts = codec.unpack(found[0][b"u"]).facts
    assert facts.traits["plan"] == "pro"
    assert facts.events["identify"] == 2
    assert [(one.reason, one.accepted) for one in letters(found)] == [("state_full", True), ("fold_failed", False)]


def failed(number: int, cause: Cause) -> StepFailed:
    return StepFailed(number, ValueError(str(cause)), cause)


def test_known_failures_are_those_of_the_last_step_alone() -> None:
    known = KnownFailures()
    known.add(failed(7, Cause(17, EVENT)))
    known.add(failed(4, Cause(14, EVENT)))
    known.add(failed(4, Cause(14, STATEMENT)))

    assert set(known.errors) == {Cause(14, EVENT), Cause(14, STATEMENT)}
    assert known.max_steps == 5


def test_a_known_failure_that_occurs_again_or_does_not_occur_stops_the_fold() -> None:
    known = KnownFailures()
    known.add(failed(4, Cause(14, EVENT)))

    with pytest.raises(FoldBroken, match="another result"):
        known.add(failed(4, Cause(14, EVENT)))
    known.begin()
    with pytest.raises(FoldBroken, match="without steps that had failed"):
        known.finish()
