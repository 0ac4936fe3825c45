"""The wire: the two forms in which events arrive, and how both are read into one :class:`~models.events.Event`.

This package may import ``places``.

A record with ``user`` is in the short form. A record with ``userId`` or ``anonymousId`` follows the Segment spec::

    {"type": "click", "user": "u1", "item": "sku1", "at": 1777636800250}
    {"type": "track", "event": "Product Clicked", "userId": "u1", "properties": {"product_id": "sku1"},
     "timestamp": "2026-05-01T12:00:00.250Z", "messageId": "m1"}

The types of the short form correspond to these calls and event names of Segment::

    Segment                        short form's type   what is read
    page, screen                   page_view           name, category
    track Product Viewed           product_view        product_id (or id, sku), category, price, quantity, currency
    track Product Clicked          click               as Product Viewed
    track Product Added            cart_add            as Product Viewed
    track Product Removed          cart_remove         as Product Viewed
    track Order Completed          purchase            order_id, products, total (or revenue, value), currency;
                                                       it states the whole order, which counts once
    track Order Updated            purchase            as Order Completed; it replaces the order as it was stated before
    track Order Refunded           refund              as Order Completed; with order_id alone, it refunds the
                                                       remainder of the order
    track Product Reviewed         rating              product_id, rating, review_body
    track Support Message Sent,    support_message     text (or message_body)
          Live Chat Message Sent
    track Consent Given            consent, granted    channel (email, sms, all), source, confirmed
    track Unsubscribed, and the    consent, withdrawn  channel; without one, all channels
          other names in
          withdrawal_names.EVENTS
    identify                       identify            traits; if there are none, context.traits
    track, any other name          custom              name; the properties are kept as they are
    group, alias                   custom              name Group or Alias; groupId or previousId

The names of the spec's first version are also read: Viewed Product, Added Product, Removed Product, Completed Order.

The user of an anonymous event is ``anonymous:`` and the ``anonymousId``. A time is milliseconds, or RFC 3339 with an
offset. An amount is in units of the currency (2.55), and becomes micros. Fields that the list does not name stay in
``properties``. ``context`` and ``integrations`` are not kept, except for traits in ``context`` that state something
about consent. Outcomes of our messages are refused. Every refusal is an :class:`~models.errors.InvalidEvent` with a
stable reason and the path of the field.

Only a separate event grants consent, and it is read strictly. Everything that can be read as a withdrawal withdraws it
(:mod:`models.wire.withdrawals`), even in a record that is otherwise refused (:mod:`models.wire.salvage`). The error
then carries the withdrawal. A record with a browser key cannot grant consent. It cannot state an origin, a bounce or a
complaint either. Test events belong to a separate user, ``test:`` and the id.

The short form is strict, because a person writes it and reads the answer. The Segment form is lenient: whole numbers
are ids, texts of digits are numbers, and one bad detail does not lose an event. ``segment.py`` lists what happens to
the event. Each such detail gives an :class:`~models.errors.EventWarning`.
"""

from models.wire.decoding import MAX_RECORD_BYTES, convert, decode, withdrawal_in
from models.wire.native import TYPES, encode
from models.wire.segment import CALLS

__all__ = ["CALLS", "MAX_RECORD_BYTES", "TYPES", "convert", "decode", "encode", "withdrawal_in"]
