"""Buyers in the fold: their scores are issued and fall by themselves, and the learner gets its examples."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from models.batch import Outputs, Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.events import MICROS, Event
from models.fold.versions import Versions
from models.fold.view import describe
from models.learning import population
from models.learning.buyers import (
    TOPIC,
    BuyerExample,
    GapExample,
    PopulationExample,
    decode_population_example,
    slot_before,
)
from models.learning.population import Population
from models.log import Clock, Control, Tick, Use, opening
from models.profile.codec import unpack
from models.profile.ledger import IssuedRfm
from models.profile.state import Customer
from models.units import DAY, HOUR
from tests.support.event_logs import START, fold_log, written
from tests.support.random_logs import random_log, with_populations

CUTS = Population(
    users=100,
    recency=(2.0, 10.0, 40.0, 90.0),
    frequency=(1.0, 1.0, 2.0, 3.0),
    monetary={"EUR": (10.0, 20.0, 50.0, 100.0)},
)


def using(version: int = 1, **changes: Any) -> Use:
    content = population.encode(msgspec.structs.replace(CUTS, **changes))
    return Use(name="population", version=version, content=msgspec.Raw(content))


def purchase(number: int, at: int, user: str = "u1", amount: int = 30, **more: Any) -> Event:
    return Event(
        id=f"{user}-{number}", user=user, type="purchase", at=at, order=f"{user}-{number}", amount=amount * MICROS,
        currency="EUR", order_form="whole", **more,
    )  # fmt: skip


def ticks(begin: int, end: int, step: int = HOUR) -> list[Control]:
    return [Tick(at=at) for at in range(begin, end, step)]


def folded(contents: Iterable[Event | Control], *, level: int = 2) -> tuple[Restored, list[Outputs]]:
    first = opening("feeder") if level == 2 else Clock("feeder")
    return fold_log(written([first, Tick(at=START), *contents]), itertools.repeat(500))


def user(state: Restored, name: str = "u1") -> Customer:
    return unpack(state.records[name.encode()])


def examples(given: list[Outputs]) -> list[tuple[str, PopulationExample]]:
    records = [record for one in given for record in one.commit.records if record.topic == TOPIC]
    return [(record.key.decode(), decode_population_example(record.value)) for record in records]


def test_a_purchase_issues_scores_and_counts_the_buyer_at_once() -> None:
    state, given = folded([using(), purchase(1, START)])

    assert user(state).ledger.rfm == IssuedRfm(5, 1, 3, version=1)
    slot = slot_before(b"u1", START)
    expected = BuyerExample(day=slot // DAY, at=START, bought_at=START, orders=1, spent={"EUR": 30 * MICROS})
    assert examples(given) == [("u1", expected)]


def test_a_refund_lowers_the_monetary_score() -> None:
    refund = Event(id="r", user="u1", type="refund", at=START + 1, order="u1-1", amount=15 * MICROS, currency="EUR")

    state, _ = folded([using(), purchase(1, START), refund])

    assert user(state).ledger.rfm == IssuedRfm(5, 1, 2, version=1)


def test_purchases_that_are_a_day_or_more_apart_make_a_gap() -> None:
    late = purchase(4, START + 3 * DAY)
    bought = [purchase(1, START), purchase(2, START + HOUR), purchase(3, START + 5 * DAY), late]

    _, given = folded([one for event in bought for one in (Tick(at=event.at), event)])

    gaps = [example for _, example in examples(given) if isinstance(example, GapExample)]
    assert gaps == [GapExample(at=START + 5 * DAY, gap=5 * DAY - HOUR)]


def test_the_recency_score_falls_by_itself_also_after_the_daily_assessments_have_ended() -> None:
    scores = {}
    for days in (2, 3, 10, 11, 40, 41, 90, 91, 150):
        state, _ = folded([using(), purchase(1, START), *ticks(START, START + days * DAY + HOUR)])
        rfm = user(state).ledger.rfm
        assert rfm is not None
        scores[days] = rfm.recency

    assert scores == {2: 5, 3: 4, 10: 4, 11: 3, 40: 3, 41: 2, 90: 2, 91: 1, 150: 1}


def test_the_score_falls_at_the_first_millisecond_behind_the_cut_point() -> None:
    at_bound = START + 2 * DAY
    before, _ = folded([using(), purchase(1, START), Tick(at=at_bound)])
    after, _ = folded([using(), purchase(1, START), Tick(at=at_bound), Tick(at=at_bound + 1)])

    assert [one.ledger.rfm.recency for one in map(user, (before, after)) if one.ledger.rfm] == [5, 4]


def test_a_buyer_is_counted_once_in_any_seven_days_of_slots_however_long_ago_the_purchase_was() -> None:
    names = [f"u{number}" for number in range(15)]
    bought = [purchase(1, START + number * HOUR, name) for number, name in enumerate(names)]

    _, given = folded([*bought, *ticks(START, START + 120 * DAY)])

    days = defaultdict(list)
    for name, example in examples(given):
        assert isinstance(example, BuyerExample)
        days[name].append(example.day)
    for name in names:
        assert {late - early for early, late in itertools.pairwise(days[name])} == {7}
        assert len(days[name]) >= 17


def test_after_a_long_pause_of_the_clock_a_buyer_is_counted_once() -> None:
    _, given = folded([purchase(1, START), Tick(at=START + 31 * DAY), *ticks(START + 31 * DAY, START + 45 * DAY)])

    counted = [example.day for _, example in examples(given) if isinstance(example, BuyerExample)]
    assert counted[1] == slot_before(b"u1", START + 31 * DAY) // DAY
    assert {late - early for early, late in itertools.pairwise(counted[1:])} == {7}


def test_new_cut_points_act_at_the_next_step_of_a_user_and_at_the_next_assessment() -> None:
    looked = Event(id="v", user="u1", type="page_view", at=START + 1)
    contents: list[Event | Control] = [
        using(),
        purchase(1, START),
        purchase(1, START, "u2"),
        using(2, frequency=(0.5, 0.6, 0.7, 0.8)),
        looked,
    ]
    state, given = folded(contents)

    assert [user(state, name).ledger.rfm for name in ("u1", "u2")] == [IssuedRfm(5, 5, 3, 2), IssuedRfm(5, 1, 3, 1)]
    signals = [record.value or b"" for one in given for record in one.commit.records if record.topic == "signals"]
    assert {msgspec.json.decode(signal)["kind"] for signal in signals} == {"first_purchase"}

    later, _ = folded([*contents, *ticks(START, START + DAY + HOUR)])
    assert user(later, "u2").ledger.rfm == IssuedRfm(5, 5, 3, 2)


def test_buyers_get_scores_after_the_first_version_of_the_cut_points() -> None:
    state, _ = folded([purchase(1, START), using(), *ticks(START, START + DAY + HOUR)])

    assert user(state).ledger.rfm == IssuedRfm(5, 1, 3, version=1)


def test_a_user_without_purchases_has_neither_scores_nor_a_timer_of_a_buyer() -> None:
    state, given = folded([using(), Event(id="v", user="u1", type="page_view", at=START)])

    assert user(state).ledger.rfm is None
    assert [timer.name for timer in user(state).ledger.timers] == ["assess"]
    assert examples(given) == []


def test_a_log_of_the_first_level_has_no_scores() -> None:
    state, given = folded([using(), purchase(1, START), *ticks(START, START + 9 * DAY)], level=1)

    assert user(state).ledger.rfm is None
    assert "buyer" not in {timer.name for timer in user(state).ledger.timers}
    assert examples(given) == []


def test_a_buyer_of_the_first_level_is_counted_after_the_level_was_raised() -> None:
    raised = Use(name="level", version=2, content=msgspec.Raw(b"null"))

    state, given = folded([purchase(1, START), raised, using(), *ticks(START, START + 2 * DAY)], level=1)

    assert user(state).ledger.rfm == IssuedRfm(5, 1, 3, version=1)
    assert [type(example) for _, example in examples(given)] == [BuyerExample]


def test_a_segment_by_rule_reads_the_scores_at_the_event_and_when_recency_falls_by_itself() -> None:
    rules = [
        {"name": "fresh", "when": {"score": "recency", "at_least": 4}},
        {
            "name": "spender",
            "when": {"all": [{"score": "monetary", "at_least": 4}, {"score": "frequency", "less_than": 5}]},
        },
    ]
    content = encode(parse({"segments": rules}, {}))
    configuration = Use(name="configuration", version=1, content=msgspec.Raw(content))
    bought: list[Event | Control] = [
        purchase(1, START),
        Tick(at=START + 2 * DAY),
        purchase(2, START + 2 * DAY, amount=90),
    ]

    _, given = folded([configuration, using(), *bought, *ticks(START + 2 * DAY, START + 30 * DAY)])

    values = [record.value or b"" for one in given for record in one.commit.records if record.topic == "signals"]
    moves = [
        (signal["name"], signal["kind"], signal["at"] - START)
        for signal in map(msgspec.json.decode, values)
        if signal["kind"].startswith("segment_")
    ]
    assert moves == [
        ("fresh", "segment_entered", 0),
        ("spender", "segment_entered", 2 * DAY),
        ("fresh", "segment_left", 12 * DAY + HOUR),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_logs_with_new_cut_points_give_the_same_bytes_in_any_cut(seed: int) -> None:
    log = with_populations(random_log(700 + seed, with_versions=True))

    def results(size: int, **options: int) -> tuple[Any, ...]:
        state, given = fold_log(log, itertools.repeat(size), **options)
        return state.records, state.memo, [record for one in given for record in one.commit.records]

    reference = results(1)
    assert any(record.topic == TOPIC for record in reference[2])
    assert any(unpack(packed).ledger.rfm for key, packed in reference[0].items() if key[:1] != b"\x00")
    for size, options in ((7, {}), (500, {}), (5_000, {}), (40, {"max_timers": 3, "restart_every": 1})):
        assert results(size, **options) == reference, size


def test_a_user_is_shown_with_scores_and_the_numbers_behind_them() -> None:
    state, _ = folded([using(3), purchase(1, START), *ticks(START, START + DAY)])
    versions = Versions()
    versions.use("population", 3, bytes(using().content))

    shown = describe("u1", user(state), START + DAY, versions)

    assert shown["rfm"] == {
        "recency": 5,
        "frequency": 1,
        "monetary": 3,
        "version": 3,
        "last_purchase": "2026-01-01T00:00:00Z",
        "orders": 1,
        "spent_without_refunds": {"EUR": 30.0},
        "recency_falls_at": "2026-01-03T00:00:00.001Z",
    }
    assert shown["versions"]["population"] == 3
    assert describe("u2", Customer(), START, versions)["rfm"] is None
