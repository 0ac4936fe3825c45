"""An order counts once, however often and in whatever order it is stated, and its refunds stay within it."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Outputs
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.delivery.messages import decode_message
from models.errors import InvalidConfiguration
from models.events import MICROS, Event, OrderLine
from models.log import Clock, Control, Tick, Use
from models.profile.codec import unpack
from models.profile.features import row
from models.profile.orders import EXCESS, MAX_ORDERS, beyond
from models.profile.reducers import Cutoffs, reduce_facts
from models.profile.state import Facts
from models.rejected import decode_rejected
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import configuration_version, settings_version
from tests.support.event_logs import START, fold_log, written
from tests.unit.models.profile.test_lateness import assert_same, facts_after

_ids = itertools.count()


def purchase(amount: int, form: Any = "whole", at: int = START, **more: Any) -> Event:
    """A purchase of the order o1 for so many units."""
    said: dict[str, Any] = {"id": f"m{next(_ids)}", "user": "u", "at": at, "order": "o1", "order_form": form} | more
    return Event(type="purchase", amount=amount * MICROS, **said)


def refund(amount: int | None = None, at: int = START, **more: Any) -> Event:
    """A refund of the order o1; of all that is left of it without an amount."""
    said: dict[str, Any] = {"id": f"m{next(_ids)}", "user": "u", "at": at, "order": "o1"} | more
    if amount is None:
        return Event(type="refund", order_form="whole", **said)
    return Event(type="refund", amount=amount * MICROS, **said)


def fold(*events: Event, versions: tuple[Control, ...] = (), size: int = 3) -> tuple[Facts, list[Outputs]]:
    """Fold events as a feeder gives them, each at its own time, and return the user's facts."""
    log: list[Event | Control] = [Clock("feeder"), *versions]
    for event in events:
        log += [Tick(at=event.at), event]
    state, outputs = fold_log(written(log), itertools.repeat(size))
    return unpack(state.records[b"u"]).facts, outputs


