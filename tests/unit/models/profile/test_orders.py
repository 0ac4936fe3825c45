"""Orders: each counts once, however often it is stated, and its refunds stay within its amount."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.delivery.messages import decode_message
from models.errors import InvalidConfiguration
from models.events import MICROS, Event, OrderLine
from models.log import Control, Use
from models.profile.numbers import ACTIVITY, PURCHASES, SPEND, WIDTH, numbers_of
from models.profile.orders import EXCESS, MAX_ORDERS, beyond
from models.profile.reducers import Cutoffs
from models.profile.state import Facts
from models.units import DAY, MINUTE
from tests.support.configured_versions import configuration_version, settings_version
from tests.support.event_logs import START
from tests.support.facts import facts_of
from tests.support.order_logs import counted, fold, letters, money, purchase, refund, written_to

MUG = (OrderLine("mug", 2, 15 * MICROS, "kitchen"),)
EURO: dict[str, Any] = {"currency": "EUR", "lines": MUG}


@pytest.mark.parametrize(
    ("again", "content"),
    [
        ({**EURO}, "same"),
        ({"lines": MUG}, "different"),  # without a currency, USD counts
        ({**EURO, "amount": 45 * MICROS}, "different"),
        ({**EURO, "at": START + 50 * DAY}, "same"),  # the thank-you page is opened again weeks later
    ],
)
def test_an_order_that_is_sent_twice_counts_once_in_every_fact_and_output(again: dict[str, Any], content: str) -> None:
    rules = (configuration_version(1),)
    first = purchase(30, **EURO)
    said: dict[str, Any] = {
        "id": "again",
        "user": "u",
        "at": START + 1,
        "order": "o1",
        "order_form": "whole",
        "amount": first.amount,
    }
    repeat = Event(type="purchase", **said | again)

    once, outputs_once = fold(first, versions=rules)
    twice, outputs = fold(first, repeat, versions=rules)

    assert money(twice) == (1, {"EUR": 30}, {})
    for name in (name for name in Facts.__struct_fields__ if name not in ("seen_ids", "window")):
        assert getattr(twice, name) == getattr(once, name), name
    assert counted(outputs, "orders_repeated", content) == 1
    for topic in ("interactions", "signals", "decisions"):
        assert written_to(topic, outputs) == written_to(topic, outputs_once) != [], topic


def test_a_repeated_order_is_also_known_by_its_message_id() -> None:
    order = purchase(30)
    _, outputs = fold(order, repeat := purchase(30), repeat, order)

    assert (counted(outputs, "orders_repeated", "same"), counted(outputs, "events_duplicate")) == (1, 2)


def test_lines_of_the_short_form_still_add_up() -> None:
    facts, outputs = fold(*(purchase(2, "lines", START + n, currency="GBP") for n in range(3)))

    assert money(facts) == (1, {"GBP": 6}, {})
    assert facts.events == {"purchase": 3}
    assert counted(outputs, "orders_repeated", "same") == 0


def test_each_order_without_an_id_is_a_separate_order() -> None:
    facts, _ = fold(*(purchase(2, "lines", START + n, order=None) for n in range(3)), refund(1, order=None))

    assert money(facts) == (3, {"USD": 6}, {"USD": 1})
    assert facts.known_orders == {}


@pytest.mark.parametrize(
    "others",
    [
        [purchase(30, currency="")],
        [purchase(30, "replacement", START + 1, currency="")],
        [purchase(20, "lines", currency=""), purchase(30, "replacement", START + 1, currency="XXX")],
        [purchase(30, currency="XXX"), refund(10, currency="")],
        [refund(10, currency="")],
        [refund(10, currency="EUR"), purchase(30, currency="")],
        [refund(currency="")],
    ],
)
def test_money_without_a_currency_counts_in_the_currency_of_its_order(others: list[Event]) -> None:
    events = [purchase(30, currency="EUR"), *others]

    for order in itertools.permutations(events):
        _, spent, paid_back = money(fold(*order)[0])
        back = 30 if any(one.type == "refund" and one.order_form == "whole" for one in others) else 10
        assert spent == {"EUR": 30}
        assert paid_back == ({"EUR": back} if any(one.type == "refund" for one in others) else {})


def test_an_order_without_any_currency_counts_in_the_default_currency() -> None:
    facts, _ = fold(purchase(30, currency=""), refund(10, currency=""), refund(5, order="o2", currency=""))

    assert money(facts) == (1, {"USD": 30}, {"USD": 15})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((purchase(30), purchase(25, "replacement", START + 1)), 25),
        ((purchase(30), purchase(25, "replacement", START + 2), purchase(20, "replacement", START + 1)), 25),
        ((purchase(25, "replacement"), purchase(30, at=START + 1)), 25),
        ((purchase(30), purchase(25, "replacement", START + 1), purchase(30, at=START + 2)), 25),
        ((purchase(10, "lines"), purchase(10, "lines"), purchase(30)), 30),
        ((purchase(30), purchase(10, "lines"), purchase(10, "lines")), 30),
        ((purchase(10, "lines"), purchase(25, "replacement", START + 1), purchase(10, "lines")), 25),
    ],
)
def test_a_whole_order_replaces_lines_and_an_update_replaces_both(events: tuple[Event, ...], expected: int) -> None:
    facts, _ = fold(*events)

    assert money(facts) == (1, {"USD": expected}, {})
    assert numbers_of(facts)[SPEND + 1] == pytest.approx(expected, rel=1e-6)
    assert numbers_of(facts)[PURCHASES + 1] == pytest.approx(1, rel=1e-6)


def test_an_update_may_change_the_currency() -> None:
    facts, _ = fold(purchase(30), purchase(25, "replacement", START + 1, currency="EUR"))

    assert money(facts) == (1, {"EUR": 25}, {})


def test_an_order_update_is_not_a_visit_and_triggers_no_rule_but_its_new_items_are_learned() -> None:
    order = purchase(30, lines=MUG)
    pan = (*MUG, OrderLine("pan", 1, 5 * MICROS))
    update = purchase(35, "replacement", START + DAY, lines=pan, name="Order Updated")
    status = purchase(35, "replacement", START + 2 * DAY, lines=pan, name="Order Updated")

    before, _ = fold(order)
    facts, outputs = fold(order, update, status, versions=(configuration_version(1),))

    assert (facts.sessions, facts.last_seen, facts.hours) == (before.sessions, before.last_seen, before.hours)
    assert (facts.orders, facts.spent) == (1, {"USD": 35 * MICROS})
    assert counted(outputs, "interactions") == 2, "mug and pan, each once"
    assert counted(outputs, "signals", "first_purchase") == 1


@pytest.mark.parametrize(
    ("refunds", "paid_back", "excess"),
    [
        ((refund(),), 100, []),
        ((refund(30), refund()), 100, []),
        ((refund(250),), 100, ["150.00 EUR more than is left of the order"]),
        ((refund(60), refund(60)), 100, ["20.00 EUR more than is left of the order"]),
        ((refund(), refund()), 100, []),
        ((refund(), refund(10)), 100, ["10.00 EUR more than is left of the order"]),
        ((refund(40), refund(60)), 100, []),
    ],
)
def test_refunds_never_exceed_their_order_and_the_excess_is_shown(
    refunds: tuple[Event, ...], paid_back: int, excess: list[str]
) -> None:
    said = [one if one.order_form == "whole" else _in("EUR", one) for one in refunds]
    facts, outputs = fold(purchase(100, currency="EUR"), *said)

    assert money(facts) == (1, {"EUR": 100}, {"EUR": paid_back})
    assert facts.refunds == len(refunds)
    found = letters(outputs)
    assert [letter.found for letter in found] == excess
    assert {(letter.reason, letter.accepted) for letter in found} <= {(EXCESS, True)}
    assert counted(outputs, "event_warnings", EXCESS) == len(excess)
    assert sum(beyond(facts).values()) <= sum(one.amount for one in refunds)


def _in(currency: str, event: Event) -> Event:
    return Event(**{name: getattr(event, name) for name in Event.__struct_fields__} | {"currency": currency})


def test_a_refund_follows_an_order_that_becomes_smaller() -> None:
    facts, _ = fold(purchase(100), refund(60), purchase(50, "replacement", START + 1))

    assert money(facts) == (1, {"USD": 50}, {"USD": 50})
    assert beyond(facts) == {"USD": 10 * MICROS}


def test_a_refund_of_an_unknown_order_counts_as_stated() -> None:
    facts, outputs = fold(purchase(10, "lines", order="o2"), refund(25), refund(order="o3"))

    assert money(facts) == (1, {"USD": 10}, {"USD": 25})
    assert (facts.refunds, letters(outputs)) == (2, [])


@pytest.mark.parametrize(
    ("known", "other"),
    [
        (purchase(30, currency="EUR"), refund(10, currency="USD")),
        (purchase(30, "lines", currency="EUR"), purchase(30, "lines", currency="USD")),
    ],
)
def test_money_in_another_currency_than_its_order_is_refused(known: Event, other: Event) -> None:
    facts, outputs = fold(known, other)

    assert money(facts) == (1, {"EUR": 30}, {})
    assert [(letter.reason, letter.field, letter.allowed) for letter in letters(outputs)] == [
        ("other_currency", "currency", "EUR, as the order o1 has")
    ]


# --- browser keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_an_order_stated_with_a_secret_key_replaces_statements_with_a_public_key(reverse: bool) -> None:
    forged = [
        purchase(999, trust="public"),
        purchase(1, "replacement", START + 5, trust="public"),
        purchase(7, "lines", trust="public"),
    ]
    events = [*forged, purchase(30, at=START)]

    facts = facts_of(*(reversed(events) if reverse else events), cutoffs=Cutoffs(late_before=START - DAY))

    assert money(facts) == (1, {"USD": 30}, {})


@pytest.mark.parametrize("when", [{"event": "purchase"}, {"first_purchase": True}])
def test_the_servers_order_after_the_browsers_order_sends_the_receipt_and_nothing_else(
    when: dict[str, Any],
) -> None:
    who = Event(id="i", user="u", type="identify", at=START, traits={"email": "u@example.org"})
    consent = Event(id="c", user="u", type="consent", at=START, granted=True, channel="email")
    browser = purchase(30, trust="public", **EURO)
    shop = [purchase(30, at=START + 1, **EURO), purchase(30, at=START + 2, **EURO)]

    facts, outputs = fold(who, consent, browser, *shop, versions=(_receipt_and_thanks(when),))

    sent = [decode_message(value or b"").rule for value in written_to("messages.email", outputs)]
    assert sent == ["thanks", "receipt"], (
        "the browser's order triggers marketing, the server's order triggers the receipt"
    )
    assert (facts.orders, facts.spent) == (1, {"EUR": 30 * MICROS})
    assert list(numbers_of(facts)[ACTIVITY + 1 : ACTIVITY + WIDTH]) == [1.0, 1.0, 1.0]
    assert counted(outputs, "interactions") == 1


def _receipt_and_thanks(when: dict[str, Any]) -> Control:
    rules = [
        {"name": name, "category": category, "when": when, "template": "plain"}
        for name, category in (("receipt", "transactional"), ("thanks", "marketing"))
    ]
    template = Template(subject="Hello", text="Thanks", fallback="Subject: Hello\nThanks")
    parsed = parse({"rules": rules}, {"plain": template})
    return Use(name="configuration", version=1, content=msgspec.Raw(encode(parsed)))


# --- the memory of orders ---------------------------------------------------------------------------------------------


def test_an_order_is_remembered_for_the_configured_time_and_no_longer() -> None:
    settings = settings_version(1, remember_orders="60d")

    for days, orders in ((59, 1), (61, 2)):
        facts, _ = fold(purchase(30), purchase(30, at=START + days * DAY), versions=(settings,))
        assert money(facts) == (orders, {"USD": 30 * orders}, {})


def test_an_update_prolongs_the_memory_of_its_order() -> None:
    facts, _ = fold(purchase(30), purchase(20, "replacement", START + 80 * DAY), purchase(30, at=START + 160 * DAY))

    assert money(facts) == (1, {"USD": 20}, {})


def test_memory_is_bounded_and_forgets_the_oldest_orders() -> None:
    many = [purchase(1, at=START + n * MINUTE, order=f"order-{n:04}") for n in range(3 * MAX_ORDERS)]

    facts, _ = fold(*many, size=50)

    assert facts.orders == 3 * MAX_ORDERS
    assert set(facts.known_orders) == {event.order for event in many[-MAX_ORDERS:]}
    assert len(msgspec.msgpack.encode(facts.known_orders)) / MAX_ORDERS < 45, "bytes an order"


def test_expired_orders_are_forgotten_with_the_next_order() -> None:
    old = [purchase(1, at=START + n, order=f"o{n}") for n in range(9)]

    facts, _ = fold(*old, purchase(1, at=START + 200 * DAY, order="new"))

    assert set(facts.known_orders) == {"new"}


@pytest.mark.parametrize("remember", ["47h", "367d"])
def test_a_memory_that_is_too_short_or_too_long_is_refused(remember: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        settings_version(1, remember_orders=remember)

    assert caught.value.path == "events.remember_orders"
