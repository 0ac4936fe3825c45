from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InvalidEvent
from models.events import MICROS, Channel, Event, EventType, OrderLine, Origin, decode_event, encode_event
from models.source import Source
from models.wire import RECORD_BYTES, convert, decode, encode
from models.wire.fields import EARLIEST, MONEY, QUANTITY

NOW = 1_777_636_800_250
WHEN = "2026-05-01T12:00:00.250Z"
SOURCE = Source("events.in", 3, 41)
# how long an example takes says more about what else the machine does than about the code
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(raw: Any, origin: Origin = "live") -> Event:
    return decode(orjson.dumps(raw), source=SOURCE, received_at=NOW, origin=origin)


def refused(raw: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        read(raw)
    return caught.value


def track(event: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": event,
        "userId": "u1",
        "messageId": "m1",
        "timestamp": WHEN,
        "properties": properties,
    }


def native(kind: str, **said: Any) -> dict[str, Any]:
    return {"type": kind, "user": "u1", "id": "m1", "at": NOW} | said


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
        native("purchase", order="o1", lines=[{"item": "a", "quantity": 2, "price": 2.55}], currency="GBP"),
        track(
            "Order Completed",
            order_id="o1",
            products=[{"product_id": "a", "quantity": 2, "price": 2.55}],
            currency="gbp",
        ),
    ),
    (native("purchase", order="o1", amount=7), track("Order Completed", order_id="o1", revenue=7)),
    (native("refund", order="o1", amount=3.39), track("Order Refunded", order_id="o1", total=3.39)),
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
        assert convert(raw, source=SOURCE, received_at=NOW) == read(raw)


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


def test_the_stated_total_of_an_order_wins_over_its_lines() -> None:
    event = read(track("Order Completed", total=9, revenue=8, products=[{"product_id": "a", "price": 8}]))

    assert event.amount == 9 * MICROS
    assert event.properties == {"revenue": 8}


def test_an_anonymous_user_is_told_from_an_identified_one() -> None:
    event = read({"type": "page", "anonymousId": "x-1", "timestamp": WHEN})

    assert (event.user, event.identified) == ("anonymous:x-1", False)


def test_a_user_id_wins_over_an_anonymous_id() -> None:
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


def test_a_wrong_clock_is_corrected_by_when_the_record_was_sent() -> None:
    ahead = {"type": "page", "userId": "u1", "timestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"}

    assert read(ahead).at == NOW - 10_000


def test_a_replay_keeps_the_time_that_the_record_says() -> None:
    early = {"type": "page", "userId": "u1", "timestamp": "2024-01-01T00:00:00Z", "sentAt": "2024-01-01T00:00:10Z"}

    assert read(early, origin="replay").at == 1_704_067_200_000


@pytest.mark.parametrize(
    ("claimed", "given", "origin"),
    [("replay", "live", "replay"), ("live", "replay", "replay"), ("test", "simulate", "test"), (None, "test", "test")],
)
def test_an_event_can_only_claim_to_be_less_live_than_its_door(claimed: Origin, given: Origin, origin: Origin) -> None:
    assert read(native("click", origin=claimed), origin=given).origin == origin


def test_an_empty_trait_says_nothing_and_null_forgets() -> None:
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


