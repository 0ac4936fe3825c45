"""Goals as money in the fold: credits, refunds and the control group, in batches of any size."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from models.batch import Restored
from models.events import Event
from models.fold.journey_counts import JourneyCounts, joined_counts, key_of, read_counts
from models.fold.message_counts import KEY, MessageCounts, message_counts_of
from models.log import Tick, opening
from models.profile.codec import unpack
from models.units import DAY, HOUR
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.naive_goals import GoalStep, Told, told
from tests.unit.models.fold.test_partition_journeys import configuration, consent, custom, known, tick

EUR = 1_000_000
GOAL = {"event": "purchase", "within": "5d", "value": "amount"}


def journey(name: str, goal: dict[str, Any], *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    enter = {"on": {"event": name.title()}, "again": "always"}
    exits = [{"after": "20d", "as": "late"}]
    return {"name": name, "enter": enter, "exit": exits, "goal": goal, "steps": list(steps), **more}


PAUSE = {"id": "p", "wait": "15d"}
FIRST, SECOND = {"id": "a", "send": "hello"}, {"id": "b", "send": "nudge"}
SALE = journey("sale", GOAL, FIRST, {"id": "w", "wait": "1d"}, SECOND, PAUSE)
CARE = journey("care", {**GOAL, "within": "8d", "count": "every"}, {"id": "c", "send": "last"}, PAUSE)


def bought(user: str, at: int, order: str | None, amount: int, form: Any = "whole", name: str = "") -> Event:
    key = f"{user}-{order}-{at}{name}"
    more: dict[str, Any] = {"order": order, "order_form": form, "amount": amount * EUR, "currency": "EUR"}
    return Event(id=key, user=user, type="purchase", at=START + at, origin="simulate", **more)


def refund(user: str, at: int, order: str, amount: int, form: Any = "lines") -> Event:
    more: dict[str, Any] = {"order": order, "order_form": form, "amount": amount * EUR, "currency": "EUR"}
    return Event(id=f"r-{user}-{order}-{at}", user=user, type="refund", at=START + at, origin="simulate", **more)


def log(*contents: Any, **sections: Any) -> list[PartitionRecord]:
    """Return a log in which the clock moves every hour, and to the time of each event."""
    found, now = list[Any]([configuration(1, SALE, CARE, **sections)]), 0
    for one in contents:
        at = one.at - START
        while now + HOUR <= at:
            now += HOUR
            found.append(tick(now))
        if at > now:
            now = at
            found.append(tick(at))
        if not isinstance(one, Tick):
            found.append(one)
    return written([opening("feeder"), tick(0), *found])


def fold(records: list[PartitionRecord], sizes: Iterator[int] | None = None, restart: int = 0) -> Restored:
    return fold_log(records, sizes or itertools.repeat(1_000), restart)[0]


def messages(state: Restored) -> dict[str, MessageCounts]:
    """Return the counts by ``rule@channel``."""
    found: dict[str, MessageCounts] = {}
    for name in ("sale", "care"):
        steps = message_counts_of(state.records, [f"{name}/{step}" for step in "abc"])
        found |= {f"{name}/{place}": one for place, one in steps.items()}
    return found


def money(state: Restored, name: str) -> JourneyCounts:
    content = state.records.get(key_of(name))
    return read_counts(content)


PERSON = (known("u1"), consent("u1"))
BEGUN = (custom("u1", HOUR, "Sale"), custom("u1", 2 * HOUR, "Care"))


def test_one_order_gives_one_credit_to_the_newest_message_and_the_others_assist() -> None:
    state = fold(log(*PERSON, *BEGUN, bought("u1", DAY, "o1", 40)))

    assert {name: (one.credited, one.assisted, one.revenue) for name, one in messages(state).items()} == {
        "care/c@email": (1, 0, {"EUR": 40 * EUR}),
        "sale/a@email": (0, 1, {}),
    }
    assert (money(state, "sale").revenue, money(state, "care").revenue) == ({"EUR": 40 * EUR}, {"EUR": 40 * EUR})
    assert money(state, "sale").squares == {"EUR": 1600.0}


def test_a_message_before_the_goals_time_or_one_that_reached_no_one_has_no_part() -> None:
    records = log(*PERSON, *BEGUN, bought("u1", 7 * DAY, "o1", 40))
    late = messages(fold(records))
    (care,) = [one for one in unpack(fold(records).records[b"u1"]).ledger.sent if one.rule == "care/c"]
    bounced = Event(id="x", user="u1", type="message_bounced", at=START + 3 * HOUR, origin="simulate", message=care.id)

    other = messages(fold(log(*PERSON, *BEGUN, bounced, bought("u1", DAY, "o1", 40))))

    assert {name: one.credited for name, one in late.items()} == {
        "care/c@email": 1,
        "sale/a@email": 0,
        "sale/b@email": 0,
    }
    assert {name: one.credited for name, one in other.items()} == {"care/c@email": 0, "sale/a@email": 1}
    assert other["care/c@email"].outcomes == {"bounced": 1}


def test_refunds_within_the_time_take_the_money_back_and_a_whole_one_the_credit() -> None:
    order = (*PERSON, *BEGUN, bought("u1", DAY, "o1", 40))

    part = fold(log(*order, refund("u1", 2 * DAY, "o1", 15)))
    whole = fold(log(*order, refund("u1", 2 * DAY, "o1", 15), refund("u1", 3 * DAY, "o1", 0, "whole")))
    late = fold(log(*order, refund("u1", 12 * DAY, "o1", 15)))

    assert (messages(part)["care/c@email"].credited, messages(part)["care/c@email"].revenue) == (1, {"EUR": 25 * EUR})
    assert (messages(whole)["care/c@email"].credited, messages(whole)["care/c@email"].revenue) == (0, {})
    assert (money(whole, "sale").revenue, money(whole, "sale").squares) == ({}, {"EUR": 0.0})
    assert messages(late)["care/c@email"].revenue == {"EUR": 40 * EUR}


def test_an_order_in_parts_counts_once_and_grows() -> None:
    first, second = bought("u1", DAY, "o1", 40, "lines"), bought("u1", DAY + HOUR, "o1", 5, "lines")

    state = fold(log(*PERSON, *BEGUN, first, second))

    assert messages(state)["care/c@email"].revenue == {"EUR": 45 * EUR}
    assert [one.value for one in unpack(state.records[b"u1"]).ledger.conversions] == [45 * EUR, 45 * EUR]


def test_an_order_whose_refund_was_read_before_has_no_credit() -> None:
    state = fold(log(*PERSON, *BEGUN, refund("u1", DAY - HOUR, "o1", 0, "whole"), bought("u1", DAY, "o1", 40)))

    assert (messages(state)["care/c@email"].credited, messages(state)["care/c@email"].revenue) == (0, {})


def test_the_control_group_has_money_but_no_credit() -> None:
    held = {**SALE, "holdout": "100%"}
    records = written(
        [
            opening("feeder"),
            configuration(1, held),
            tick(0),
            *PERSON,
            tick(HOUR),
            BEGUN[0],
            tick(DAY),
            bought("u1", DAY, "o1", 40),
        ]
    )

    state = fold(records)

    assert messages(state) == {}
    assert (money(state, "sale").revenue, money(state, "sale").revenue_held_out) == ({}, {"EUR": 40 * EUR})


def test_a_purchase_before_the_message_of_the_same_step_gives_it_no_credit() -> None:
    again = {**SALE, "enter": {"on": {"event": "purchase"}, "again": "always"}}
    records = written(
        [opening("feeder"), configuration(1, again), tick(0), *PERSON, tick(HOUR), bought("u1", HOUR, "o1", 40)]
    )

    state = fold(records)

    assert messages(state)["sale/a@email"].sent == 1
    assert messages(state)["sale/a@email"].credited == 0


def test_users_of_a_log_without_goals_remember_nothing() -> None:
    plain = {name: value for name, value in SALE.items() if name != "goal"}
    records = written(
        [
            opening("feeder"),
            configuration(1, plain),
            tick(0),
            *PERSON,
            tick(HOUR),
            BEGUN[0],
            bought("u1", HOUR, "o1", 40),
        ]
    )

    state = fold(records)

    assert unpack(state.records[b"u1"]).ledger.conversions == ()
    assert money(state, "sale").revenue == {}


def random_log(seed: int) -> list[Any]:
    """Return events of three users: entries, orders in several forms, refunds before and after, and reports."""
    draw = random.Random(seed)
    found: list[Any] = []
    orders: list[tuple[str, str, str]] = []
    for number in range(3):
        found += [known(f"u{number}")] + ([consent(f"u{number}")] if draw.random() < 0.9 else [])
    times = sorted(draw.sample(range(HOUR, 25 * DAY, HOUR // 4), 60))
    for number, at in enumerate(times):
        user, kind = f"u{draw.randrange(3)}", draw.random()
        late = draw.choice((0, 0, 0, HOUR, 30 * HOUR)) if at > 2 * DAY else 0
        if kind < 0.3:
            found.append(custom(user, at, draw.choice(("Sale", "Care"))))
        elif kind < 0.65 or not orders:
            known_order = draw.choice(orders) if orders and draw.random() < 0.3 else None
            if known_order is not None and known_order[2] == "lines":
                user, name, form = known_order
            else:
                name, form = f"o{number}", draw.choice(("whole", "lines"))
                orders.append((user, name, form))
            event = bought(
                user,
                at - late,
                name if draw.random() < 0.9 or form == "lines" else None,
                draw.randrange(90),
                form,
                f"-{number}",
            )
            found.append((at, event))
        else:
            user, name, _ = draw.choice(orders)
            found.append(
                (at, refund(user, at - late, name, draw.randrange(60), draw.choice(("lines", "lines", "whole"))))
            )
    return found


def timed(contents: list[Any], **sections: Any) -> list[PartitionRecord]:
    held = [{**SALE, "holdout": "40%"}, CARE]
    found, now = list[Any]([opening("feeder"), tick(0), configuration(1, *held, **sections)]), 0
    for one in contents:
        at, event = one if isinstance(one, tuple) else (one.at - START, one)
        while now + 6 * HOUR <= at:
            now += 6 * HOUR
            found.append(tick(now))
        if at > now:
            now = at
            found.append(tick(at))
        found.append(event)
    return written(found)


def naive(contents: list[Any], records: list[PartitionRecord]) -> Told:
    """Compute the numbers from the outputs of a fold that takes one record after the other."""
    _, given = fold_log(records, itertools.repeat(1))
    events = {one.id: one for one in (pair[1] if isinstance(pair, tuple) else pair for pair in contents)}
    steps, now = list[GoalStep](), 0
    for record, outputs in zip(records, given, strict=True):
        value = json.loads(record.value or b"null")
        event = events.get(value.get("id", "")) if isinstance(value, dict) and record.key[:1] != b"\x00" else None  # type: ignore[index]
        now = value["at"] if event is None and isinstance(value, dict) and "at" in value else now
        told_now = [(one.topic, json.loads(one.value)) for one in outputs.commit.records if one.value and one.key]
        steps.append(GoalStep(event, now if event is None else min(event.at, now), told_now))
    return told(steps, {"sale": 5 * DAY, "care": 8 * DAY})


@pytest.mark.parametrize("seed", range(40))
def test_random_logs_have_the_numbers_of_the_naive_computation(seed: int) -> None:
    contents = random_log(seed)
    records = timed(contents)

    state, expected = fold(records), naive(contents, records)

    counts = {name.removesuffix("@email"): one for name, one in messages(state).items()}
    assert +Counter({rule: one.credited for rule, one in counts.items()}) == expected.credited
    assert +Counter({rule: one.assisted for rule, one in counts.items()}) == expected.assisted
    assert +Counter({rule: one.revenue.get("EUR", 0) for rule, one in counts.items()}) == expected.revenue
    for name in ("sale", "care"):
        found = money(state, name)
        for held_out, sums, squares in (
            (False, found.revenue, found.squares),
            (True, found.revenue_held_out, found.squares_held_out),
        ):
            assert sums.get("EUR", 0) == expected.values[name, held_out]
            assert squares.get("EUR", 0.0) == pytest.approx(expected.squares[name, held_out], abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_any_cut_into_batches_and_any_restart_gives_the_same_bytes(seed: int) -> None:
    records, draw = timed(random_log(seed)), random.Random(seed)
    whole = fold(records)

    cut = fold(records, iter(lambda: draw.choice((1, 2, 3, 17, 60)), 0), restart=3)

    for begin in (KEY, b"\x00runs:", b"u"):
        assert {key: value for key, value in cut.records.items() if key.startswith(begin)} == {
            key: value for key, value in whole.records.items() if key.startswith(begin)
        }


def test_the_random_logs_have_what_they_should_test() -> None:
    found = [naive(contents, timed(contents)) for contents in map(random_log, range(12))]

    assert sum(sum(one.credited.values()) for one in found) > 20
    assert sum(sum(one.assisted.values()) for one in found) > 10
    assert any(one.values["sale", True] for one in found)
    assert {rule for one in found for rule in one.revenue} == {"sale/a", "sale/b", "care/c"}


def test_the_money_of_partitions_is_added_by_currency() -> None:
    parts = [JourneyCounts(revenue={"EUR": 2}, squares={"EUR": 0.5}), JourneyCounts(revenue={"EUR": 3, "USD": 1})]

    whole = joined_counts(parts)

    assert (whole.revenue, whole.squares) == ({"EUR": 5, "USD": 1}, {"EUR": 0.5})
