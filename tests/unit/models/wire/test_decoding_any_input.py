"""Properties of every record: it becomes an event that can be read back, or a refusal that can be quoted in JSON."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidEvent
from models.events import Channel, Event, EventType, OrderLine, decode_event, encode_event
from models.units import DAY
from models.wire import TYPES, convert, decode, encode, withdrawals
from models.wire.fields import MAX_MONEY, MAX_OBJECT_BYTES, MIN_TIME_MS
from tests.support.any_json import JSON, LIKELY
from tests.support.wire_records import NOW, RECEIVED


@given(st.binary(max_size=300))
def test_any_bytes_become_an_event_or_a_refusal(value: bytes) -> None:
    check_record(value)


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


@given(RECORDS, USERS, KINDS)
def test_any_mapping_becomes_an_event_or_a_refusal(
    record: dict[str, Any], user: dict[str, Any], kind: dict[str, Any]
) -> None:
    raw = record | kind | user if "user" not in user else {**record, **user, "type": kind["type"]}
    try:
        event = convert(raw, RECEIVED)
    except InvalidEvent as error:
        check_refusal(error)
    else:
        assert decode_event(encode_event(event)) == event


def check_refusal(error: InvalidEvent) -> None:
    """Check that a refusal can be quoted in JSON: it has no lone surrogates, and is short."""
    orjson.dumps([error.reason, error.field, error.found, error.allowed, str(error)])
    assert len(str(error)) < 2_000


def check_record(value: bytes) -> None:
    try:
        event = decode(value, RECEIVED)
    except InvalidEvent as error:
        check_refusal(error)
    else:
        assert decode_event(encode_event(event)) == event


@given(st.integers(0, MAX_MONEY))
def test_every_amount_reads_back_to_the_micro(amount: int) -> None:
    event = Event(id="m", user="u", type="purchase", at=NOW, amount=amount)

    assert decode(encode(event), RECEIVED) == event


@given(st.integers(0, 10**11 - 1), st.integers(0, 6))
def test_a_written_price_is_read_exactly(digits: int, places: int) -> None:
    written = f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else str(digits)
    expected = digits * 10 ** (6 - places)

    for value in (f'"{written}"', written):
        raw = b'{"type":"purchase","user":"u","amount":%s}' % value.encode()
        if expected <= MAX_MONEY:
            assert decode(raw, RECEIVED).amount == expected


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=200)
FREE = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=10),
    st.text(st.characters(codec="utf-8"), max_size=20) | st.integers(-(2**63), 2**64 - 1) | st.booleans() | st.none(),
    min_size=1,
    max_size=5,
).filter(lambda free: "email" not in free)
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
        "at": draw(st.integers(MIN_TIME_MS, NOW + DAY)),
        "origin": draw(st.sampled_from(["live", "replay", "simulate", "test"])),
        "properties": draw(st.none() | FREE),
    }
    kind: EventType = draw(
        st.sampled_from(["click", "cart_add", "purchase", "refund", "rating", "consent", "custom", "identify"])
    )
    if kind in ("click", "cart_add"):
        common |= {"item": draw(NAMES), "quantity": draw(st.integers(0, 9)), "amount": draw(st.integers(0, MAX_MONEY))}
    elif kind in ("purchase", "refund"):
        common |= {"lines": tuple(draw(ORDER_LINES)), "amount": draw(st.integers(0, MAX_MONEY)), "currency": "GBP"}
        if kind == "purchase":
            common |= {"order": "o1", "order_form": draw(st.sampled_from(["lines", "whole", "replacement"]))}
        elif draw(st.booleans()):
            common |= {"order": "o1", "order_form": "whole", "lines": (), "amount": 0}
    elif kind == "rating":
        common |= {"rating": draw(st.floats(1, 5)), "text": draw(st.none() | NAMES)}
    elif kind == "consent":
        channel: Channel | None = draw(st.sampled_from(["email", "sms", None]))
        common |= {"channel": channel, "granted": draw(st.booleans()), "reason": draw(st.none() | NAMES)}
    elif kind == "custom":
        name = draw(NAMES.filter(lambda name: withdrawals.named(name) is None))  # such names are read as withdrawals
        common |= {"name": name, "item": draw(st.none() | NAMES)}
    else:
        common |= {"traits": {"firstName": draw(NAMES), "age": draw(st.integers(0, 99))}}
    if common["origin"] == "test":
        common["user"] = f"test:{common['user']}"
    return Event(type=kind, **common)


@given(events())
def test_an_event_written_in_the_short_form_reads_back_as_itself(event: Event) -> None:
    assert decode(encode(event), RECEIVED) == event


def test_a_type_that_only_we_report_has_no_form_on_the_wire() -> None:
    with pytest.raises(ValueError, match="message_opened"):
        encode(Event(id="m", user="u", type="message_opened", at=NOW))


@pytest.mark.parametrize("field", ["user", "userId", "type", "timestamp"])
@pytest.mark.parametrize("levels", [300, 1_020])
def test_a_value_that_is_nested_too_deep_is_refused_in_any_field(field: str, levels: int) -> None:
    fields = {"userId": b'"u"', "type": b'"page"', "timestamp": b"1777636800250"}
    fields[field] = b"[" * levels + b"]" * levels
    value = b"{%s}" % b",".join(b'"%s":%s' % (name.encode(), said) for name, said in fields.items())

    with pytest.raises(InvalidEvent):
        decode(value, RECEIVED)


BASES = [
    *({"type": call, "userId": "u1"} for call in ("page", "screen", "identify", "group", "alias", "track")),
    *({"type": "track", "userId": "u1", "event": name} for name in ("Order Completed", "Unsubscribed", "Own")),
    *({"type": kind, "user": "u1"} for kind in TYPES),
]
NESTED = b"[" * 1_000 + b"]" * 1_000
LONG = b'"' + b"x" * 200_000 + b'"'


@pytest.mark.parametrize("field", [*FIELDS, "context"])
@pytest.mark.parametrize("value", [NESTED, LONG], ids=["nested", "long"])
def test_the_event_fits_into_the_log_with_any_value_in_any_field(field: str, value: bytes) -> None:
    for base in BASES:
        for around in (b"%s", b'{"a": %s}', b'{"unsubscribed": %s}', b'{"traits": {"unsubscribed": %s}}'):
            rest = orjson.dumps({name: said for name, said in base.items() if name != field})
            record = rest[:-1] + b', "%s": ' % field.encode() + around % value + b"}"
            check_record(record)
            try:
                event = decode(record, RECEIVED)
            except InvalidEvent:
                continue
            assert len(encode_event(event)) < 3 * MAX_OBJECT_BYTES
