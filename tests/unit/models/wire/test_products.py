"""Orders in the Segment form: their products, their money and their ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import EventWarning
from models.events import MICROS, OrderLine
from models.wire.products import MAX_WARNINGS, read_products
from tests.support.any_json import LIKELY
from tests.support.wire_records import order, read, refused, track, warned


def test_an_order_completed_states_the_whole_order_and_an_update_replaces_it() -> None:
    assert read(order()).order_form == "whole"
    assert read(track("Completed Order", orderId="o1", total=5)).order_form == "whole"
    assert read(track("Order Updated", order_id="o1", total=5)).order_form == "replacement"
    assert read(track("Order Refunded", order_id="o1", total=5)).order_form == "lines"


def test_an_order_without_an_id_cannot_be_recognised_again() -> None:
    assert read(track("Order Completed", total=5)).order_form == "lines"

    event, warnings = warned(track("Order Updated", total=5))

    assert (event.type, event.name, event.properties) == ("custom", "Order Updated", {"total": 5})
    assert [one.field for one in warnings] == ["properties.order_id"]


@pytest.mark.parametrize("products", [None, [], {}, "", "lamp", 5, [5], [None]])
def test_an_order_with_a_total_needs_no_products(products: object) -> None:
    event, warnings = warned(order(products=products, total=25))

    assert (event.type, event.amount, event.lines) == ("purchase", 25 * MICROS, ())
    assert bool(warnings) == bool(products)
    if warnings:
        assert event.properties == {"products": products}


def test_a_single_product_may_be_given_without_a_list() -> None:
    assert read(order(products={"product_id": 7, "price": 5})).lines == (OrderLine("7", 1, 5_000_000),)


def test_a_product_without_an_item_gives_no_line_but_its_money_counts() -> None:
    named = {"name": "Lamp", "price": 5, "quantity": 2}

    event, warnings = warned(order(products=[{"product_id": "a", "price": 1}, named]))

    assert (event.lines, event.amount) == ((OrderLine("a", 1, 1_000_000),), 11 * MICROS)
    assert event.properties == {"products": [named]}
    assert [(one.reason, one.field) for one in warnings] == [("missing_field", "properties.products[1].product_id")]
    assert warned(order(products=[{"name": "Lamp"}], total=7))[0].amount == 7 * MICROS


def test_a_fraction_of_a_piece_counts_with_its_money() -> None:
    cheese = {"product_id": "cheese", "quantity": 1.5, "price": 10.1}

    event, warnings = warned(order(products=[cheese]))

    assert (event.lines, event.amount) == ((OrderLine("cheese", 1, 10_100_000),), 15_150_000)
    assert event.properties == {"products": [cheese]}
    assert [one.field for one in warnings] == ["properties.products[0].quantity"]


PRODUCTS = st.fixed_dictionaries(
    {},
    optional={
        "product_id": st.text(max_size=3) | st.integers() | LIKELY,
        "quantity": st.integers(-1, 5) | st.floats(0, 3) | LIKELY,
        "price": st.floats(-1, 1e7) | st.integers(-1, 100) | LIKELY,
        "category": st.text(max_size=3) | LIKELY,
    },
)


@given(PRODUCTS)
def test_a_product_of_the_usual_form_is_read_like_any_other(product: dict[str, Any]) -> None:
    unusual = {"product_id": None, **product, "id": product.get("product_id")}
    unusual.pop("product_id")
    warnings: list[EventWarning] = []
    others: list[EventWarning] = []

    usual, other = read_products([product], warnings), read_products([unusual], others)

    assert (usual.lines, usual.worth) == (other.lines, other.worth)
    assert [one.reason for one in warnings] == [one.reason for one in others]


def test_a_returned_product_gives_no_line() -> None:
    event, warnings = warned(order(products=[{"product_id": "a", "quantity": -1, "price": 5}], total=0))

    assert (event.lines, event.amount, len(warnings)) == ((), 0, 1)


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"products": [], "total": "$18.99"}, "properties.total"),
        ({"products": [], "total": -5}, "properties.total"),
        ({"products": [{"product_id": "a", "price": "$5"}]}, "properties.products[0].price"),
        ({"products": [{"product_id": "a", "price": 5, "quantity": "two"}]}, "properties.products[0].quantity"),
        ({"products": [{"product_id": "a", "price": 5, "quantity": -2}]}, "properties.products[0].quantity"),
        ({"products": [{"name": "Lamp"}]}, "properties.total"),
        ({"products": "lamp"}, "properties.products"),
        ({"products": []}, "properties.total"),
    ],
)
def test_an_order_whose_money_cannot_be_read_is_refused(properties: dict[str, Any], field: str) -> None:
    assert refused(order(**properties)).field == field


def test_the_next_readable_amount_counts_after_an_unreadable_total() -> None:
    assert read(order(total="$25", revenue=24)).amount == 24 * MICROS
    event, warnings = warned(order(total="$25"))
    assert (event.amount, event.properties) == (25 * MICROS, {"total": "$25"})
    assert [one.field for one in warnings] == ["properties.total"]


def test_a_refund_with_only_an_order_id_is_accepted_and_one_with_unreadable_money_is_refused() -> None:
    event = read(track("Order Refunded", order_id=7, total="", products=[]))
    assert (event.order, event.amount, event.order_form) == ("7", 0, "whole")
    assert refused(track("Order Refunded", order_id=7, total="all")).field == "properties.total"
    assert refused(track("Order Refunded", order_id=7, total=-5)).reason == "bad_money"
    assert refused(track("Order Refunded", order_id=7, products=[{"sku": "a", "price": "x"}])).reason == "bad_money"


def test_an_order_has_at_most_500_lines_and_more_give_a_warning() -> None:
    event, warnings = warned(order(products=[{"product_id": str(n), "price": 1} for n in range(501)]))

    assert (len(event.lines), event.amount) == (500, 501 * MICROS)
    assert [one.reason for one in warnings] == ["too_long"]


def test_five_hundred_products_of_ordinary_size_are_within_the_limits() -> None:
    product = {"product_id": "x" * 20, "name": "y" * 40, "category": "z" * 20, "price": 9.99, "quantity": 1}

    assert len(read(order(products=[product] * 500)).lines) == 500


def test_an_order_with_many_bad_products_gives_few_warnings() -> None:
    _, warnings = warned(order(products=[{"name": "Lamp", "price": "?"}] * 300, total=5))

    assert len(warnings) == MAX_WARNINGS


def test_a_coupon_of_any_kind_stays_in_the_properties() -> None:
    event, warnings = warned(order(coupon={"code": "x"}))

    assert (event.properties, warnings) == ({"coupon": {"code": "x"}}, [])


@pytest.mark.parametrize("written", ["o1", " o1", "o1 ", "o1\t"])
def test_blanks_around_the_id_of_an_order_do_not_count(written: str) -> None:
    assert read(order(order_id=written)).order == "o1"
