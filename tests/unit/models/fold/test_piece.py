"""The four rules that make the result independent of the place at which a log is cut into pieces."""

from __future__ import annotations

import itertools
import random
from copy import deepcopy
from typing import Any, get_args

import msgspec
import pytest

from models.batch import Batch, Restored
from models.configuration.compiled import Rule
from models.engage.decisions import Decision
from models.engage.planner import Planner
from models.engage.recipient import Recipient
from models.events import Event, EventType, OrderLine
from models.fold.partition import PartitionFold
from models.fold.step import UNSEEN
from models.log import Control, Instruction, Tick, opening
from models.profile.codec import unpack
from models.profile.numbers import new_numbers
from models.profile.reducers import reduce_facts
from models.profile.signals import Signal
from models.profile.snapshot import SEEN, Snapshot
from models.profile.state import Facts
from models.rejected import decode_rejected
from models.units import DAY, MINUTE
from tests.support.configured_versions import (
    VERSIONS_OVER_TIME,
    churn_version,
    configuration_version,
    segments_version,
    settings_version,
)
from tests.support.event_logs import START, PartitionRecord, fold_log, shoppers, written
from tests.support.facts import fold_consent

Results = tuple[dict[bytes, bytes], bytes, list[tuple[str, bytes, bytes | None]]]


def results(log: list[PartitionRecord], sizes: Any = None, max_steps: int = 1_000) -> Results:
    """Fold a log in batches of these sizes, or at once in pieces of this number of steps."""
    if sizes is not None:
        state, outputs = fold_log(log, sizes)
        return state.records, state.memo, [(r.topic, r.key, r.value) for o in outputs for r in o.commit.records]
    state = Restored()
    given = PartitionFold(state, max_steps).fold(Batch("events", 0, log))
    state.apply(given.commit)
    return state.records, state.memo, [(r.topic, r.key, r.value) for r in given.commit.records]