def test_the_callers_mapping_stays_as_it_was() -> None:
    raw = track("Product Viewed", product_id="sku1", price=1)
    before = orjson.dumps(raw)

    convert(raw, source=SOURCE, received_at=NOW)

    assert orjson.dumps(raw) == before


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
        (track("Product Added"), "missing_field", "properties.product_id"),
        (track("Product Viewed", product_id=7), "wrong_type", "properties.product_id"),
        (native("custom"), "missing_field", "name"),
        ({"type": "track", "userId": "u1"}, "missing_field", "event"),
        ({"type": "track", "userId": "u1", "event": "e", "properties": []}, "wrong_type", "properties"),
        (native("purchase"), "missing_field", "amount"),
        (track("Order Completed"), "missing_field", "properties.total"),
        (native("purchase", item="a", lines=[{"item": "b"}]), "ambiguous", "item"),
        (native("purchase", amount=5, price=5), "unknown_field", "price"),
        (native("purchase", lines={}), "wrong_type", "lines"),
        (native("purchase", lines=[{"item": "a"}, 5]), "wrong_type", "lines[1]"),
        (native("purchase", lines=[{"price": 5}]), "missing_field", "lines[0].item"),
        (native("purchase", lines=[{"item": "a", "price": -1}]), "bad_money", "lines[0].price"),
        (native("purchase", lines=[{"item": "a"}] * 501), "too_long", "lines"),
        (
            track("Order Completed", products=[{"sku": "a", "quantity": 1.5}]),
            "wrong_type",
            "properties.products[0].quantity",
        ),
        (native("purchase", lines=[{"item": "a", "quantity": QUANTITY, "price": 1e10}]), "bad_money", "lines"),
        (native("purchase", amount=-0.01), "bad_money", "amount"),
        (native("purchase", amount="free"), "bad_money", "amount"),
        (native("purchase", amount="2,55"), "bad_money", "amount"),
        (native("purchase", amount=1e300), "bad_money", "amount"),
        (native("purchase", amount=MONEY), "bad_money", "amount"),
        (native("purchase", amount=True), "wrong_type", "amount"),
        (native("purchase", amount=5, currency="EURO"), "bad_currency", "currency"),
        (native("cart_add", item="a", quantity=-1), "out_of_range", "quantity"),
        (native("cart_add", item="a", quantity="2"), "wrong_type", "quantity"),
        (native("rating"), "missing_field", "rating"),
        (native("rating", rating=6), "out_of_range", "rating"),
        (native("rating", rating="5"), "wrong_type", "rating"),
        (track("Product Reviewed", product_id="a"), "missing_field", "properties.rating"),
        (native("support_message"), "missing_field", "text"),
        (native("support_message", text=""), "empty", "text"),
        (native("support_message", text="x" * 10_001), "too_long", "text"),
        (native("support_message", text="a\0b"), "control_character", "text"),
        (native("consent", channel="email"), "missing_field", "granted"),
        (native("consent", channel="email", granted="yes"), "wrong_type", "granted"),
        (native("consent", granted=True), "missing_field", "channel"),
        (native("consent", channel="pigeon", granted=True), "bad_channel", "channel"),
        (native("identify", traits={"consent": {"email": True}}), "consent_in_traits", "traits.consent"),
        (native("identify", traits={"email": "nobody"}), "bad_email", "traits.email"),
        (native("identify", traits={"email": "a@b.c\r\nBcc: x@y.z"}), "control_character", "traits.email"),
        (native("identify", traits={"phone": 123}), "wrong_type", "traits.phone"),
        (native("click", origin="production"), "bad_origin", "origin"),
        (native("click", id=5), "wrong_type", "id"),
        ({"type": "group", "userId": "u1"}, "missing_field", "groupId"),
        ({"type": "alias", "userId": "u1"}, "missing_field", "previousId"),
        (native("click", at=True), "wrong_type", "at"),
        (native("click", at=1.5), "wrong_type", "at"),
        (native("click", at="yesterday"), "bad_time", "at"),
        (native("click", at="1777636800250"), "bad_time", "at"),
        (native("click", at="2026-02-30T00:00:00Z"), "bad_time", "at"),
        (native("click", at="9999-12-31T23:59:59Z"), "time_in_future", "at"),
        (native("click", at=253_402_300_799_000), "time_in_future", "at"),
        (native("click", at=NOW + 86_400_001), "time_in_future", "at"),
        (native("click", at=EARLIEST - 1), "bad_time" if EARLIEST < 10**11 else "time_too_early", "at"),
        (native("click", at=-1), "time_too_early", "at"),
        (native("click", at=0), "time_too_early", "at"),
        (native("click", timestamp="1999-12-31T00:00:00Z", at=None), "time_too_early", "timestamp"),
        ({"type": "page", "userId": "u1", "timestamp": "2026-05-01T12:00:00"}, "bad_time", "timestamp"),
        ({"type": "page", "userId": "u1", "timestamp": WHEN, "sentAt": "now"}, "bad_time", "sentAt"),
        (native("click", properties={"a": [[[[[[[[[]]]]]]]]]}), "too_deep", "properties"),
        (native("click", properties={str(i): "x" * 1000 for i in range(40)}), "too_large", "properties"),
        ({"type": "identify", "userId": "u1", "traits": {"bio": "x" * 40_000}}, "too_large", "traits"),
        (native("click", properties={"a": "x" * RECORD_BYTES}), "too_large", ""),
    ],
)
def test_bad_input_names_its_reason_and_its_field(raw: Any, reason: str, field: str) -> None:
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
        decode(value, source=SOURCE, received_at=NOW)

    assert caught.value.reason == reason