def money(facts: Facts) -> tuple[int, dict[str, int], dict[str, int]]:
    """Orders, and units spent and refunded by currency."""
    units = [{name: micros // MICROS for name, micros in sums.items()} for sums in (facts.spent, facts.refunded)]
    return facts.orders, units[0], units[1]


def counted(outputs: list[Outputs], *name: str) -> float:
    return sum(output.counts.get(name, 0.0) for output in outputs)


def letters(outputs: list[Outputs]) -> list[Any]:
    return [decode_rejected(value) for value in written_to("events.rejected", outputs)]


def written_to(topic: str, outputs: list[Outputs]) -> list[bytes | None]:
    return [one.value for output in outputs for one in output.commit.records if one.topic == topic]


MUG = (OrderLine("mug", 2, 15 * MICROS, "kitchen"),)
EURO: dict[str, Any] = {"currency": "EUR", "lines": MUG}


@pytest.mark.parametrize(
    ("again", "content"),
    [
        ({**EURO}, "same"),
        ({"lines": MUG}, "different"),  # the currency is missing: USD
        ({**EURO, "amount": 45 * MICROS}, "different"),
        ({**EURO, "at": START + 50 * DAY}, "same"),  # the thank-you page is opened once more, weeks later
    ],
)
def test_an_order_that_is_sent_twice_counts_once_in_everything(again: dict[str, Any], content: str) -> None:
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


def test_a_repeat_of_an_order_is_known_by_its_message_id_too() -> None:
    order = purchase(30)
    _, outputs = fold(order, repeat := purchase(30), repeat, order)

    assert (counted(outputs, "orders_repeated", "same"), counted(outputs, "events_duplicate")) == (1, 2)


def test_lines_of_the_short_form_still_add_up() -> None:
    facts, outputs = fold(*(purchase(2, "lines", START + n, currency="GBP") for n in range(3)))

    assert money(facts) == (1, {"GBP": 6}, {})
    assert facts.events == {"purchase": 3}
    assert counted(outputs, "orders_repeated", "same") == 0


def test_orders_without_an_id_are_orders_of_their_own() -> None:
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
def test_money_of_an_order_whose_currency_is_left_out_has_that_of_the_order(others: list[Event]) -> None:
    events = [purchase(30, currency="EUR"), *others]

    for order in itertools.permutations(events):
        _, spent, paid_back = money(fold(*order)[0])
        back = 30 if any(one.type == "refund" and one.order_form == "whole" for one in others) else 10
        assert spent == {"EUR": 30}
        assert paid_back == ({"EUR": back} if any(one.type == "refund" for one in others) else {})


def test_without_any_currency_an_order_counts_in_the_default_one() -> None:
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
def test_the_whole_states_lines_and_an_update_states_both(events: tuple[Event, ...], expected: int) -> None:
    facts, _ = fold(*events)

    assert money(facts) == (1, {"USD": expected}, {})
    assert facts.spend.values[0] == pytest.approx(expected, rel=1e-6)
    assert facts.purchases.values[0] == pytest.approx(1, rel=1e-6)


def test_an_update_may_change_the_currency() -> None:
    facts, _ = fold(purchase(30), purchase(25, "replacement", START + 1, currency="EUR"))

    assert money(facts) == (1, {"EUR": 25}, {})


def test_an_update_is_no_visit_and_no_purchase_to_rules_but_teaches_the_new_items() -> None:
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


# --- public keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_what_a_secret_key_states_takes_the_place_of_what_anybody_could_have_stated(reverse: bool) -> None:
    forged = [
        purchase(999, trust="public"),
        purchase(1, "replacement", START + 5, trust="public"),
        purchase(7, "lines", trust="public"),
    ]
    events = [*forged, purchase(30, at=START)]

    facts = facts_of(*(reversed(events) if reverse else events))

    assert money(facts) == (1, {"USD": 30}, {})


@pytest.mark.parametrize("when", [{"event": "purchase"}, {"first_purchase": True}])
def test_after_the_browser_s_order_the_one_of_the_server_sends_the_receipt_and_nothing_else(
    when: dict[str, Any],
) -> None:
    who = Event(id="i", user="u", type="identify", at=START, traits={"email": "u@example.org"})
    consent = Event(id="c", user="u", type="consent", at=START, granted=True, channel="email")
    browser = purchase(30, trust="public", **EURO)
    shop = [purchase(30, at=START + 1, **EURO), purchase(30, at=START + 2, **EURO)]

    facts, outputs = fold(who, consent, browser, *shop, versions=(_receipt_and_thanks(when),))

    sent = [decode_message(value or b"").rule for value in written_to("messages.email", outputs)]
    assert sent == ["thanks", "receipt"], "marketing follows from what the browser said, the receipt from the shop"
    assert (facts.orders, facts.spent, facts.activity.values) == (1, {"EUR": 30 * MICROS}, (1.0, 1.0, 1.0))
    assert counted(outputs, "interactions") == 1


def _receipt_and_thanks(when: dict[str, Any]) -> Control:
    rules = [
        {"name": name, "category": category, "when": when, "template": "plain"}
        for name, category in (("receipt", "transactional"), ("thanks", "marketing"))
    ]
    template = Template(subject="Hello", text="Thanks", fallback="Subject: Hello\nThanks")
    parsed = parse({"rules": rules}, {"plain": template})
    return Use(name="configuration", version=1, content=msgspec.Raw(encode(parsed)))


# --- what is remembered ----------------------------------------------------------------------------------------------


def test_an_order_is_remembered_for_the_stated_time_and_no_longer() -> None:
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


def test_orders_of_long_ago_are_forgotten_with_the_next_one() -> None:
    old = [purchase(1, at=START + n, order=f"o{n}") for n in range(9)]

    facts, _ = fold(*old, purchase(1, at=START + 200 * DAY, order="new"))

    assert set(facts.known_orders) == {"new"}


@pytest.mark.parametrize("remember", ["47h", "367d"])
def test_a_memory_that_is_too_short_or_too_long_is_refused(remember: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        settings_version(1, remember_orders=remember)

    assert caught.value.path == "events.remember_orders"


# --- in any order ----------------------------------------------------------------------------------------------------


def facts_of(*events: Event) -> Facts:
    facts = Facts()
    for event in events:
        reduce_facts(facts, event, None, Cutoffs(late_before=START - DAY))
    return facts


class Statement(NamedTuple):
    """Something that is said about one of two orders: so many minutes after the last one, read so many later."""

    minutes: int
    delay: int
    order: int
    kind: str
    amount: int


statements = st.lists(
    st.builds(
        Statement,
        st.integers(1, 40),
        st.integers(0, 60),
        st.integers(0, 1),
        st.sampled_from(["whole", "lines", "replacement", "refund", "all"]),
        st.integers(0, 9),
    ),
    min_size=2,
    max_size=14,
)


def events_of(said: list[Statement]) -> list[tuple[Event, int]]:
    """Events in the order of time with when each is read; an order is stated as a whole once at most."""
    events, at, complete = [], START, set[int]()
    for number, one in enumerate(said):
        at += one.minutes * MINUTE
        common: dict[str, Any] = {"order": f"o{one.order}", "id": f"m{number}"}
        if one.kind == "refund":
            event = refund(one.amount, at, **common)
        elif one.kind == "all":
            event = refund(None, at, **common)
        else:
            form = "lines" if one.kind == "whole" and one.order in complete else one.kind
            complete |= {one.order} if form == "whole" else set()
            lines = (OrderLine(f"i{number % 3}", 1, MICROS, f"c{number % 3}"),)
            event = purchase(one.amount, form, at, lines=lines, currency="USD" if one.amount % 2 else "", **common)
        events.append((event, at + one.delay * MINUTE))
    return events


@settings(max_examples=400, deadline=None)
@given(statements)
def test_statements_of_orders_in_any_order_within_the_bound_give_the_same_facts(said: list[Statement]) -> None:
    told = events_of(said)
    end = told[-1][0].at + 2 * HOUR

    in_order = facts_after([(event, event.at) for event, _ in told], end)
    shuffled = facts_after(sorted(told, key=lambda pair: pair[1]), end)

    assert_same(shuffled, in_order)


@settings(max_examples=200, deadline=None)
@given(statements)
def test_whatever_is_said_refunds_stay_within_known_orders_and_sums_are_those_of_the_orders(
    said: list[Statement],
) -> None:
    facts = facts_of(*(event for event, _ in sorted(events_of(said), key=lambda pair: pair[1])))

    stated = [order for order in facts.known_orders.values() if order.known & 7]
    assert facts.orders == len(stated)
    assert facts.spent.get("USD", 0) == sum(order.amount for order in stated)
    unknown = sum(order.claimed for order in facts.known_orders.values() if not order.known & 7)
    assert 0 <= facts.refunded.get("USD", 0) - unknown <= facts.spent.get("USD", 0)
    assert all(value == value for value in row(facts, START + DAY)), "no feature is undefined"


@settings(max_examples=50, deadline=None)
@given(statements, st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_any_cut_into_batches_gives_the_same_bytes(said: list[Statement], sizes: list[int]) -> None:
    events = [event for event, _ in sorted(events_of(said), key=lambda pair: pair[1])]
    log = written([Clock("feeder"), configuration_version(1), Tick(at=START + DAY), *events])

    state, _ = fold_log(log, itertools.repeat(1))
    other, _ = fold_log(log, itertools.cycle(sizes), restart_every=2)

    assert (other.records, other.memo) == (state.records, state.memo)
