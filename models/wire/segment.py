"""The Segment spec's form: ``type`` is one of its calls, the user is ``userId`` or ``anonymousId``.

References
----------
https://segment.com/docs/connections/spec/ and, for the events of a shop, .../spec/ecommerce/v2/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.errors import InvalidEvent
from models.events import ANONYMOUS, UPDATE, Event, EventType, OrderForm, Origin
from models.wire import fields, orders
from models.wire.fields import Json
from models.wire.reading import Reading
from models.wire.traits import read_traits

CALLS = ("track", "identify", "page", "screen", "group", "alias")
"""The spec's calls."""

_TOTALS = ("total", "revenue", "value")
_ITEM = ("product_id", "productId", "sku")


def read_segment(raw: Json, reading: Reading) -> Event:
    """Read a mapping with ``userId`` or ``anonymousId``; see :func:`models.wire.decode`."""
    call = raw.get("type")
    reader = _READERS.get(call) if isinstance(call, str) else None
    if reader is None:
        allowed = f"{', '.join(CALLS)}; the short form's types go with user in place of userId"
        if call is None:
            raise fields.missing("type", allowed)
        raise InvalidEvent("bad_type", "type", fields.shown(call), allowed)
    user_id = raw.get("userId")
    if user_id is not None:
        user = fields.identifier(user_id, "userId")
    else:
        user = fields.identifier(ANONYMOUS + fields.identifier(raw.get("anonymousId"), "anonymousId"), "anonymousId")
    message_id = raw.get("messageId")
    common = {
        "id": reading.source.id if message_id is None else fields.identifier(message_id, "messageId"),
        "user": user,
        "at": _when(raw, reading.received_at, reading.origin),
        "origin": reading.origin,
        "trust": reading.trust,
    }
    return reader(raw, common, reading.small)


def _when(raw: Json, received_at: int, origin: Origin) -> int:
    """``receivedAt - (sentAt - timestamp)``, the spec's cure for wrong clocks, where the sender says when it sent.

    Only live events are corrected: of a replay we received nothing, and what Segment itself exported (it says
    ``receivedAt``) is corrected already.
    """
    stamp = raw.get("timestamp")
    if stamp is None:
        return fields.plausible(received_at, "timestamp", received_at, received_at)
    at = fields.instant(stamp, "timestamp")
    sent = raw.get("sentAt")
    if sent is not None and origin == "live" and raw.get("receivedAt") is None:
        at = received_at - max(fields.instant(sent, "sentAt") - at, 0)
    return fields.plausible(at, "timestamp", stamp, received_at)


def _track(raw: Json, common: Json, small: bool) -> Event:
    name = raw.get("event")
    if name is None:
        raise fields.missing("event", "the event's name, such as Product Viewed")
    name = fields.identifier(name, "event")
    rest = dict(fields.bounded(raw.get("properties"), "properties", small=small))
    reader = _EVENTS.get(name.lower())
    return reader(rest, common) if reader else _custom(name, rest, common)


def _custom(name: str, rest: Json, common: Json) -> Event:
    # What a custom event's properties mean is the sender's business: an item and a category are taken out only where
    # they can be, and nothing there is a reason to reject it.
    item, category = rest.get("product_id"), rest.get("category")
    return Event(
        type="custom",
        name=name,
        item=item if _readable(item) else None,
        category=category if _readable(category) else None,
        properties=rest or None,
        **common,
    )


