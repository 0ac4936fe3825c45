from __future__ import annotations

from typing import Any

import orjson
import pytest

from models.events import MICROS, OrderLine, Origin
from models.wire import convert, decode
from models.wire.segment import READ_AS
from tests.support.wire_records import NOW, RECEIVED, WHEN, native, read, track

BOTH_FORMS = [
    (
        native("product_view", item="sku1", category="shoes", price=49.9, currency="EUR", properties={"name": "Boot"}),
        track("Product Viewed", product_id="sku1", category="shoes", price=49.9, currency="EUR", name="Boot"),
    ),
    (native("click", item="sku1"), track("Product Clicked", product_id="sku1")),
    (
        native("cart_add", item="sku1", quantity=3, price="2.55"),
        track("product added", sku="sku1", quantity=3, price=2.55),
    ),
    (native("cart_remove", item="sku1"), track("Product Removed", productId="sku1")),
    (
        native(
            "purchase",
            order="o1",
            order_form="whole",
            lines=[{"item": "a", "quantity": 2, "price": 2.55}],
            currency="GBP",
        ),
        track(
            "Order Completed",
            order_id="o1",
            products=[{"product_id": "a", "quantity": 2, "price": 2.55}],
            currency="gbp",
        ),
    ),
    (
        native("purchase", order="o1", order_form="whole", amount=7),
        track("Order Completed", order_id="o1", revenue=7),
    ),
    (
        native("purchase", name="Order Updated", order="o1", order_form="replacement", amount=8),
        track("Order Updated", order_id="o1", total=8),
    ),
    (native("purchase", amount=7), track("Order Completed", total=7)),
    (native("refund", order="o1", amount=3.39), track("Order Refunded", order_id="o1", total=3.39)),
    (native("refund", order="o1"), track("Order Refunded", order_id="o1")),
    (
        native("rating", item="a", rating=4, text="good\nshoes"),
        track("Product Reviewed", product_id="a", rating=4, review_body="good\nshoes"),
    ),
    (native("support_message", text="Where is it?"), track("Support Message Sent", text="Where is it?")),
    (
        native("consent", channel="email", granted=True, reason="checkout"),
        track("Consent Given", channel="email", source="checkout"),
    ),
    (native("consent", channel="sms", granted=False), track("Consent Withdrawn", channel="sms")),
    (native("consent", granted=False), track("Unsubscribed")),
    (native("custom", name="Trial Started", properties={"plan": "pro"}), track("Trial Started", plan="pro")),
    (
        native("identify", traits={"email": "a@b.example", "firstName": "Ada"}),
        {
            "type": "identify",
            "userId": "u1",
            "messageId": "m1",
            "timestamp": NOW,
            "traits": {"email": "a@b.example", "first_name": "Ada"},
        },
    ),
    (
        native("page_view", name="Home", category="shop", properties={"path": "/"}),
        {
            "type": "page",
            "userId": "u1",
            "messageId": "m1",
            "timestamp": WHEN,
            "name": "Home",
            "properties": {"path": "/", "name": "Home", "category": "shop"},
        },
    ),
]


@pytest.mark.parametrize(("short", "segment"), BOTH_FORMS)
def test_both_forms_of_the_same_event_give_the_same_event(short: dict[str, Any], segment: dict[str, Any]) -> None:
    assert read(short) == read(segment)


@pytest.mark.parametrize(("short", "segment"), BOTH_FORMS)
def test_a_parsed_record_reads_like_its_json(short: dict[str, Any], segment: dict[str, Any]) -> None:
    for raw in (short, segment):
        assert convert(raw, RECEIVED) == read(raw)


def test_an_order_adds_up_to_the_last_micro() -> None:
    event = read(
        native("purchase", lines=[{"item": "a", "quantity": 6, "price": 2.55}, {"item": "b", "price": "0.000001"}])
    )

    assert event.amount == 15_300_001
    assert event.lines == (OrderLine("a", 6, 2_550_000), OrderLine("b", 1, 1))


def test_a_purchase_of_one_item_is_an_order_of_one_line() -> None:
    event = read(native("purchase", item="a", quantity=2, price=2.55, category="toys"))

    assert (event.lines, event.amount) == ((OrderLine("a", 2, 2_550_000, "toys"),), 5_100_000)


def test_the_price_of_one_item_follows_from_its_total() -> None:
    assert read(native("purchase", item="a", quantity=2, amount=5)).lines == (OrderLine("a", 2, 2_500_000),)


