"""The Segment form: which event is kept without a detail, and which is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import EventWarning, InvalidEvent
from models.events import MICROS, Event
from models.wire import convert
from tests.support.any_json import JSON, LIKELY
from tests.support.wire_records import NOW, RECEIVED, SOURCE, WHEN, identify, order, page, read, track, warned


@pytest.mark.parametrize(
    ("old", "type_"),
    [
        ("Viewed Product", "product_view"),
        ("Added Product", "cart_add"),
        ("removed product", "cart_remove"),
        ("Completed Order", "purchase"),
    ],
)
def test_the_names_of_the_specs_first_version_are_known(old: str, type_: str) -> None:
    event = read(track(old, id="507f1f77", sku="45790-32", price=18.99, orderId="o", total=9))

    assert event.type == type_
    assert event.item == (None if type_ == "purchase" else "507f1f77")


def test_a_viewed_category_remains_a_custom_event() -> None:
    assert read(track("Viewed Product Category", category="Games")).type == "custom"


@pytest.mark.parametrize(
    ("name", "properties", "field"),
    [
        ("Product Viewed", {"name": "Lamp"}, "properties.product_id"),
        ("Product Added", {"product_id": True}, "properties.product_id"),
        ("Product Removed", {}, "properties.product_id"),
        ("Product Reviewed", {"product_id": "a", "rating": 11}, "properties.rating"),
        ("Product Reviewed", {"product_id": "a", "rating": "good"}, "properties.rating"),
        ("Product Reviewed", {"product_id": "a"}, "properties.rating"),
        ("Support Message Sent", {"text": ["?"]}, "properties.text"),
        ("Support Message Sent", {"text": " "}, "properties.text"),
    ],
)
def test_an_event_without_an_essential_detail_is_kept_as_a_custom_event(
    name: str, properties: dict[str, Any], field: str
) -> None:
    event, warnings = warned(track(name, **properties))

    assert (event.type, event.name, event.properties) == ("custom", name, properties or None)
    assert {one.field for one in warnings} == {field}


@pytest.mark.parametrize("body", [5, [], "x" * 10_001, "a\0b"])
def test_a_review_without_a_readable_text_is_still_a_rating(body: object) -> None:
    event, warnings = warned(track("Product Reviewed", product_id="a", rating=4, review_body=body))

    assert (event.type, event.rating, event.text, event.properties) == ("rating", 4.0, None, {"review_body": body})
    assert len(warnings) == 1


@pytest.mark.parametrize("properties", [[], [1], "x", 5, True])
def test_properties_that_are_not_an_object_are_left_out(properties: object) -> None:
    for raw in (page(userId="u"), track("Trial Started"), track("Order Completed", total=5)):
        event, warnings = (
            warned(raw | {"properties": properties}) if raw.get("event") != "Order Completed" else (None, [])
        )
        if event is not None:
            assert event.properties is None
            assert [(one.reason, one.field) for one in warnings] == [("wrong_type", "properties")]


def test_only_the_property_that_is_nested_too_deep_is_left_out() -> None:
    deep: list[Any] = []
    for _ in range(30):
        deep = [deep]

    event, warnings = warned(order(extra=deep, total=5))

    assert (event.amount, event.properties) == (5 * MICROS, None)
    assert [(one.reason, one.field) for one in warnings] == [("too_deep", "properties.extra")]


def test_the_unusable_name_of_a_page_is_kept_in_the_properties() -> None:
    event, warnings = warned(page(userId="u", name=["Home"], category=7))

    assert (event.name, event.category, event.properties) == (None, "7", {"name": ["Home"]})
    assert [one.field for one in warnings] == ["name"]


@pytest.mark.parametrize("blank", [None, "", " "])
def test_the_original_timestamp_counts_if_there_is_no_timestamp(blank: object) -> None:
    when = {"originalTimestamp": "2026-05-01T10:00:00.000Z", "timestamp": blank}

    assert read(page(userId="u", **when)).at == NOW - 7_200_250
    assert read(page(userId="u", **when), origin="replay").at == NOW - 7_200_250


def test_the_original_time_of_a_wrong_clock_is_corrected() -> None:
    when = {"timestamp": None, "originalTimestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"}

    assert read(page(userId="u", **when)).at == NOW - 10_000


def test_the_timestamp_takes_precedence_over_the_original_timestamp() -> None:
    assert read(page(userId="u", originalTimestamp="2026-04-01T00:00:00Z")).at == NOW


def test_blank_times_are_absent() -> None:
    assert read(page(userId="u", timestamp=" ", originalTimestamp="", sentAt="")).at == NOW
    assert read(page(userId="u", sentAt="")).at == NOW


@pytest.mark.parametrize("sent", ["now", "2026-05-01T12:00:00", 12, [], {}, True])
def test_an_invalid_time_of_sending_corrects_nothing_and_gives_a_warning(sent: object) -> None:
    event, warnings = warned(page(userId="u1", sentAt=sent))

    assert event.at == read(page(userId="u1")).at
    assert [one.field for one in warnings] == ["sentAt"]


@pytest.mark.parametrize("written", [{}, [1], 1.5, True, "m" * 201, "a\nb"])
def test_an_unusable_message_id_is_replaced_with_a_warning(written: object) -> None:
    event, warnings = warned(page(userId="u1", messageId=written))

    assert event.id == SOURCE.id
    assert [one.field for one in warnings] == ["messageId"]


REQUIRED = {"userId", "timestamp", "type", "event", "groupId", "previousId"}


MONEY = {"properties", "properties.total", "properties.products"}


WHOLE: list[dict[str, Any]] = [
    page(userId="u1", name="Home", category="c", properties={"path": "/"}, sentAt=WHEN, context={}),
    track("Product Viewed", product_id="a", category="c", price=1, quantity=1, currency="EUR", coupon="x"),
    track("Product Reviewed", product_id="a", rating=4, review_body="x", category="c"),
    track("Support Message Sent", text="x"),
    order(total=25, currency="EUR", coupon="x", category="c"),
    track("Order Refunded", order_id="o", total=3, currency="EUR", products=[]),
    identify({"email": "a@b.example", "phone": "+49 30 901820", "firstName": "A", "plan": "x"}, context={"traits": {}}),
    {"type": "group", "userId": "u1", "groupId": "g", "traits": {}},
    {"type": "alias", "userId": "u1", "previousId": "g"},
]


def test_a_sent_time_that_would_set_the_event_before_2000_corrects_nothing() -> None:
    event, warnings = warned(page(userId="u1", timestamp=WHEN, sentAt="2060-08-29T12:00:00Z"))

    assert event.at == read(page(userId="u1", timestamp=WHEN)).at
    assert [(one.reason, one.field) for one in warnings] == [("time_too_early", "sentAt")]


@st.composite
def one_detail_replaced(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    raw: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(WHOLE))))
    inner = next((name for name in ("properties", "traits") if raw.get(name)), None)
    value = draw(LIKELY | JSON)
    if inner is not None and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(raw[inner])))
        raw[inner][name] = value
        return raw, f"{inner}.{name}"
    name = draw(st.sampled_from(sorted(raw)))
    raw[name] = value
    return raw, name


@given(one_detail_replaced())
def test_a_bad_detail_refuses_an_event_only_if_the_event_requires_this_detail(
    replaced: tuple[dict[str, Any], str],
) -> None:
    raw, place = replaced
    warnings: list[EventWarning] = []
    try:
        event = convert(raw, RECEIVED, warnings=warnings)
    except InvalidEvent as refusal:
        error: InvalidEvent | None = refusal
    else:
        error = None
        assert isinstance(event, Event)
    is_order = "Order" in str(raw.get("event"))
    assert error is None or error.reason == "bad_json" or place in REQUIRED or (is_order and place in MONEY)
    for one in warnings:
        assert one.reason
        assert one.field.startswith(
            ("properties", "traits", "context.traits", "name", "category", "sentAt", "messageId", "event")
        )
        assert len(one.found) <= 100
