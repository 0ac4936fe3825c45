from __future__ import annotations

from typing import Any

import pytest

from models.errors import InvalidEvent
from models.wire import MAX_RECORD_BYTES, convert, decode
from models.wire.fields import MAX_MONEY, MAX_QUANTITY, MIN_TIME_MS, shown
from tests.support.wire_records import NOW, RECEIVED, native, refused, track


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        ([], "not_an_object", ""),
        (None, "not_an_object", ""),
        ({}, "missing_user", "user"),
        ({"type": "click", "item": "a"}, "missing_user", "user"),
        ({"type": "track", "event": "x"}, "missing_user", "userId"),
        ({"type": "click", "user": 5}, "wrong_type", "user"),
        ({"type": "click", "user": ""}, "empty", "user"),
        ({"type": "click", "user": "\0clock"}, "control_character", "user"),
        ({"type": "click", "user": "a\nb"}, "control_character", "user"),
        ({"type": "click", "user": "x" * 201}, "too_long", "user"),
        ({"type": "page", "anonymousId": "a\x7f"}, "control_character", "anonymousId"),
        ({"type": "page", "userId": True}, "wrong_type", "userId"),
        ({"type": "page", "userId": True, "anonymousId": "x"}, "wrong_type", "userId"),
        ({"type": "page", "userId": 1.5}, "wrong_type", "userId"),
        ({"type": "page", "userId": 1e300}, "wrong_type", "userId"),
        ({"type": "page", "userId": " "}, "missing_user", "userId"),
        ({"type": "page", "userId": "", "anonymousId": ""}, "missing_user", "userId"),
        ({"type": "click", "user": "u1", "userId": "u1"}, "ambiguous", "user"),
        ({"user": "u1"}, "missing_field", "type"),
        ({"userId": "u1"}, "missing_field", "type"),
        ({"userId": "u1", "type": "click"}, "bad_type", "type"),
        (native("track"), "bad_type", "type"),
        (native("message_opened"), "reserved_type", "type"),
        ({"type": ["click"], "user": "u1"}, "wrong_type", "type"),
        (native("click", itme="sku1"), "unknown_field", "itme"),
        (native("click", amount=5), "unknown_field", "amount"),
        (native("click", traits={}), "unknown_field", "traits"),
        (native("product_view"), "missing_field", "item"),
        (native("custom"), "missing_field", "name"),
        ({"type": "track", "userId": "u1"}, "missing_field", "event"),
        (native("purchase"), "missing_field", "amount"),
        (track("Order Completed"), "missing_field", "properties.total"),
        (native("purchase", item="a", lines=[{"item": "b"}]), "ambiguous", "item"),
        (native("purchase", amount=5, price=5), "unknown_field", "price"),
        (native("purchase", lines={}), "wrong_type", "lines"),
        (native("purchase", lines=[{"item": "a"}, 5]), "wrong_type", "lines[1]"),
        (native("purchase", lines=[{"price": 5}]), "missing_field", "lines[0].item"),
        (native("purchase", lines=[{"item": "a", "price": -1}]), "bad_money", "lines[0].price"),
        (native("purchase", lines=[{"item": "a"}] * 501), "too_long", "lines"),
        (native("purchase", lines=[{"item": "a", "quantity": MAX_QUANTITY, "price": 1e10}]), "bad_money", "lines"),
        (native("purchase", amount=-0.01), "bad_money", "amount"),
        (native("purchase", amount="free"), "bad_money", "amount"),
        (native("purchase", amount="2,55"), "bad_money", "amount"),
        (native("purchase", amount=1e300), "bad_money", "amount"),
        (native("purchase", amount=MAX_MONEY), "bad_money", "amount"),
        (native("purchase", amount=True), "wrong_type", "amount"),
        (native("purchase", amount=" 5"), "bad_money", "amount"),
        (native("purchase", order=42, amount=5), "wrong_type", "order"),
        (native("purchase", amount=5, currency="EURO"), "bad_currency", "currency"),
        (native("purchase", amount=5, currency="EUU"), "bad_currency", "currency"),
        (native("purchase", amount=5, order="o1", order_form="all"), "bad_order_form", "order_form"),
        (native("purchase", amount=5, order_form="whole"), "missing_field", "order"),
        (native("refund", amount=5, order="o1", order_form="whole"), "unknown_field", "order_form"),
        (native("cart_add", item="a", quantity=-1), "out_of_range", "quantity"),
        (native("cart_add", item="a", quantity="2"), "wrong_type", "quantity"),
        (native("rating"), "missing_field", "rating"),
        (native("rating", rating=6), "out_of_range", "rating"),
        (native("rating", rating="5"), "wrong_type", "rating"),
        (native("support_message"), "missing_field", "text"),
        (native("support_message", text=""), "empty", "text"),
        (native("support_message", text="x" * 10_001), "too_long", "text"),
        (native("support_message", text="a\0b"), "control_character", "text"),
        (native("consent", channel="email"), "missing_field", "granted"),
        (native("consent", channel="email", granted="yes"), "wrong_type", "granted"),
        (native("consent", granted=True), "missing_field", "channel"),
        (native("consent", channel="pigeon", granted=True), "bad_channel", "channel"),
        (native("identify", traits={"phone": 123}), "wrong_type", "traits.phone"),
        (native("click", origin="production"), "bad_origin", "origin"),
        (native("click", id=5), "wrong_type", "id"),
        ({"type": "group", "userId": "u1"}, "missing_field", "groupId"),
        ({"type": "alias", "userId": "u1"}, "missing_field", "previousId"),
        ({"type": "group", "userId": "u1", "groupId": " "}, "missing_field", "groupId"),
        ({"type": "group", "userId": "u1", "groupId": []}, "wrong_type", "groupId"),
        ({"type": "track", "userId": "u1", "event": " "}, "missing_field", "event"),
        ({"type": "track", "userId": "u1", "event": 5}, "wrong_type", "event"),
        ({"type": "page", "userId": "u1", "originalTimestamp": "2026-05-01"}, "bad_time", "originalTimestamp"),
        ({"type": "page", "userId": "u1", "originalTimestamp": 5}, "bad_time", "originalTimestamp"),
        (native("click", at=True), "wrong_type", "at"),
        (native("click", at=1.5), "wrong_type", "at"),
        (native("click", at="yesterday"), "bad_time", "at"),
        (native("click", at="1777636800250"), "bad_time", "at"),
        (native("click", at="2026-02-30T00:00:00Z"), "bad_time", "at"),
        (native("click", at="9999-12-31T23:59:59Z"), "time_in_future", "at"),
        (native("click", at=253_402_300_799_000), "time_in_future", "at"),
        (native("click", at=NOW + 86_400_001), "time_in_future", "at"),
        (native("click", at=MIN_TIME_MS - 1), "bad_time" if MIN_TIME_MS < 10**11 else "time_too_early", "at"),
        (native("click", at=-1), "time_too_early", "at"),
        (native("click", at=0), "time_too_early", "at"),
        (native("click", timestamp="1999-12-31T00:00:00Z", at=None), "time_too_early", "timestamp"),
        ({"type": "page", "userId": "u1", "timestamp": "2026-05-01T12:00:00"}, "bad_time", "timestamp"),
        (native("click", properties={"a": [[[[[[[[[]]]]]]]]]}), "too_deep", "properties"),
        (native("click", properties={str(i): "x" * 1000 for i in range(40)}), "too_large", "properties"),
        ({"type": "identify", "userId": "u1", "traits": {"bio": "x" * 40_000}}, "too_large", "traits"),
        (native("click", properties={"a": "x" * MAX_RECORD_BYTES}), "too_large", ""),
    ],
)
def test_bad_input_is_refused_with_its_reason_and_its_field(raw: Any, reason: str, field: str) -> None:
    error = refused(raw)

    assert (error.reason, error.field) == (reason, field)
    assert error.allowed
    assert len(error.found) <= 80


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\x00\xff\xfe", "bad_json"),
        (b"{", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'{"user":"u1"} {}', "bad_json"),
        (b'{"user":"\\ud800","type":"click"}', "bad_json"),
        (b'{"user":"u1","type":"purchase","amount":NaN}', "bad_json"),
        (b"x" * 5_000_000, "too_large"),
    ],
)
def test_garbage_is_refused_with_its_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode(value, RECEIVED)

    assert caught.value.reason == reason
    assert not caught.value.found.startswith("b'")


def test_seconds_are_refused_with_a_hint() -> None:
    assert "1777636800000" in refused(native("click", at=1_777_636_800)).allowed


def test_a_time_without_a_zone_is_refused_with_a_hint() -> None:
    assert "2026-05-01T12:00:00Z" in refused(native("click", at="2026-05-01T12:00:00")).allowed


def test_a_misspelt_field_is_refused_with_a_hint() -> None:
    assert "did you mean item?" in refused(native("click", itme="sku1")).allowed


def test_a_price_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="price"):
        convert(native("click", price=float("nan")), RECEIVED)


@pytest.mark.parametrize(("value", "found"), [(True, "true"), (False, "false"), (None, "null"), (5, "5"), ("x", "'x'")])
def test_a_value_is_quoted_in_the_spelling_of_json(value: object, found: str) -> None:
    assert shown(value) == found
