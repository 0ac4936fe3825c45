from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.batch import Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.errors import InvalidConfiguration
from models.events import Event
from models.fold.assessment import crosses
from models.learning.examples import ChurnExample, SegmentExample, decode_churn, decode_segment
from models.log import Control, Tick, Use, opening
from models.profile.codec import unpack
from models.profile.signals import Signal
from models.profile.state import Customer
from models.units import DAY
from tests.support.configured_versions import churn_version, configuration_version, segments_version
from tests.support.event_logs import START, fold_log, written

HOUR = 3_600_000
HORIZON = 14 * DAY


def click(number: int, day: float, user: str = "u") -> Event:
    return Event(
        id=f"{user}{number}", user=user, type="click", at=START + int(day * DAY), item="sku", origin="simulate"
    )


def fold(*contents: Event | Control, days: int) -> tuple[Restored, list[tuple[str, bytes]]]:
    """Fold contents at their times between hourly ticks; return the state, and each record's topic and value."""
    ticks: list[tuple[int, int, Event | Control]] = [
        (START + hour * HOUR, 0, Tick(at=START + hour * HOUR)) for hour in range(days * 24)
    ]
    placed = [(content.at if isinstance(content, Event) else START, 1, content) for content in contents]
    return fold_placed([*ticks, *placed])


def fold_placed(placed: Sequence[tuple[int, int, Event | Control]]) -> tuple[Restored, list[tuple[str, bytes]]]:
    ordered = [content for _, _, content in sorted(placed, key=lambda entry: entry[:2])]
    state, outputs = fold_log(written([opening("feeder"), *ordered]), itertools.repeat(500))
    return state, [(r.topic, r.value) for output in outputs for r in output.commit.records if r.value is not None]


def daily(make: type | object, days: int) -> list[tuple[int, int, Event | Control]]:
    """Return a new version with the same content for each day."""
    assert callable(make)
    return [(START + day * DAY, 1, msgspec.structs.replace(make(1), version=day + 1)) for day in range(days)]


def signals(records: list[tuple[str, bytes]], kind: str) -> list[Signal]:
    found = [msgspec.json.decode(value, type=Signal) for topic, value in records if topic == "signals"]
    return [signal for signal in found if signal.kind == kind]


def customer(state: Restored, user: str = "u") -> Customer:
    return unpack(state.records[user.encode()])


def hours(days: int) -> list[tuple[int, int, Event | Control]]:
    return [(START + hour * HOUR, 0, Tick(at=START + hour * HOUR)) for hour in range(days * 24)]


@pytest.mark.parametrize(
    ("make", "kind"),
    [(churn_version, "churn_risk"), (segments_version, "segment_left"), (segments_version, "segment_entered")],
)
def test_new_versions_with_the_same_content_suppress_no_signal_of_a_user_who_becomes_inactive(
    make: object, kind: str
) -> None:
    assert callable(make)
    visits = [(click(n, n / 10).at, 2, click(n, n / 10)) for n in range(20)]
    rules = (START, 1, configuration_version(1))

    _, once = fold_placed([*hours(28), rules, (START, 1, make(1)), *visits])
    _, often = fold_placed([*hours(28), rules, *daily(make, 28), *visits])

    expected = signals(once, kind)
    assert expected
    assert [(s.at, s.name, s.value) for s in signals(often, kind)] == [(s.at, s.name, s.value) for s in expected]


def test_a_move_that_only_a_new_version_causes_gives_no_signal() -> None:
    stricter = segments_version(20)  # both centres are far above this user's activity, so "busy" becomes "quiet"
    visits = [(click(n, n / 10).at, 2, click(n, n / 10)) for n in range(20)]
    later = START + 2 * DAY

    state, records = fold_placed([*hours(3), (START, 1, segments_version(1)), *visits, (later, 1, stricter)])
    _, before = fold_placed([*hours(3), (START, 1, segments_version(1)), *visits])

    assert customer(state).ledger.segment == "quiet"
    assert signals(records, "segment_entered") == signals(before, "segment_entered")
    assert signals(records, "segment_left") == signals(before, "segment_left")


def test_examples_are_taken_weekly_and_labelled_in_order_once_the_horizon_has_passed() -> None:
    back = [click(n, n) for n in range(50)]
    gone = [click(n, n, "gone") for n in range(5)]

    _, records = fold(churn_version(3), *back, *gone, days=50)

    examples = [decode_churn(value) for topic, value in records if topic == "examples.churn"]
    for user, churned in (("u", False), ("gone", True)):
        own = [e for e in examples if e.user == user]
        last = own[-1]
        assert len(own) >= 2
        assert last.churned is churned
        assert all(b.at - a.at == 7 * DAY for a, b in itertools.pairwise(own))
        assert all(e.due == e.at + HORIZON for e in own)
    assert [e.due for e in examples] == sorted(e.due for e in examples)
    assert all(e.version == 3 and e.risk is not None for e in examples)