def _readable(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= fields.ID_LENGTH and value.isprintable()


def _product(kind: EventType) -> Callable[[Json, Json], Event]:
    needs_item = kind in fields.ITEM_NEEDED

    def read(rest: Json, common: Json) -> Event:
        item, path = _first(rest, _ITEM)
        if item is None and needs_item:
            raise fields.missing(path, "the item's id")
        price = rest.pop("price", None)
        return Event(
            type=kind,
            item=None if item is None else fields.identifier(item, path),
            category=fields.label(rest.pop("category", None), "properties.category"),
            quantity=fields.quantity(rest.pop("quantity", None), "properties.quantity"),
            amount=0 if price is None else fields.money(price, "properties.price"),
            currency=fields.currency(rest.pop("currency", None), "properties.currency"),
            properties=rest or None,
            **common,
        )

    return read


def _order(kind: EventType, form: OrderForm = "lines") -> Callable[[Json, Json], Event]:
    """Read a purchase whose order is stated in this form, or a refund."""

    def read(rest: Json, common: Json) -> Event:
        products = rest.pop("products", None)
        lines = orders.lines(products, "properties.products", _ITEM)
        total, path = _first(rest, _TOTALS)
        order, order_path = _first(rest, ("order_id", "orderId"))
        stated = total is not None or bool(lines)
        if not stated and (kind == "purchase" or order is None):
            raise fields.missing(path, "the order's total, or its products")
        if order is None and form == "replacement":
            raise fields.missing(order_path, "the id of the order that is updated")
        return Event(
            type=kind,
            name=UPDATE if form == "replacement" else None,
            order_form="whole" if not stated else "lines" if order is None else form,
            lines=lines,
            amount=orders.total(lines, "properties.products") if total is None else fields.money(total, path),
            currency=fields.currency(rest.pop("currency", None), "properties.currency"),
            order=None if order is None else fields.identifier(order, order_path),
            properties=rest or None,
            **common,
        )

    return read


def _rating(rest: Json, common: Json) -> Event:
    item, path = _first(rest, _ITEM)
    stars = rest.pop("rating", None)
    if stars is None:
        raise fields.missing("properties.rating", "a number from 1 to 5")
    body, body_path = _first(rest, ("review_body", "text"))
    return Event(
        type="rating",
        item=None if item is None else fields.identifier(item, path),
        category=fields.label(rest.pop("category", None), "properties.category"),
        rating=fields.rating(stars, "properties.rating"),
        text=None if body is None or body == "" else fields.text(body, body_path),
        properties=rest or None,
        **common,
    )


def _support(rest: Json, common: Json) -> Event:
    body, path = _first(rest, ("text", "message_body", "message"))
    if body is None:
        raise fields.missing(path, "what the customer wrote")
    return Event(type="support_message", text=fields.text(body, path), properties=rest or None, **common)


def _consent(granted: bool) -> Callable[[Json, Json], Event]:
    def read(rest: Json, common: Json) -> Event:
        reason, path = _first(rest, ("reason", "source"))
        return Event(
            type="consent",
            channel=fields.channel(rest.pop("channel", None), "properties.channel", granted=granted),
            granted=granted,
            reason=fields.label(reason, path),
            properties=rest or None,
            **common,
        )

    return read


def _identify(raw: Json, common: Json, small: bool) -> Event:
    return Event(type="identify", traits=read_traits(raw.get("traits"), small=small), **common)


def _page(raw: Json, common: Json, small: bool) -> Event:
    rest = dict(fields.bounded(raw.get("properties"), "properties", small=small))
    # the browser's library says name and category twice: beside the properties and in them
    return Event(
        type="page_view",
        name=_beside(raw, rest, "name"),
        category=_beside(raw, rest, "category"),
        properties=rest or None,
        **common,
    )


def _beside(raw: Json, rest: Json, field: str) -> str | None:
    inside, outside = rest.pop(field, None), raw.get(field)
    if outside is None:
        return fields.label(inside, f"properties.{field}")
    return fields.label(outside, field)


def _group(raw: Json, common: Json, small: bool) -> Event:
    if raw.get("groupId") is None:
        raise fields.missing("groupId", "the group's id")
    about: Json = {"groupId": fields.identifier(raw["groupId"], "groupId")}
    if raw.get("traits") is not None:
        about["traits"] = fields.bounded(raw["traits"], "traits", small=small)
    return Event(type="custom", name="Group", properties=about, **common)


def _alias(raw: Json, common: Json, small: bool) -> Event:  # noqa: ARG001 - one signature for every call
    if raw.get("previousId") is None:
        raise fields.missing("previousId", "the id that the user had before")
    about = {"previousId": fields.identifier(raw["previousId"], "previousId")}
    return Event(type="custom", name="Alias", properties=about, **common)


def _first(rest: Json, names: tuple[str, ...]) -> tuple[Any, str]:
    """Take the first of ``names`` that is there out of the properties, with its path."""
    for name in names:
        value = rest.pop(name, None)
        if value is not None:
            return value, f"properties.{name}"
    return None, f"properties.{names[0]}"


_READERS: dict[str, Callable[[Json, Json, bool], Event]] = {
    "track": _track,
    "identify": _identify,
    "page": _page,
    "screen": _page,
    "group": _group,
    "alias": _alias,
}

_EVENTS: dict[str, Callable[[Json, Json], Event]] = {
    "product viewed": _product("product_view"),
    "product clicked": _product("click"),
    "product added": _product("cart_add"),
    "product removed": _product("cart_remove"),
    "order completed": _order("purchase", "whole"),
    "order updated": _order("purchase", "replacement"),
    "order refunded": _order("refund"),
    "product reviewed": _rating,
    "product rated": _rating,
    "support message sent": _support,
    "live chat message sent": _support,
    "consent given": _consent(granted=True),
    "consent withdrawn": _consent(granted=False),
    "unsubscribed": _consent(granted=False),
}
