"""The Segment form: what libraries really send, and that one bad detail does not lose an event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from babel.numbers import list_currencies
from hypothesis import given
from hypothesis import strategies as st

from models.errors import EventWarning, InvalidEvent
from models.events import MICROS, Event, OrderLine
from models.wire import convert, decode
from models.wire.currencies import CURRENCIES
from models.wire.products import MAX_WARNINGS, read_products
from tests.support.wire_records import NOW, RECEIVED, SOURCE, WHEN, read, refused, track, warned
from tests.unit.models.wire.test_any_input import JSON, LIKELY, patient


def page(**said: Any) -> dict[str, Any]:
    return {"type": "page", "messageId": "m1", "timestamp": WHEN} | said


def order(**properties: Any) -> dict[str, Any]:
    lines = [{"product_id": "a", "quantity": 2, "price": 10}, {"product_id": "b", "price": 5}]
    return track("Order Completed", **{"order_id": "o1", "products": lines} | properties)


# --- ids


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
def test_what_is_no_id_is_none(written: object) -> None:
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
def test_blank_details_count_as_absent_without_a_word(blank: object) -> None:
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


# --- numbers


def test_text_of_digits_is_a_number() -> None:
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
def test_money_of_a_currency_that_does_not_exist_is_not_taken_for_dollars(currency: object) -> None:
    event, warnings = warned(order(currency=currency))

    assert (event.type, event.amount, event.currency) == ("purchase", 25 * MICROS, "XXX")
    assert [(one.reason, one.field) for one in warnings] == [("bad_currency", "properties.currency")]
    assert event.properties == {"currency": currency}


def test_every_currency_that_exists_or_existed_is_known() -> None:
    assert set(list_currencies()) <= CURRENCIES
    assert read(order(currency=" eur ")).currency == "EUR"


# --- orders


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


def test_a_category_that_was_viewed_stays_custom() -> None:
    assert read(track("Viewed Product Category", category="Games")).type == "custom"


@pytest.mark.parametrize("products", [None, [], {}, "", "lamp", 5, [5], [None]])
def test_an_order_with_a_total_needs_no_products(products: object) -> None:
    event, warnings = warned(order(products=products, total=25))

    assert (event.type, event.amount, event.lines) == ("purchase", 25 * MICROS, ())
    assert bool(warnings) == bool(products)
    if warnings:
        assert event.properties == {"products": products}


def test_one_product_may_stand_without_a_list() -> None:
    assert read(order(products={"product_id": 7, "price": 5})).lines == (OrderLine("7", 1, 5_000_000),)


def test_a_product_without_an_item_is_no_line_but_its_money_counts() -> None:
    named = {"name": "Lamp", "price": 5, "quantity": 2}

    event, warnings = warned(order(products=[{"product_id": "a", "price": 1}, named]))

    assert (event.lines, event.amount) == ((OrderLine("a", 1, 1_000_000),), 11 * MICROS)
    assert event.properties == {"products": [named]}
    assert [(one.reason, one.field) for one in warnings] == [("missing_field", "properties.products[1].product_id")]
    assert warned(order(products=[{"name": "Lamp"}], total=7))[0].amount == 7 * MICROS


def test_a_part_of_a_piece_counts_with_its_money() -> None:
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


@patient
@given(PRODUCTS)
def test_a_product_of_the_usual_form_is_read_like_any_other(product: dict[str, Any]) -> None:
    unusual = {"product_id": None, **product, "id": product.get("product_id")}
    unusual.pop("product_id")
    warnings: list[EventWarning] = []
    others: list[EventWarning] = []

    usual, other = read_products([product], warnings), read_products([unusual], others)

    assert (usual.lines, usual.worth) == (other.lines, other.worth)
    assert [one.reason for one in warnings] == [one.reason for one in others]


def test_what_came_back_is_no_line_of_an_order() -> None:
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


def test_an_unreadable_total_gives_way_to_the_next_amount_that_can_be_read() -> None:
    assert read(order(total="$25", revenue=24)).amount == 24 * MICROS
    event, warnings = warned(order(total="$25"))
    assert (event.amount, event.properties) == (25 * MICROS, {"total": "$25"})
    assert [one.field for one in warnings] == ["properties.total"]


def test_a_refund_by_its_order_alone_is_not_one_whose_money_cannot_be_read() -> None:
    event = read(track("Order Refunded", order_id=7, total="", products=[]))
    assert (event.order, event.amount, event.order_form) == ("7", 0, "whole")
    assert refused(track("Order Refunded", order_id=7, total="all")).field == "properties.total"
    assert refused(track("Order Refunded", order_id=7, total=-5)).reason == "bad_money"
    assert refused(track("Order Refunded", order_id=7, products=[{"sku": "a", "price": "x"}])).reason == "bad_money"


def test_an_order_has_500_lines_and_says_when_there_are_more() -> None:
    event, warnings = warned(order(products=[{"product_id": str(n), "price": 1} for n in range(501)]))

    assert (len(event.lines), event.amount) == (500, 501 * MICROS)
    assert [one.reason for one in warnings] == ["too_long"]


def test_five_hundred_products_of_usual_size_are_within_the_limits() -> None:
    product = {"product_id": "x" * 20, "name": "y" * 40, "category": "z" * 20, "price": 9.99, "quantity": 1}

    assert len(read(order(products=[product] * 500)).lines) == 500


def test_an_order_of_many_bad_products_is_answered_with_few_warnings() -> None:
    _, warnings = warned(order(products=[{"name": "Lamp", "price": "?"}] * 300, total=5))

    assert len(warnings) == MAX_WARNINGS


def test_a_coupon_of_any_kind_stays_in_the_properties() -> None:
    event, warnings = warned(order(coupon={"code": "x"}))

    assert (event.properties, warnings) == ({"coupon": {"code": "x"}}, [])


# --- events that lack what their type is about


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
def test_an_event_without_what_it_is_about_stays_custom(name: str, properties: dict[str, Any], field: str) -> None:
    event, warnings = warned(track(name, **properties))

    assert (event.type, event.name, event.properties) == ("custom", name, properties or None)
    assert {one.field for one in warnings} == {field}


@pytest.mark.parametrize("body", [5, [], "x" * 10_001, "a\0b"])
def test_a_review_without_a_readable_text_is_still_a_rating(body: object) -> None:
    event, warnings = warned(track("Product Reviewed", product_id="a", rating=4, review_body=body))

    assert (event.type, event.rating, event.text, event.properties) == ("rating", 4.0, None, {"review_body": body})
    assert len(warnings) == 1


@pytest.mark.parametrize("properties", [[], [1], "x", 5, True])
def test_properties_that_are_no_object_are_left_out(properties: object) -> None:
    for raw in (page(userId="u"), track("Trial Started"), track("Order Completed", total=5)):
        event, warnings = (
            warned(raw | {"properties": properties}) if raw.get("event") != "Order Completed" else (None, [])
        )
        if event is not None:
            assert event.properties is None
            assert [(one.reason, one.field) for one in warnings] == [("wrong_type", "properties")]


def test_a_property_that_nests_too_deep_is_left_out_alone() -> None:
    deep: list[Any] = []
    for _ in range(30):
        deep = [deep]

    event, warnings = warned(order(extra=deep, total=5))

    assert (event.amount, event.properties) == (5 * MICROS, None)
    assert [(one.reason, one.field) for one in warnings] == [("too_deep", "properties.extra")]


def test_a_page_keeps_a_name_that_cannot_be_used() -> None:
    event, warnings = warned(page(userId="u", name=["Home"], category=7))

    assert (event.name, event.category, event.properties) == (None, "7", {"name": ["Home"]})
    assert [one.field for one in warnings] == ["name"]


# --- times


@pytest.mark.parametrize("blank", [None, "", " "])
def test_without_a_timestamp_the_original_one_counts(blank: object) -> None:
    when = {"originalTimestamp": "2026-05-01T10:00:00.000Z", "timestamp": blank}

    assert read(page(userId="u", **when)).at == NOW - 7_200_250
    assert read(page(userId="u", **when), origin="replay").at == NOW - 7_200_250


def test_the_original_time_of_a_wrong_clock_is_corrected() -> None:
    when = {"timestamp": None, "originalTimestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"}

    assert read(page(userId="u", **when)).at == NOW - 10_000


def test_the_timestamp_counts_before_the_original_one() -> None:
    assert read(page(userId="u", originalTimestamp="2026-04-01T00:00:00Z")).at == NOW


def test_blank_times_are_absent() -> None:
    assert read(page(userId="u", timestamp=" ", originalTimestamp="", sentAt="")).at == NOW
    assert read(page(userId="u", sentAt="")).at == NOW


# --- traits


def identify(traits: Any = None, **said: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": "u1", "messageId": "m1", "timestamp": WHEN, "traits": traits} | said


@pytest.mark.parametrize("root", [None, {}, [], "", "none"])
def test_traits_of_the_context_count_where_the_root_has_none(root: Any) -> None:
    event, _ = warned(identify(root, context={"traits": {"email": "a@b.example", "plan": "pro"}}))

    assert event.traits == {"email": "a@b.example", "plan": "pro"}


def test_traits_of_the_root_count_alone() -> None:
    assert read(identify({"plan": "pro"}, context={"traits": {"plan": "old", "age": 5}})).traits == {"plan": "pro"}


@pytest.mark.parametrize("context", [None, [], "x", {}, {"traits": None}, {"traits": []}, {"traits": "x"}])
def test_a_context_of_any_kind_loses_no_identify(context: Any) -> None:
    assert warned(identify(None, context=context))[0].traits == {}


def test_blanks_around_an_address_do_not_count() -> None:
    event, warnings = warned(identify({"email": "\u00a0 Node1@shop.example\u200b ", "phone": " +49 30 901820\t"}))

    assert event.traits == {"email": "Node1@shop.example", "phone": "+49 30 901820"}
    assert warnings == []


@pytest.mark.parametrize(
    "email",
    [
        "not-an-email",
        "a@b@c.example",
        "ada@i\u2764.example",
        "Ada <a@b.example>",
        "a@b.c\r\nBcc: x@y.z",
        5,
        [],
        True,
        "j\u00fc@b.example",
    ],
)
def test_a_bad_address_is_a_dead_letter_and_the_rest_of_the_traits_counts(email: object) -> None:
    event, warnings = warned(identify({"email": email, "plan": "pro"}))

    assert event.traits == {"plan": "pro"}
    assert [(one.field, one.rejected) for one in warnings] == [("traits.email", True)]
    assert "keeps the one that is known" in warnings[0].allowed


def test_a_bad_address_of_the_short_form_does_not_cost_the_rest_either() -> None:
    event, warnings = warned({"type": "identify", "user": "u1", "traits": {"email": "nobody", "plan": "pro"}})

    assert event.traits == {"plan": "pro"}
    assert [(one.reason, one.field, one.rejected) for one in warnings] == [("bad_email", "traits.email", True)]


@pytest.mark.parametrize(
    ("traits", "kept"),
    [
        ({"phone": "call me", "country": "DE"}, False),
        ({"phone": "+49"}, False),
        ({"phone": "+12345"}, False),
        ({"phone": "call me", "address": {"country": "us"}}, False),
        ({"phone": "030 901820"}, True),
        ({"phone": "030 901820", "country": "DE"}, True),
        ({"phone": "030 901820", "country": "Germany"}, True),
        ({"phone": 491511234567}, True),
    ],
)
def test_a_phone_number_is_refused_only_where_it_is_certainly_none(traits: dict[str, Any], kept: bool) -> None:
    event, warnings = warned(identify(traits))

    assert event.traits is not None
    assert ("phone" in event.traits) == kept
    assert [(one.reason, one.rejected) for one in warnings] == ([] if kept else [("bad_phone", True)])


def test_a_trait_of_another_type_is_left_out_alone() -> None:
    event, warnings = warned(identify({"firstName": ["Ada"], "lastName": 5, "name": " ", "plan": "pro"}))

    assert event.traits == {"lastName": "5", "plan": "pro"}
    assert [(one.reason, one.field, one.rejected) for one in warnings] == [("wrong_type", "traits.firstName", False)]


@pytest.mark.parametrize("sent", ["now", "2026-05-01T12:00:00", 12, [], {}, True])
def test_a_time_of_sending_that_is_none_corrects_nothing_and_loses_no_event(sent: object) -> None:
    event, warnings = warned(page(userId="u1", sentAt=sent))

    assert event.at == read(page(userId="u1")).at
    assert [one.field for one in warnings] == ["sentAt"]


def test_line_ends_around_a_trait_do_not_count() -> None:
    event, warnings = warned(identify({"timezone": "Europe/Berlin\n", "firstName": "\tAda\r\n", "lastName": "A\nB"}))

    assert event.traits == {"timezone": "Europe/Berlin", "firstName": "Ada"}
    assert [(one.reason, one.field) for one in warnings] == [("control_character", "traits.lastName")]


# --- anything

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


@patient
@given(one_detail_replaced())
def test_any_one_detail_of_any_kind_loses_no_event_that_stays_true(replaced: tuple[dict[str, Any], str]) -> None:
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


def test_a_record_with_a_byte_order_mark_is_read() -> None:
    assert decode(b'\xef\xbb\xbf{"type":"click","user":"u1"}', RECEIVED).user == "u1"


@pytest.mark.parametrize("written", [{}, [1], 1.5, True, "m" * 201, "a\nb"])
def test_an_id_of_the_message_that_cannot_be_used_loses_no_event(written: object) -> None:
    event, warnings = warned(page(userId="u1", messageId=written))

    assert event.id == SOURCE.id
    assert [one.field for one in warnings] == ["messageId"]


@pytest.mark.parametrize("written", ["o1", " o1", "o1 ", "o1\t"])
def test_blanks_around_the_id_of_an_order_make_no_other_order(written: str) -> None:
    assert read(order(order_id=written)).order == "o1"