def quick_shoppers(seed: int) -> list[PartitionRecord]:
    """Make a log in which much happens within a piece: visits, night and morning, new versions, a pause."""
    log = shoppers(seed, users=12, days=14, extra=VERSIONS_OVER_TIME[:3])
    chance = random.Random(seed)
    few = [one for one in log if not isinstance(one, Tick) or chance.random() < 0.2]
    pause = Instruction(name="pause", argument="email")
    few[len(few) // 2 : len(few) // 2] = [segments_version(3), pause, Instruction(name="resume", argument="email")]
    return written(few)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pieces_and_batches_of_any_size_give_the_same_bytes(seed: int) -> None:
    log = quick_shoppers(seed)
    single = results(log, itertools.repeat(1))
    assert {"decisions", "messages.email", "signals", "examples.segments"} <= {topic for topic, _, _ in single[2]}
    assert any(b'"deferred"' in (value or b"") for _, _, value in single[2])

    chance = random.Random(seed)
    for sizes in (itertools.repeat(37), itertools.repeat(2_000), iter(lambda: chance.randrange(1, 90), None)):
        assert results(log, sizes) == single
    for max_steps in (1, 2, 3, 37, 500, 2_000):
        assert results(log, max_steps=max_steps) == single


@pytest.mark.parametrize("seed", [4, 5])
def test_decisions_that_fail_become_dead_letters_in_any_cut(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, release = Planner.plan, Planner.release

    def planned(self: Planner, rule: Rule, signal: Signal, recipient: Recipient) -> Decision:
        if (signal.at // MINUTE) % 3 == 0:
            raise ZeroDivisionError("planned")
        return plan(self, rule, signal, recipient)

    def released(self: Planner, recipient: Recipient) -> tuple[Decision, ...]:
        if len(recipient.customer.ledger.sent) % 2 == 0:
            raise ZeroDivisionError("released")
        return release(self, recipient)

    monkeypatch.setattr(Planner, "plan", planned)
    monkeypatch.setattr(Planner, "release", released)
    log = quick_shoppers(seed)

    single = results(log, itertools.repeat(1))

    letters = [decode_rejected(value).found for topic, _, value in single[2] if topic == "events.rejected"]
    assert {letter.partition(": ")[2] for letter in letters} >= {"planned", "released"}
    for sizes in (itertools.repeat(2), itertools.repeat(50), itertools.repeat(5_000)):
        assert results(log, sizes) == single
    for max_steps in (1, 2, 37, 2_000):
        assert results(log, max_steps=max_steps) == single


def facts_of(log: list[PartitionRecord]) -> dict[bytes, tuple[Facts, str | None, float | None]]:
    """Return the facts, the segment and the risk of each user at the end of a log."""
    records, _, _ = results(log)
    users = {key: unpack(packed) for key, packed in records.items() if key[:1] != b"\x00"}
    return {key: (user.facts, user.ledger.segment, user.ledger.risk) for key, user in users.items()}


def test_facts_and_scores_do_not_depend_on_decisions() -> None:
    models = [(0.0, churn_version(1)), (0.0, segments_version(1))]
    with_rules = shoppers(6, users=9, days=20, extra=[(0.0, configuration_version(1)), *models])
    without = shoppers(6, users=9, days=20, extra=[(0.0, settings_version(1)), *models])

    assert facts_of(written(with_rules)) == facts_of(written(without))


@pytest.mark.parametrize("size", [1, 2, 500])
def test_a_version_holds_from_its_place_in_the_log_on(size: int) -> None:
    click = Event(id="m1", user="u", type="click", at=START, item="i")
    again = msgspec.structs.replace(click, id="m2", at=START + 1)
    log: list[Event | Control] = [
        opening("feeder"),
        Tick(at=START),
        segments_version(1),
        click,
        segments_version(2),
        again,
    ]

    _, _, outputs = results(written(log), itertools.repeat(size))

    found = [msgspec.json.decode(value or b"")["version"] for topic, _, value in outputs if topic == "signals"]
    assert found == [1]


EVENTS: dict[str, dict[str, Any]] = {
    "cart_add": {"item": "a", "quantity": 2, "amount": 5},
    "cart_remove": {"item": "a", "quantity": 1},
    "purchase": {"order": "o2", "amount": 7, "lines": (OrderLine("a", 1, 7, "c"),)},
    "refund": {"order": "o1", "amount": 3},
    "identify": {"traits": {"email": "new@example.org", "plan": None}},
    "consent": {"channel": "email", "granted": False},
    "rating": {"item": "a", "rating": 5.0},
    "product_view": {"item": "a", "category": "c"},
    "message_opened": {"message": "m"},
}


def known_facts() -> tuple[Facts, Any]:
    """Return the facts and numbers of a user who has done everything once."""
    facts, numbers = Facts(), new_numbers()
    for number, kind in enumerate(get_args(EventType)):
        more = {**EVENTS.get(kind, {}), **({"order": "o1"} if kind == "purchase" else {})}
        if kind == "identify":
            more = {"traits": {"email": "old@example.org", "plan": "team"}}
        elif kind == "consent":
            more = {"channel": "email", "granted": True}
        reduce_facts(facts, numbers, Event(id=f"m{number}", user="u", type=kind, at=START + number, **more))
    reduce_facts(
        facts, numbers, Event(id="c", user="u", type="cart_add", at=START + 99, item="a", quantity=3, amount=5)
    )
    return facts, numbers


def seen(snapshot: Snapshot) -> dict[str, Any]:
    return deepcopy({name: getattr(snapshot, name) for name in SEEN})


@pytest.mark.parametrize("kind", get_args(EventType))
def test_no_event_changes_what_an_earlier_decision_sees(kind: EventType) -> None:
    facts, numbers = known_facts()
    before = Snapshot(facts)
    values = seen(before)

    event = Event(id="e", user="u", type=kind, at=START + DAY, **EVENTS.get(kind, {}))
    fold_consent(facts, event)
    reduce_facts(facts, numbers, event)

    assert seen(before) == values
    has_changed = seen(Snapshot(facts)) != values
    assert not (has_changed and kind in UNSEEN), "a decision about an earlier step would see this event"
    assert has_changed == (kind in ("cart_add", "cart_remove", "purchase", "identify", "consent"))