def test_seconds_are_refused_with_a_hint() -> None:
    assert "1777636800000" in refused(native("click", at=1_777_636_800)).allowed


def test_a_time_without_a_zone_is_refused_with_a_hint() -> None:
    assert "2026-05-01T12:00:00Z" in refused(native("click", at="2026-05-01T12:00:00")).allowed


def test_a_misspelt_field_is_refused_with_a_hint() -> None:
    assert "did you mean item?" in refused(native("click", itme="sku1")).allowed


def test_not_a_number_is_no_price_however_it_came_in() -> None:
    with pytest.raises(InvalidEvent, match="price"):
        convert(native("click", price=float("nan")), source=SOURCE, received_at=NOW)


@patient
@given(st.binary(max_size=300))
def test_any_bytes_become_an_event_or_a_refusal(value: bytes) -> None:
    check(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
LIKELY = st.sampled_from(
    [
        *(
            "u1",
            "click",
            "track",
            "Order Completed",
            "Product Viewed",
            "Consent Given",
            "purchase",
            "consent",
            "identify",
        ),
        *("rating", "custom", "email", "EUR", WHEN, NOW, 5, 2.55, "2.55", True, [], {}),
        [{"item": "a", "product_id": "a", "price": 1}],
    ]
)
FIELDS = [
    "type",
    "user",
    "userId",
    "anonymousId",
    "event",
    "properties",
    "traits",
    "at",
    "timestamp",
    "sentAt",
    "id",
    "messageId",
    "item",
    "price",
    "quantity",
    "lines",
    "amount",
    "currency",
    "order",
    "rating",
    "text",
    "channel",
    "granted",
    "reason",
    "name",
    "category",
    "origin",
    "groupId",
    "previousId",
]
PROPERTIES = [
    "product_id",
    "sku",
    "price",
    "quantity",
    "category",
    "currency",
    "products",
    "total",
    "revenue",
    "order_id",
    "rating",
    "channel",
    "text",
    "review_body",
    "source",
    "email",
    "phone",
    "consent",
]
INNER = st.dictionaries(st.sampled_from(PROPERTIES), LIKELY | JSON, max_size=6)
RECORDS = st.dictionaries(st.sampled_from(FIELDS), LIKELY | JSON | INNER, max_size=9)
USERS = st.sampled_from([{"user": "u1"}, {"userId": "u1"}, {"anonymousId": "x"}, {}])
KINDS = st.sampled_from(
    [
        {"type": kind, "event": name}
        for kind in ("track", "purchase", "consent", "click", "page", "identify", "rating")
        for name in ("Order Completed", "Product Reviewed", "Consent Given", "Own")
    ]
)


@patient
@given(RECORDS, USERS, KINDS)
def test_any_mapping_becomes_an_event_or_a_refusal(
    record: dict[str, Any], user: dict[str, Any], kind: dict[str, Any]
) -> None:
    raw = record | kind | user if "user" not in user else {**record, **user, "type": kind["type"]}
    try:
        event = convert(raw, source=SOURCE, received_at=NOW)
    except InvalidEvent as error:
        encode_event_is_possible(error)
    else:
        assert decode_event(encode_event(event)) == event


def encode_event_is_possible(error: InvalidEvent) -> None:
    """A refusal can be quoted in JSON: no lone surrogates, no megabytes."""
    orjson.dumps([error.reason, error.field, error.found, error.allowed, str(error)])
    assert len(str(error)) < 2_000


def check(value: bytes) -> None:
    try:
        event = decode(value, source=SOURCE, received_at=NOW)
    except InvalidEvent as error:
        encode_event_is_possible(error)
    else:
        assert decode_event(encode_event(event)) == event


@patient
@given(st.integers(0, MONEY))
def test_every_amount_reads_back_to_the_micro(amount: int) -> None:
    event = Event(id="m", user="u", type="purchase", at=NOW, amount=amount)

    assert decode(encode(event), source=SOURCE, received_at=NOW) == event


@patient
@given(st.integers(0, 10**11 - 1), st.integers(0, 6))
def test_a_written_price_is_read_exactly(digits: int, places: int) -> None:
    written = f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else str(digits)
    expected = digits * 10 ** (6 - places)

    for value in (f'"{written}"', written):
        raw = b'{"type":"purchase","user":"u","amount":%s}' % value.encode()
        if expected <= MONEY:
            assert decode(raw, source=SOURCE, received_at=NOW).amount == expected


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=200)
FREE = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=10),
    st.text(st.characters(codec="utf-8"), max_size=20) | st.integers(-(2**63), 2**64 - 1) | st.booleans() | st.none(),
    min_size=1,
    max_size=5,
).filter(lambda free: "consent" not in free and "email" not in free)
ORDER_LINES = st.lists(
    st.builds(
        OrderLine, item=NAMES, quantity=st.integers(0, 1000), price=st.integers(0, 10**12), category=st.none() | NAMES
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    common: dict[str, Any] = {
        "id": draw(NAMES),
        "user": draw(NAMES),
        "at": draw(st.integers(EARLIEST, NOW + 86_400_000)),
        "origin": draw(st.sampled_from(["live", "replay", "simulate", "test"])),
        "properties": draw(st.none() | FREE),
    }
    kind: EventType = draw(
        st.sampled_from(["click", "cart_add", "purchase", "refund", "rating", "consent", "custom", "identify"])
    )
    if kind in ("click", "cart_add"):
        common |= {"item": draw(NAMES), "quantity": draw(st.integers(0, 9)), "amount": draw(st.integers(0, MONEY))}
    elif kind in ("purchase", "refund"):
        common |= {"lines": tuple(draw(ORDER_LINES)), "amount": draw(st.integers(0, MONEY)), "currency": "GBP"}
    elif kind == "rating":
        common |= {"rating": draw(st.floats(1, 5)), "text": draw(st.none() | NAMES)}
    elif kind == "consent":
        channel: Channel | None = draw(st.sampled_from(["email", "sms", None]))
        common |= {"channel": channel, "granted": draw(st.booleans()), "reason": draw(st.none() | NAMES)}
    elif kind == "custom":
        common |= {"name": draw(NAMES), "item": draw(st.none() | NAMES)}
    else:
        common |= {"traits": {"firstName": draw(NAMES), "age": draw(st.integers(0, 99))}}
    return Event(type=kind, **common)


@patient
@given(events())
def test_an_event_written_in_the_short_form_reads_back_as_itself(event: Event) -> None:
    assert decode(encode(event), source=SOURCE, received_at=NOW) == event


def test_what_only_we_report_has_no_form_on_the_wire() -> None:
    with pytest.raises(ValueError, match="message_opened"):
        encode(Event(id="m", user="u", type="message_opened", at=NOW))


@pytest.mark.parametrize("field", ["user", "userId", "type", "timestamp", "messageId", "properties", "sentAt"])
@pytest.mark.parametrize("levels", [300, 1_020])
def test_what_nests_deeper_than_anything_of_ours_is_refused_wherever_it_stands(field: str, levels: int) -> None:
    fields = {"userId": b'"u"', "type": b'"page"', "timestamp": b"1777636800250"}
    fields[field] = b"[" * levels + b"]" * levels
    value = b"{%s}" % b",".join(b'"%s":%s' % (name.encode(), said) for name, said in fields.items())

    with pytest.raises(InvalidEvent):
        decode(value, source=SOURCE, received_at=NOW)