def test_a_label_is_released_by_the_first_tick_at_which_its_horizon_has_passed() -> None:
    for more in ([], [click(100, 9)]):
        visits = [(e.at, 2, e) for e in [click(n, n / 2) for n in range(16)] + more]
        due = first_example([*hours(40), *visits]).due
        until = [tick for tick in hours(40) if tick[0] < due]

        _, early = fold_placed([*until, *[v for v in visits if v[0] < due]])
        _, late = fold_placed([*until, *[v for v in visits if v[0] < due], (due + HOUR, 0, Tick(at=due))])

        assert [topic for topic, _ in early if topic == "examples.churn"] == []
        assert [topic for topic, _ in late if topic == "examples.churn"] == ["examples.churn"]


def first_example(placed: list[tuple[int, int, Event | Control]]) -> ChurnExample:
    _, records = fold_placed(placed)
    return next(decode_churn(value) for topic, value in records if topic == "examples.churn")


def test_only_identified_and_recently_active_users_become_examples_of_churn() -> None:
    anonymous = [click(n, n, "anonymous:a") for n in range(40)]

    state, records = fold(*anonymous, click(1, 0, "once"), days=70)

    segment: list[SegmentExample] = [decode_segment(v) for topic, v in records if topic == "examples.segments"]
    churn = [decode_churn(v) for topic, v in records if topic == "examples.churn"]
    assert {e.user for e in churn} == {"once"}
    assert max(e.at for e in churn) <= START + 31 * DAY
    assert {e.user for e in segment} == {"anonymous:a", "once"}
    assert customer(state, "once").ledger.timers == []  # no assessment is scheduled for a user who has left long ago


def test_an_example_taken_before_any_version_has_no_risk_and_version_0() -> None:
    _, records = fold(*[click(n, n) for n in range(20)], days=40)

    examples = [decode_churn(value) for topic, value in records if topic == "examples.churn"]
    assert [(e.risk, e.version) for e in examples] == [(None, 0)] * len(examples)


def test_open_examples_are_bounded_by_the_configuration() -> None:
    with pytest.raises(InvalidConfiguration, match="example_every"):
        parse({"churn": {"horizon": "9999d", "example_every": "1d"}}, {})


def stale(event: Event, rule: dict[str, object], *, now: int) -> list[tuple[str, str]]:
    """Return the outcome and reason of each decision if the clock is at ``now`` when the event is folded."""
    parsed = parse(
        {"rules": [{"name": "r", "category": "transactional", **rule}]},
        {"r": Template("s", "t", fallback="Subject: s\nt")},
    )
    use = Use(name="configuration", version=1, content=msgspec.Raw(encode(parsed)))
    known = Event(id="i", user="u", type="identify", at=event.at, traits={"email": "u@example.org"})
    log: list[Event | Control] = [opening("feeder"), use, Tick(at=now), known, event, Tick(at=now + 1)]
    _, outputs = fold_log(written(log), itertools.repeat(100))
    decided = [msgspec.json.decode(r.value or b"") for o in outputs for r in o.commit.records if r.topic == "decisions"]
    return [(d["outcome"], d.get("reason", "")) for d in decided]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("purchase", {"when": {"first_purchase": True}}),
        ("cart_add", {"when": {"cart_left": {"for": "1h"}}}),
        ("refund", {"when": {"event": "refund"}}),
    ],
)
def test_a_trigger_older_than_its_rule_allows_is_dropped(kind: str, rule: dict[str, object]) -> None:
    event = Event(id="e", user="u", type=kind, at=START, item="sku", amount=5)  # type: ignore[arg-type]

    assert stale(event, rule, now=START + 40 * HOUR) == [("dropped", "expired")]
    assert stale(event, rule, now=START + 2 * HOUR) == [("sent", "")]


@pytest.mark.parametrize(("amount", "decided"), [(20_000_000, [("sent", "")]), (19_990_000, [])])
def test_operators_in_where_see_the_fields_of_the_event(amount: int, decided: list[tuple[str, str]]) -> None:
    when = {"event": "purchase", "where": {"amount": {"at_least": 20, "currency": "EUR"}}}
    event = Event(id="e", user="u", type="purchase", at=START, amount=amount, currency="EUR")

    assert stale(event, {"when": when}, now=START) == decided


PROBABILITIES = st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]) | st.floats(0.0, 1.0)


@given(st.sets(PROBABILITIES), PROBABILITIES, PROBABILITIES)
def test_a_risk_crosses_a_threshold_if_it_was_below_and_now_reaches_it(
    thresholds: set[float], previous: float, risk: float
) -> None:
    reached = any(previous < threshold <= risk for threshold in thresholds)

    assert crosses(tuple(sorted(thresholds)), previous, risk) == reached
