"""The short form: ``{"type": "click", "user": "u1", "item": "sku1", "at": 1777636800250}``."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, cast, get_args

import msgspec
import orjson

from models.errors import InvalidEvent
from models.events import ANONYMOUS, DEFAULT_CURRENCY, INTERNAL, TEST, Event, EventType, OrderLine
from models.wire import fields, orders, statements, withdrawals
from models.wire.fields import Json
from models.wire.reading import Reading
from models.wire.traits import read_traits

TYPES: tuple[str, ...] = tuple(kind for kind in get_args(EventType) if kind not in INTERNAL)
"""Types of events that every sender may use."""

_OPEN = frozenset(TYPES)
_OURS = frozenset(get_args(EventType)) - _OPEN
_ANY = frozenset({"type", "user", "id", "messageId", "at", "timestamp", "origin", "name", "properties", "traits"})
_PRODUCT = frozenset({"item", "category", "quantity", "price", "currency"})
_ORDER = _PRODUCT | {"order", "lines", "amount"}
_FIELDS: dict[str, frozenset[str]] = {
    "page_view": _ANY | {"category"},
    "product_view": _ANY | _PRODUCT,
    "click": _ANY | _PRODUCT,
    "cart_add": _ANY | _PRODUCT,
    "cart_remove": _ANY | _PRODUCT,
    "purchase": _ANY | _ORDER | {"order_form"},
    "refund": _ANY | _ORDER,
    "rating": _ANY | {"item", "category", "rating", "text"},
    "support_message": _ANY | {"text"},
    "identify": _ANY | {"anonymous"},
    "consent": _ANY | {"channel", "granted", "purpose", "basis", "text", "reason", "complaint", "confirmed"},
    "custom": _ANY | {"item", "category"},
}
_LINE_ITEM = ("item",)
_WRITTEN = ("name", "item", "category", "order", "rating", "text", "purpose", "basis", "reason", "traits", "properties")
"""Fields that :func:`encode` writes unchanged if they have a value."""


def read_native(raw: Json, reading: Reading) -> Event:
    """Read a record with ``user``; see :func:`models.wire.decode`."""
    kind = raw.get("type")
    if kind.__class__ is not str or kind not in _OPEN:
        raise _bad_type(kind)
    if not raw.keys() <= _FIELDS[kind]:
        raise _unknown(raw, kind)
    get = raw.get
    said = _READERS[kind](raw, reading)
    if "traits" in raw and kind != "identify":
        said["traits"] = _statements(raw["traits"], reading)
    name, message_id, stamp = get("name"), get("id"), get("at")
    id_field, time_field = "id", "at"
    if message_id is None:
        message_id, id_field = get("messageId"), "messageId"
    if stamp is None:
        stamp, time_field = get("timestamp"), "timestamp"
    event = Event(
        id=reading.received.source.id if message_id is None else fields.identifier(message_id, id_field),
        user=fields.identifier(get("user"), "user"),
        type=cast("EventType", kind),
        at=fields.plausible(
            reading.received.at if stamp is None else fields.instant(stamp, time_field),
            time_field,
            stamp,
            reading.received.at,
        ),
        origin=reading.received.origin
        if "origin" not in raw
        else fields.origin(raw["origin"], reading.received.origin),
        trust=reading.received.trust,
        anonymous=None if kind != "identify" or get("anonymous") is None else _anonymous(raw),
        name=None if name is None else fields.label(name, "name"),
        properties=fields.bounded(raw["properties"], "properties", small=reading.small) or None
        if "properties" in raw
        else None,
        **said,
    )
    return _named(event) if kind == "custom" else event


def _anonymous(raw: Json) -> str:
    """Return the key of the anonymous profile that an ``identify`` names besides its user."""
    anonymous = fields.identifier(raw["anonymous"], "anonymous")
    if str(raw.get("user")).startswith(ANONYMOUS):
        raise InvalidEvent("ambiguous", "anonymous", f"user {fields.shown(raw.get('user'))}", "only with a known user")
    return fields.identifier(ANONYMOUS + anonymous.removeprefix(ANONYMOUS), "anonymous")


def _named(event: Event) -> Event:
    """Return the withdrawal that the name of a custom event states; if it states none, return the event unchanged."""
    withdrawal = withdrawals.named(event.name)
    if withdrawal is None or event.name is None:
        return event
    channel = withdrawals.channel_of((event.properties or {}).get("channel"), withdrawal.channel)
    return msgspec.structs.replace(
        event,
        type="consent",
        name=None,
        item=None,
        category=None,
        channel=channel,
        granted=False,
        purpose=withdrawals.purpose_of((event.properties or {}).get("purpose"), event.name),
        complaint=withdrawal.complaint,
        reason=withdrawals.source_of(event.name),
    )


def _statements(traits: object, reading: Reading) -> Json | None:
    """Check the traits of an event that is not an ``identify``: only traits about consent are allowed."""
    said = statements.statements(traits)
    if traits is not None and (not said or not isinstance(traits, dict) or len(said) != len(traits)):
        raise InvalidEvent("unknown_field", "traits", fields.shown(traits), "only in identify")
    return fields.bounded(said, "traits", small=reading.small) or None


def _product(raw: Json, reading: Reading) -> Json:  # noqa: ARG001 - one signature for every type
    item, price = raw.get("item"), raw.get("price")
    if item is None and raw["type"] in fields.ITEM_NEEDED:
        raise fields.missing("item", "the item's id")
    return {
        "item": None if item is None else fields.identifier(item, "item"),
        "category": fields.label(raw.get("category"), "category"),
        "quantity": fields.quantity(raw.get("quantity"), "quantity"),
        "amount": 0 if price is None else fields.money(price, "price"),
        "currency": fields.currency(raw.get("currency"), "currency"),
    }


def _order(raw: Json, reading: Reading) -> Json:
    """Read a purchase or a refund. ``item``, ``quantity`` and ``price`` are a short form of an order with one line."""
    lines, field, total = orders.lines(raw.get("lines"), "lines", _LINE_ITEM), "lines", raw.get("amount")
    amount = None if total is None else fields.money(total, "amount")
    order, said = raw.get("order"), raw.get("currency")
    if raw.get("item") is not None:
        if lines:
            raise InvalidEvent("ambiguous", "item", "item beside lines", "either lines, or one item with its price")
        one = _product(raw, reading)
        if raw.get("price") is None and amount is not None and one["quantity"]:
            one["amount"] = amount // one["quantity"]
        lines = (OrderLine(one["item"], one["quantity"], one["amount"], one["category"]),)
        field = "price"
    elif not raw.keys().isdisjoint(_PRODUCT - {"currency"}):
        stray = next(name for name in raw if name in _PRODUCT and name != "currency")
        raise InvalidEvent(
            "unknown_field", stray, "no item", "only together with item; in lines, each line has its own"
        )
    if amount is None and not lines and (raw["type"] == "purchase" or order is None):
        raise fields.missing("amount", "the order's total in units of the currency, or its lines")
    return {
        "lines": lines,
        "amount": orders.total(lines, field) if amount is None else amount,
        # An event with an order id and without a currency has the currency of the order's other events.
        "currency": "" if order is not None and said is None else fields.currency(said, "currency"),
        "order": None if order is None else fields.identifier(order, "order"),
        # A refund with only an order id refunds the remainder of the order.
        "order_form": orders.form(raw) if amount is not None or lines else "whole",
    }


def _rating(raw: Json, reading: Reading) -> Json:  # noqa: ARG001 - one signature for every type
    item, text = raw.get("item"), raw.get("text")
    if raw.get("rating") is None:
        raise fields.missing("rating", "a number from 1 to 5")
    return {
        "item": None if item is None else fields.identifier(item, "item"),
        "category": fields.label(raw.get("category"), "category"),
        "rating": fields.rating(raw["rating"], "rating"),
        "text": None if text is None or text == "" else fields.text(text, "text"),
    }


def _support(raw: Json, reading: Reading) -> Json:  # noqa: ARG001 - one signature for every type
    if raw.get("text") is None:
        raise fields.missing("text", "the text that the customer wrote")
    return {"text": fields.text(raw["text"], "text")}


def _identify(raw: Json, reading: Reading) -> Json:
    traits = fields.bounded(raw.get("traits"), "traits", small=reading.small)
    return {"traits": read_traits(traits, "traits", reading.warnings, lenient=False)}


def _consent(raw: Json, reading: Reading) -> Json:  # noqa: ARG001 - one signature for every type
    granted = raw.get("granted")
    if granted is None:
        raise fields.missing("granted", "true or false")
    reason = fields.label(raw.get("reason"), "reason")
    if withdrawals.is_no(granted):
        channel, complaint = withdrawals.channel_of(raw.get("channel")), raw.get("complaint") is True
        purpose = None if complaint else withdrawals.purpose_of(raw.get("purpose"))
        return {"channel": channel, "granted": False, "purpose": purpose, "complaint": complaint, "reason": reason}
    if granted is not True:
        raise fields.wrong_type("granted", granted, "true or false")
    return {
        **fields.grant(raw),
        "confirmed": raw.get("confirmed") is True,
        "text": fields.wording(raw.get("text"), "text"),
        "reason": reason,
    }


def _page(raw: Json, reading: Reading) -> Json:  # noqa: ARG001 - one signature for every type
    return {"category": fields.label(raw.get("category"), "category")}


def _custom(raw: Json, reading: Reading) -> Json:  # noqa: ARG001 - one signature for every type
    if raw.get("name") is None:
        raise fields.missing("name", "the custom event's name")
    fields.identifier(raw["name"], "name")
    item = raw.get("item")
    return {
        "item": None if item is None else fields.identifier(item, "item"),
        "category": fields.label(raw.get("category"), "category"),
    }


_READERS = {
    "page_view": _page,
    "product_view": _product,
    "click": _product,
    "cart_add": _product,
    "cart_remove": _product,
    "purchase": _order,
    "refund": _order,
    "rating": _rating,
    "support_message": _support,
    "identify": _identify,
    "consent": _consent,
    "custom": _custom,
}


def _bad_type(kind: object) -> InvalidEvent:
    allowed = ", ".join(TYPES)
    if kind is None:
        return fields.missing("type", allowed)
    if not isinstance(kind, str):
        return fields.wrong_type("type", kind, allowed)
    if kind in _OURS:
        return InvalidEvent(
            "reserved_type", "type", kind, f"{allowed}; only Perennial itself writes outcomes and merges of profiles"
        )
    return InvalidEvent("bad_type", "type", ascii(kind), f"{allowed}; for an event of your own, use custom with a name")


def _unknown(raw: Json, kind: str) -> InvalidEvent:
    known = _FIELDS[kind]
    stray = next(name for name in raw if name not in known)
    shown = fields.quoted(stray)
    close = get_close_matches(stray[:60], known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    allowed = f"{hint}{kind} has {', '.join(sorted(known))}; anything else goes into properties"
    return InvalidEvent("unknown_field", shown, f"a field {shown}", allowed)


def encode(event: Event) -> bytes:
    r"""Write an event in the short form, from which :func:`models.wire.decode` reads the same event.

    Raises
    ------
    ValueError
        The type is one that only we report (``message_...``), so it has no form on the wire.

    Examples
    --------
    >>> encode(Event(id="m1", user="u1", type="product_view", at=1_777_636_800_250, item="sku1", amount=2_550_000))
    b'{"type":"product_view","user":"u1","id":"m1","at":1777636800250,"item":"sku1","price":2.55}'
    """
    if event.type not in _OPEN:
        raise ValueError(f"{event.type} has no form on the wire, because only we report it")
    allowed = _FIELDS[event.type]
    user = event.user.removeprefix(TEST) if event.origin == "test" else event.user
    said: dict[str, Any] = {"type": event.type, "user": user, "id": event.id, "at": event.at}
    for name in _WRITTEN:
        value = getattr(event, name)
        if value is not None:
            said[name] = value
    if event.origin != "live":
        said["origin"] = event.origin
    if event.anonymous is not None and event.type == "identify":
        said["anonymous"] = event.anonymous.removeprefix(TEST).removeprefix(ANONYMOUS)
    if event.type == "consent":
        said |= {"channel": event.channel or "all", "granted": event.is_grant}
        said |= {name: True for name in ("complaint", "confirmed") if getattr(event, name)}
    if event.type == "purchase" and event.order_form != "lines":
        said["order_form"] = event.order_form
    if event.lines:
        said["lines"] = [_line(line) for line in event.lines]
    if "amount" in allowed and not (event.type == "refund" and event.order_form == "whole"):
        said["amount"] = fields.units(event.amount)
    elif event.amount:
        said["price"] = fields.units(event.amount)
    if "quantity" in allowed and event.quantity != 1:
        said["quantity"] = event.quantity
    if event.currency and (event.currency != DEFAULT_CURRENCY or event.order is not None):
        said["currency"] = event.currency
    return orjson.dumps(said)


def _line(line: OrderLine) -> Json:
    said: Json = {"item": line.item, "quantity": line.quantity, "price": fields.units(line.price)}
    return said if line.category is None else said | {"category": line.category}
