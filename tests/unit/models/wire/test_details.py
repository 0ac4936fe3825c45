"""Details of the Segment form: ids, numbers and currencies, as libraries really send them."""

from __future__ import annotations

from typing import Any

import pytest
from babel.numbers import list_currencies

from models.events import MICROS, OrderLine
from models.wire.currencies import CURRENCIES
from tests.support.wire_records import order, page, read, refused, track, warned


@pytest.mark.parametrize(
    ("written", "id_"), [(12345, "12345"), (12345.0, "12345"), (0, "0"), (2**64 - 1, str(2**64 - 1))]
)
def test_whole_numbers_are_ids_with_the_same_digits(written: object, id_: str) -> None:
    assert read(page(userId=written)).user == id_
    assert read(page(anonymousId=written)).user == f"anonymous:{id_}"
    assert read(page(userId="u", messageId=written)).id == id_
    assert read(track("Product Viewed", product_id=written)).item == id_
    assert read(track("Product Added", sku=written)).item == id_
    assert read(track("Order Completed", order_id=written, total=5)).order == id_
    assert read(order(products=[{"product_id": written, "price": 1}])).lines[0].item == id_
    assert read({"type": "group", "userId": "u", "groupId": written}).properties == {"groupId": id_}
    assert read({"type": "alias", "userId": "u", "previousId": written}).properties == {"previousId": id_}
    assert read({"type": "identify", "userId": "u", "traits": {"phone": written}}).traits == {"phone": id_}


@pytest.mark.parametrize("written", [1.5, True, False, 1e16, [], {"id": 1}, "a\nb", "x" * 201])
def test_an_unusable_user_id_is_refused_and_an_unusable_order_id_is_left_out(written: object) -> None:
    assert refused(page(userId=written)).field == "userId"

    event, warnings = warned(order(order_id=written))

    assert (event.order, event.order_form, event.amount) == (None, "lines", 25 * MICROS)
    assert [one.field for one in warnings] == ["properties.order_id"]
    assert event.properties == {"order_id": written}


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0", None])
def test_a_blank_user_id_beside_an_anonymous_id_counts_as_absent(blank: object) -> None:
    assert read(page(userId=blank, anonymousId="x-1")).user == "anonymous:x-1"
    assert read(page(userId="u1", anonymousId=blank)).user == "u1"


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_blank_details_count_as_absent_without_a_warning(blank: object) -> None:
    event, warnings = warned(
        track("Product Added", product_id="a", sku=blank, price=blank, quantity=blank, category=blank, currency=blank)
    )

    assert (event.item, event.amount, event.quantity, event.category, event.currency) == ("a", 0, 1, None, "USD")
    assert warnings == []
    assert read(page(userId="u1", messageId=blank)).id == "events.in/3/41"
    assert read(order(total=blank)).amount == 25 * MICROS
    assert read(order(order_id=blank)).order is None


@pytest.mark.parametrize(
    ("names", "item"),
    [
        ({"product_id": "p", "id": "i", "sku": "s"}, "p"),
        ({"productId": "p", "sku": "s"}, "p"),
        ({"id": "i", "sku": "s"}, "i"),
        ({"sku": "s"}, "s"),
        ({"product_id": "", "sku": "s"}, "s"),
        ({"product_id": None, "id": 7}, "7"),
        ({"product_id": {}, "sku": "s"}, "s"),
    ],
)
def test_an_item_is_named_by_its_product_id_then_by_the_older_names(names: dict[str, Any], item: str) -> None:
    assert read(track("Product Viewed", **names)).item == item
    assert read(order(products=[{**names, "price": 1}])).lines[0].item == item


def test_a_text_of_digits_is_a_number() -> None:
    added = read(track("Product Added", product_id="a", quantity="5", price="4.50"))
    assert (added.quantity, added.amount) == (5, 4_500_000)

    assert read(track("Product Reviewed", product_id="a", rating="5")).rating == 5.0
    assert read(track("Product Reviewed", product_id="a", rating="4.5")).rating == 4.5
    for name in ("total", "revenue", "value"):
        assert read(track("Order Completed", order_id="o", **{name: " 99.80 "})).amount == 99_800_000
    bought = read(order(products=[{"product_id": "a", "quantity": "2", "price": "4.50"}]))
    assert (bought.lines, bought.amount) == ((OrderLine("a", 2, 4_500_000),), 9 * MICROS)


@pytest.mark.parametrize("price", ["$18.99", "1,234.50", "-1", "1e2", "free", -1, True, [], {"amount": 5}, 1e30])
def test_an_unusable_price_is_left_out_and_kept_in_the_properties(price: object) -> None:
    event, warnings = warned(track("Product Viewed", product_id="a", price=price))

    assert (event.type, event.item, event.amount, event.properties) == ("product_view", "a", 0, {"price": price})
    assert [one.field for one in warnings] == ["properties.price"]


@pytest.mark.parametrize("quantity", [1.5, -1, "two", "1.5", True, [], 10**9])
def test_an_unusable_quantity_is_left_out_and_kept_in_the_properties(quantity: object) -> None:
    event, warnings = warned(track("Product Added", product_id="a", quantity=quantity))

    assert (event.type, event.quantity, event.properties) == ("cart_add", 1, {"quantity": quantity})
    assert [one.field for one in warnings] == ["properties.quantity"]


@pytest.mark.parametrize("category", [["x", "y"], {}, True, "a\0b", 1.5])
def test_an_unusable_category_is_left_out_and_kept_in_the_properties(category: object) -> None:
    event, warnings = warned(track("Product Viewed", product_id="a", category=category))

    assert (event.category, event.properties) == (None, {"category": category})
    assert [one.field for one in warnings] == ["properties.category"]
    assert warned(page(userId="u", category=category))[0].category is None


@pytest.mark.parametrize("currency", ["EURO", "ZZZ", "€", 978, [], "EÜR"])
def test_an_amount_in_an_unknown_currency_does_not_count_as_dollars(currency: object) -> None:
    event, warnings = warned(order(currency=currency))

    assert (event.type, event.amount, event.currency) == ("purchase", 25 * MICROS, "XXX")
    assert [(one.reason, one.field) for one in warnings] == [("bad_currency", "properties.currency")]
    assert event.properties == {"currency": currency}


def test_every_currency_that_exists_or_existed_is_known() -> None:
    assert set(list_currencies()) <= CURRENCIES
    assert read(order(currency=" eur ")).currency == "EUR"
