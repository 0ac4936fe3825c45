"""Messages ready to be delivered: the wire of ``messages.<channel>``, their ids, and how they are composed."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import Annotated, Any

import msgspec

from models.customer.signals import Signal
from models.customer.state import Customer
from models.engage.configuration import Category, Rule
from models.engage.templates import UNSUBSCRIBE_PLACEHOLDER, Template, TemplateError, render
from models.events import MICROS, Channel, Origin

_CENT = Decimal("0.01")
_FOOTER = "\n\n--\nUnsubscribe: " + UNSUBSCRIBE_PLACEHOLDER + "\n"
_HTML_FOOTER = f'<p style="font-size:12px"><a href="{UNSUBSCRIBE_PLACEHOLDER}">Unsubscribe</a></p>'


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message to one user over one channel.

    Attributes
    ----------
    id
        32 hex digits; the same user, rule and cause give the same one.
    user, rule, category, channel
        Whom, why, how.
    to
        E-mail address, or phone number in E.164.
    subject
        One line; empty for an SMS.
    text, html
        Bodies; ``templates.UNSUBSCRIBE_PLACEHOLDER`` stands where the signed link goes.
    why
        For people: what decided.
    at, expires
        It may be sent from ``at`` until before ``expires``, milliseconds. Quiet hours bound it too.
    origin
        The least live origin that the user's state has seen; only ``live`` may reach a real provider.
    """

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    user: str
    rule: str
    category: Category
    channel: Channel
    to: str
    subject: str = ""
    text: str
    html: str | None = None
    why: str
    at: int
    expires: int
    origin: Origin


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """JSON, as it stands in ``messages.<channel>``."""
    return _encoder.encode(message)


def decode_message(value: bytes) -> Message:
    """Read what :func:`encode_message` wrote; raises ``msgspec.DecodeError`` where it is none."""
    return _decoder.decode(value)


def message_id(user: str, rule: str, cause: str, at: int) -> str:
    """Id of the message that a rule makes of a signal.

    Examples
    --------
    >>> message_id("u1", "win_back", "m1", 1_700_000_000_000)
    '02c75b5d33db8f4cac395fdd5056bf17'
    """
    named = msgspec.json.encode((user, rule, cause, at))
    return blake2b(named, digest_size=16, person=b"perennial msg").hexdigest()


def context(rule: Rule, signal: Signal, user: str, customer: Customer, timezone: str, now: int) -> dict[str, Any]:
    """Values that a template may name: one for each of ``templates.NAMES``.

    Amounts are in units of the currency, not in micros.
    """
    facts, ledger = customer.facts, customer.ledger
    lines = [
        {"item": item, "quantity": line.quantity, "price": _units(line.price)} for item, line in facts.cart.items()
    ]
    total = sum(line.quantity * line.price for line in facts.cart.values())
    first_name = facts.traits.get("firstName") or facts.traits.get("first_name") or ""
    return {
        "user": user,
        "first_name": first_name,
        "traits": facts.traits,
        "items": list(signal.items),
        "cart": {
            "items": lines,
            "count": sum(line.quantity for line in facts.cart.values()),
            "total": _units(total),
        },
        "signal": {
            "kind": signal.kind,
            "name": signal.name,
            "value": signal.value,
            "previous": signal.previous,
            "at": signal.at,
            "reasons": list(signal.reasons),
            "properties": signal.properties or {},
        },
        "segment": ledger.segment or "",
        "risk": ledger.risk if ledger.risk is not None else "",
        "orders": facts.orders,
        "spent": {currency: _units(micros) for currency, micros in facts.spent.items()},
        "rule": rule.name,
        "now": now,
        "timezone": timezone,
        "unsubscribe_url": UNSUBSCRIBE_PLACEHOLDER,
    }


class Content(msgspec.Struct, frozen=True, gc=False):
    """The rendered parts of a message."""

    subject: str
    text: str
    html: str | None


def compose(
    template: Template, channel: Channel, category: Category, values: dict[str, Any], *, strict: bool = False
) -> Content:
    """Render a template for a channel.

    A marketing e-mail whose template has no unsubscribe link gets one at its end.

    Raises
    ------
    TemplateError
        It cannot be rendered, or nothing comes out of it.
    """
    if channel == "sms":
        source = template.sms if template.sms is not None else template.text
        return Content(subject="", text=_body(render(source, values, strict=strict)), html=None)
    subject = _line(render(template.subject, values, strict=strict))
    text = _body(render(template.text, values, strict=strict))
    html = None if template.html is None else render(template.html, values, html=True, strict=strict)
    if category == "marketing":
        if UNSUBSCRIBE_PLACEHOLDER not in text:
            text = text.rstrip() + _FOOTER
        if html is not None and UNSUBSCRIBE_PLACEHOLDER not in html:
            html = _before_end(html, _HTML_FOOTER)
    return Content(subject=subject, text=text, html=html)


def _body(text: str) -> str:
    # a NUL or another control character has no place in any channel
    body = "".join(c for c in text if c in "\n\t" or (c >= " " and c != "\x7f")).strip()
    if not body:
        raise TemplateError("nothing comes out of it")
    return body + "\n"


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _before_end(html: str, footer: str) -> str:
    at = html.lower().rfind("</body>")
    return html + footer if at < 0 else html[:at] + footer + html[at:]


def _units(micros: int) -> Decimal:
    return (Decimal(micros) / MICROS).quantize(_CENT)