def test_the_stated_total_of_an_order_takes_precedence_over_its_lines() -> None:
    event = read(track("Order Completed", total=9, revenue=8, products=[{"product_id": "a", "price": 8}]))

    assert event.amount == 9 * MICROS
    assert event.properties == {"revenue": 8}


def test_a_refund_with_only_an_order_id_is_not_a_refund_of_zero() -> None:
    forms = [
        read(track("Order Refunded", order_id="o1", **said)).order_form
        for said in ({}, {"total": 0}, {"products": [{"product_id": "a"}]})
    ]

    assert forms == ["whole", "lines", "lines"]


def test_an_anonymous_user_is_distinguished_from_an_identified_user() -> None:
    event = read({"type": "page", "anonymousId": "x-1", "timestamp": WHEN})

    assert (event.user, event.identified) == ("anonymous:x-1", False)


def test_a_user_id_takes_precedence_over_an_anonymous_id() -> None:
    assert read({"type": "page", "anonymousId": "x-1", "userId": "u1"}).user == "u1"


def test_a_missing_message_id_is_the_place_of_the_record() -> None:
    assert read({"type": "click", "user": "u1"}).id == "events.in/3/41"
    assert read({"type": "page", "userId": "u1"}).id == "events.in/3/41"


def test_a_message_id_is_kept_in_both_forms() -> None:
    assert read({"type": "click", "user": "u1", "messageId": "mine"}).id == "mine"
    assert read(track("Product Clicked")).id == "m1"


def test_a_missing_time_is_the_time_of_arrival() -> None:
    assert read({"type": "click", "user": "u1"}).at == NOW
    assert read({"type": "page", "userId": "u1"}).at == NOW


def test_a_wrong_clock_is_corrected_by_the_time_of_sending() -> None:
    ahead = {"type": "page", "userId": "u1", "timestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"}

    assert read(ahead).at == NOW - 10_000


def test_a_replay_keeps_the_time_of_the_record() -> None:
    early = {"type": "page", "userId": "u1", "timestamp": "2024-01-01T00:00:00Z", "sentAt": "2024-01-01T00:00:10Z"}

    assert read(early, origin="replay").at == 1_704_067_200_000


@pytest.mark.parametrize(
    ("claimed", "given", "origin"),
    [("replay", "live", "replay"), ("live", "replay", "replay"), ("test", "simulate", "test"), (None, "test", "test")],
)
def test_an_event_can_only_be_less_live_than_its_door(claimed: Origin, given: Origin, origin: Origin) -> None:
    assert read(native("click", origin=claimed), origin=given).origin == origin


def test_an_empty_trait_counts_as_absent_and_null_removes_a_trait() -> None:
    event = read(native("identify", traits={"email": "", "first_name": None, "plan": ""}))

    assert event.traits == {"firstName": None, "plan": ""}


def test_group_and_alias_are_custom_events() -> None:
    group = read({"type": "group", "userId": "u1", "groupId": "g", "traits": {"plan": "pro"}})
    alias = read({"type": "alias", "userId": "u1", "previousId": "x-1"})

    assert (group.name, group.properties) == ("Group", {"groupId": "g", "traits": {"plan": "pro"}})
    assert (alias.name, alias.properties) == ("Alias", {"previousId": "x-1"})


def test_a_custom_event_is_never_refused_for_its_properties() -> None:
    event = read(track("Plan Viewed", price="free", product_id=7, category=["a"], currency=None))

    assert event.properties == {"price": "free", "product_id": 7, "category": ["a"], "currency": None}
    assert (event.item, event.category) == (None, None)


def test_the_callers_mapping_is_not_changed() -> None:
    raw = track("Product Viewed", product_id="sku1", price=1)
    before = orjson.dumps(raw)

    convert(raw, RECEIVED)

    assert orjson.dumps(raw) == before


def test_a_record_with_a_byte_order_mark_is_read() -> None:
    assert decode(b'\xef\xbb\xbf{"type":"click","user":"u1"}', RECEIVED).user == "u1"


def test_the_types_of_the_spec_s_names_are_known_without_reading_an_event() -> None:
    details = {
        "product_id": "a",
        "order_id": "o",
        "total": 3,
        "rating": 4,
        "text": "Hi",
        "channel": "email",
        "source": "checkout",
    }
    for name, kind in READ_AS.items():
        event = read(track(name.title(), **details))
        assert (event.type, name) == (kind, name.lower())
    assert len(READ_AS) == 20
