"""The Segment spec's form: ``type`` is one of its calls, and the user is ``userId`` or ``anonymousId``.

Libraries of this form send the values that the shop's code has given them, and this code never sees an answer. So one
bad detail does not lose an event, unless the event would then state something that is not true::

    detail that cannot be used       what happens to the event
    user, time, the event's name,    refused: it is not known whose event it is, or when or what happened
    groupId, previousId
    anonymousId beside a userId      kept without it; the visitor's profile is not linked with the user
    messageId                        kept, with an id made from its place; a repetition cannot be recognised
    an order's money: no total and   refused, because sums would be wrong. total, revenue, value and the products are
    not all products can be read     tried in this order; the price of a product without an item counts as well
    the item of Product Viewed,      kept as a custom event with its name
    Added or Removed; the rating
    of Product Reviewed; the text
    of a support message; the order
    id of Order Updated
    currency                         kept; amounts count in XXX, ISO's code for no currency, and not in dollars
    quantity                         kept as 1; in an order, a product with a negative one was returned: no line
    a product without an item        kept without this line
    an order id                      kept without it; the order cannot be recognised in another event
    price, category, review text     kept without it
    a trait                          kept without it; a bad address also becomes a dead letter
    properties, traits               kept without them if they are not objects, or without the values in them that
                                     are nested too deep

Each of these gives a warning, and the value that cannot be used stays in ``properties``.

References
----------
https://segment.com/docs/connections/spec/ and, for the events of a shop, .../spec/ecommerce/v2/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from models.errors import EventWarning, InvalidEvent
from models.events import ALIAS, ANONYMOUS, DEFAULT_CURRENCY, UNREADABLE_CURRENCY, UPDATE, Event, EventType, OrderForm
from models.wire import details, fields, statements, withdrawals
from models.wire.currencies import CURRENCIES
from models.wire.details import is_absent, take, take_first
from models.wire.fields import Json
from models.wire.products import ITEM_NAMES, NONE, read_products
from models.wire.reading import Reading
from models.wire.traits import read_traits
from models.wire.withdrawals import NamedWithdrawal

CALLS = ("track", "identify", "page", "screen", "group", "alias")
"""The calls of the spec."""

FIELDS = frozenset(
    {"type", "event", "name", "category", "userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp"}
    | {"originalTimestamp", "sentAt", "receivedAt", "properties", "traits", "context", "integrations", "channel"}
    | {"version", "origin", "writeKey", "_metadata", "metadata", "rudderId", "request_ip", "options"}
)
"""Fields of a record that the spec and its libraries define."""

_TOTALS = ("total", "revenue", "value")
_MONEY_PATHS = frozenset(f"properties.{name}" for name in (*_TOTALS, "products"))
_ORDER_ID = ("order_id", "orderId")
_REVIEWED_ITEM = ("product_id", "productId", "sku")
_MONEY_ALLOWED = "the order's total, or its products with their prices"
_ELSE_CUSTOM = "; without it, the event is kept as custom"

_Reader = Callable[[Json, Json, Reading], Event]
_EventReader = Callable[[str, Json, Json, Reading], Event]


def read_segment(raw: Json, reading: Reading) -> Event:
    """Read a record with ``userId`` or ``anonymousId``; see :func:`models.wire.decode`."""
    call = raw.get("type")
    reader = _READERS.get(call) if isinstance(call, str) else None
    if reader is None:
        allowed = f"{', '.join(CALLS)}; the types of the short form need user instead of userId"
        if call is None:
            raise fields.missing("type", allowed)
        raise InvalidEvent("bad_type", "type", fields.shown(call), allowed)
    common: Json = {
        "id": _id(raw, reading),
        "user": details.user_of(raw),
        "at": when(raw, reading),
        "origin": reading.received.origin,
        "trust": reading.received.trust,
    }
    if raw.get("anonymousId") is not None and not common["user"].startswith(ANONYMOUS):
        common["anonymous"] = details.anonymous_key(raw, "anonymousId", reading.warnings)
    return reader(raw, common, reading)


def _id(raw: Json, reading: Reading) -> str:
    try:
        return details.optional_id(raw.get("messageId"), "messageId") or reading.received.source.id
    except InvalidEvent as error:  # as for an event without an id: only its repetition cannot be recognised
        reading.warnings.append(details.warning_of(error))
        return reading.received.source.id


def when(raw: Json, reading: Reading) -> int:
    """Return the time of a record, with the spec's correction for wrong clocks: ``receivedAt - (sentAt - timestamp)``.

    Some libraries send no ``timestamp``, but an ``originalTimestamp``, from which Segment's servers compute the
    ``timestamp``.

    Only a live event with a ``sentAt`` is corrected. In a replay, the time of arrival says nothing about the sender's
    clock. An event that Segment exported (it has ``receivedAt``) is already corrected. A ``sentAt`` that is not a time
    corrects nothing, and is reported as a warning. So does one that would set the event before the year 2000.
    """
    received_at = reading.received.at
    field = "timestamp"
    stamp = raw.get(field)
    if stamp is None or is_absent(stamp):
        field = "originalTimestamp"
        stamp = raw.get(field)
        if is_absent(stamp):
            return fields.plausible(received_at, "timestamp", received_at, received_at)
    at = fields.instant(stamp, field)
    sent = raw.get("sentAt")
    if sent is not None and reading.received.origin == "live" and raw.get("receivedAt") is None and not is_absent(sent):
        try:
            corrected = received_at - max(fields.instant(sent, "sentAt") - at, 0)
            at = fields.plausible(corrected, "sentAt", sent, received_at)
        except InvalidEvent as error:
            reading.warnings.append(details.warning_of(error))
    return fields.plausible(at, field, stamp, received_at)


def _track(raw: Json, common: Json, reading: Reading) -> Event:
    name = raw.get("event")
    if name.__class__ is not str or name.isspace() or not fields.plain(name):
        if is_absent(name):
            raise fields.missing("event", "the event's name, such as Product Viewed")
        name = fields.identifier(name, "event")
    reader = _EVENTS.get(name.lower())
    if reader is None and withdrawals.resembles(name):
        reading.warnings.append(EventWarning("no_withdrawal", "event", fields.shown(name), statements.RESEMBLES))
    # The size of an order's properties is checked later, without its products, because these have their own limit.
    small = reading.small or reader in _ORDERS
    properties = details.free_object(raw, "properties", reading.warnings, small=small)
    if reader is not None:
        return reader(name, properties, common, reading)
    withdrawal = withdrawals.named(name)
    if withdrawal is not None:
        return _withdrawn(name, properties, common, reading, withdrawal)
    return _custom(name, properties, common)


def _custom(name: str, properties: Json, common: Json) -> Event:
    # The sender alone knows the meaning of a custom event's properties. So an item and a category are read only if they
    # are usable, and no property is a reason to refuse the event.
    item, category = properties.get("product_id"), properties.get("category")
    return Event(
        type="custom",
        name=name,
        item=item if _readable(item) else None,
        category=category if _readable(category) else None,
        properties=properties or None,
        **common,
    )


def _readable(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= fields.MAX_ID_LENGTH and value.isprintable()


def _untyped(name: str, properties: Json, common: Json, warnings: list[EventWarning], error: InvalidEvent) -> Event:
    """Return a custom event of the same name for an event that lacks an essential detail of its type."""
    warnings.append(details.warning_of(error))
    return _custom(name, properties, common)


def _product(kind: EventType) -> _EventReader:
    needs_item = kind in fields.ITEM_NEEDED

    def read(name: str, properties: Json, common: Json, reading: Reading) -> Event:
        rest, warnings = dict(properties), reading.warnings
        item = take_first(rest, ITEM_NAMES, details.identifier, warnings)
        if item is None and needs_item:
            error = fields.missing(f"properties.{ITEM_NAMES[0]}", f"the item's id{_ELSE_CUSTOM}")
            return _untyped(name, properties, common, warnings, error)
        quantity = take(rest, "quantity", details.quantity, warnings)
        return Event(
            type=kind,
            item=item,
            category=take(rest, "category", details.identifier, warnings),
            quantity=1 if quantity is None else quantity,
            amount=take(rest, "price", details.money, warnings) or 0,
            currency=_currency(rest, warnings),
            properties=rest or None,
            **common,
        )

    return read


def _currency(rest: Json, warnings: list[EventWarning], absent: str = DEFAULT_CURRENCY) -> str:
    # A currency that cannot be read is not replaced by the default, because its amounts would be added to dollars.
    written = rest.get("currency")
    if written.__class__ is str and written in CURRENCIES:
        del rest["currency"]
        return written
    return take(rest, "currency", details.currency, warnings) or (UNREADABLE_CURRENCY if "currency" in rest else absent)


def _order(kind: EventType, form: OrderForm) -> _EventReader:
    def read(name: str, properties: Json, common: Json, reading: Reading) -> Event:
        rest, warnings = dict(properties), reading.warnings
        order = take_first(rest, _ORDER_ID, details.order_id, warnings)
        if order is None and form == "replacement":
            error = fields.missing(f"properties.{_ORDER_ID[0]}", f"the order's id{_ELSE_CUSTOM}")
            return _untyped(name, properties, common, warnings, error)
        stated: OrderForm = "lines" if order is None else form
        products = read_products(rest.pop("products", None), warnings)
        rest = fields.bounded(rest, "properties", small=reading.small)
        if products.unusable is not None and (reading.small or fields.is_small([rest, products.unusable])):
            rest["products"] = products.unusable
        amount = take_first(rest, _TOTALS, details.money, warnings)
        if amount is None:
            amount = products.worth
        if amount is None:
            is_alone = products is NONE and rest.keys().isdisjoint(_TOTALS)
            if kind == "purchase" or order is None or not is_alone:
                _refuse_money(warnings)
            amount, stated = 0, "whole"  # a refund with only an order id refunds the remainder of the order
        return Event(
            type=kind,
            name=UPDATE if form == "replacement" else None,
            order_form=stated,
            lines=products.lines,
            amount=amount,
            currency=_currency(rest, warnings, DEFAULT_CURRENCY if order is None else ""),
            order=order,
            properties=rest or None,
            **common,
        )

    return read


def _refuse_money(warnings: list[EventWarning]) -> NoReturn:
    """Refuse an order whose money cannot be read, and name the detail that is the cause."""
    of_total = [one for one in warnings if one.field in _MONEY_PATHS]
    of_products = [one for one in warnings if one.field.endswith((".price", ".quantity"))]
    for one in (*of_total, *of_products):
        raise InvalidEvent(one.reason, one.field, one.found, one.allowed)
    raise fields.missing(f"properties.{_TOTALS[0]}", _MONEY_ALLOWED)


def _rating(name: str, properties: Json, common: Json, reading: Reading) -> Event:
    rest, warnings = dict(properties), reading.warnings
    stars = take(rest, "rating", details.rating, warnings)
    if stars is None:
        error = fields.missing("properties.rating", f"a number from 1 to 5{_ELSE_CUSTOM}")
        return _untyped(name, properties, common, warnings, error)
    return Event(
        type="rating",
        item=take_first(rest, _REVIEWED_ITEM, details.identifier, warnings),
        category=take(rest, "category", details.identifier, warnings),
        rating=stars,
        text=take_first(rest, ("review_body", "text"), details.text, warnings),
        properties=rest or None,
        **common,
    )


def _support(name: str, properties: Json, common: Json, reading: Reading) -> Event:
    rest, warnings = dict(properties), reading.warnings
    text = take_first(rest, ("text", "message_body", "message"), details.text, warnings)
    if text is None:
        error = fields.missing("properties.text", f"the text that the customer wrote{_ELSE_CUSTOM}")
        return _untyped(name, properties, common, warnings, error)
    return Event(type="support_message", text=text, properties=rest or None, **common)


def _granted(name: str, properties: Json, common: Json, reading: Reading) -> Event:
    said = properties.get("granted", True)
    if withdrawals.is_no(said):
        return _withdrawn(name, properties, common, reading, NamedWithdrawal())
    if said is not True:
        raise fields.wrong_type("properties.granted", said, "true, or no value")
    stated = fields.grant(properties, "properties.")
    rest = {name: value for name, value in properties.items() if name not in ("channel", "purpose", "basis")}
    return Event(
        type="consent",
        **stated,
        confirmed=rest.pop("confirmed", None) is True,
        text=take(rest, "text", fields.wording, reading.warnings),
        reason=take_first(rest, ("reason", "source"), details.identifier, reading.warnings),
        properties=rest or None,
        **common,
    )


def _withdrawn(name: str, properties: Json, common: Json, reading: Reading, withdrawal: NamedWithdrawal) -> Event:
    rest = dict(properties)
    reason = take_first(rest, ("reason", "source"), details.identifier, reading.warnings)
    return Event(
        type="consent",
        channel=withdrawals.channel_of(rest.pop("channel", None), withdrawal.channel),
        granted=False,
        purpose=withdrawals.purpose_of(rest.pop("purpose", None), name),
        complaint=withdrawal.complaint,
        reason=reason or withdrawals.source_of(name),
        properties=rest or None,
        **common,
    )


def _identify(raw: Json, common: Json, reading: Reading) -> Event:
    path, warnings, small = "traits", reading.warnings, reading.small
    traits = details.free_object(raw, path, warnings, small=small)
    context = raw.get("context")
    if not traits and isinstance(context, dict):
        path = "context.traits"
        traits = details.free_object(context, "traits", warnings, small=small, path="context.")
    return Event(type="identify", traits=read_traits(traits, path, warnings, lenient=True), **common)


def _page(raw: Json, common: Json, reading: Reading) -> Event:
    warnings = reading.warnings
    rest = dict(details.free_object(raw, "properties", warnings, small=reading.small))
    # The browser's library sends name and category twice: beside the properties, and in them.
    return Event(
        type="page_view",
        name=_beside(raw, rest, "name", warnings),
        category=_beside(raw, rest, "category", warnings),
        properties=rest or None,
        **common,
    )


def _beside(raw: Json, rest: Json, field: str, warnings: list[EventWarning]) -> str | None:
    outside = raw.get(field)
    if is_absent(outside):
        return take(rest, field, details.identifier, warnings)
    inside = rest.pop(field, None)
    holder = {field: outside}
    found = take(holder, field, details.identifier, warnings, "")
    kept = outside if is_absent(inside) else inside
    # A value outside the properties was not checked, only the size of the whole record.
    if found is None and fields.is_bounded(kept):
        rest[field] = kept
    return found


def _group(raw: Json, common: Json, reading: Reading) -> Event:
    about: Json = {"groupId": details.required_id(raw, "groupId", "the group's id")}
    if traits := details.free_object(raw, "traits", reading.warnings, small=reading.small):
        about["traits"] = traits
    return Event(type="custom", name="Group", properties=about, **common)


def _alias(raw: Json, common: Json, reading: Reading) -> Event:
    about = {"previousId": details.required_id(raw, "previousId", "the id that the user had before")}
    if not common["user"].startswith(ANONYMOUS):
        common["anonymous"] = details.anonymous_key(raw, "previousId", reading.warnings)
    return Event(type="custom", name=ALIAS, properties=about, **common)


_READERS: dict[str, _Reader] = {
    "track": _track,
    "identify": _identify,
    "page": _page,
    "screen": _page,
    "group": _group,
    "alias": _alias,
}

_complete, _update, _refund = _order("purchase", "whole"), _order("purchase", "replacement"), _order("refund", "lines")
_ORDERS = frozenset({_complete, _update, _refund})

_NAMED: dict[str, tuple[EventType, _EventReader]] = {
    "product viewed": ("product_view", _product("product_view")),
    "product clicked": ("click", _product("click")),
    "product added": ("cart_add", _product("cart_add")),
    "product removed": ("cart_remove", _product("cart_remove")),
    "order completed": ("purchase", _complete),
    "order updated": ("purchase", _update),
    "order refunded": ("refund", _refund),
    "product reviewed": ("rating", _rating),
    "product rated": ("rating", _rating),
    "viewed product": ("product_view", _product("product_view")),  # the first version of the spec put the verb first
    "clicked product": ("click", _product("click")),
    "added product": ("cart_add", _product("cart_add")),
    "removed product": ("cart_remove", _product("cart_remove")),
    "completed order": ("purchase", _complete),
    "updated order": ("purchase", _update),
    "refunded order": ("refund", _refund),
    "reviewed product": ("rating", _rating),
    "support message sent": ("support_message", _support),
    "live chat message sent": ("support_message", _support),
    "consent given": ("consent", _granted),
}
_EVENTS: dict[str, _EventReader] = {name: reader for name, (_, reader) in _NAMED.items()}
READ_AS: Mapping[str, EventType] = {name: kind for name, (kind, _) in _NAMED.items()}
"""Types as which track calls are read, by their names in lower case."""
