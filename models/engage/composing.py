"""Compose the text of messages: the values that templates may name, and the rendered parts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_never

import msgspec

from models.conditions.properties import is_stated
from models.configuration.categories import Category
from models.configuration.compiled import Rule
from models.configuration.templates import (
    CONFIRM,
    CONFIRM_PLACEHOLDER,
    FALLBACK_NAMES,
    NAMES,
    UNSUBSCRIBE_PLACEHOLDER,
    Template,
    TemplateError,
    fallback_parts,
    file_of,
    render,
)
from models.engage.footers import ended_html, ended_text
from models.engage.recipient import Recipient
from models.events import MICROS, Channel
from models.profile.signals import Signal

_CENT = Decimal("0.01")


def context(
    rule: Rule, signal: Signal, recipient: Recipient, timezone: str, postal_address: str = ""
) -> dict[str, Any]:
    """Return the values that a template may name: one for each of ``templates.NAMES``.

    Amounts are in units of the currency, not in micros. A value that a user does not have is ``None``.
    """
    if rule.template == CONFIRM:
        return dict.fromkeys(NAMES) | _asking(rule, signal, timezone, recipient.now)
    facts, ledger = recipient.customer.facts, recipient.customer.ledger
    lines = [
        {"item": item, "quantity": line.quantity, "price": _units(line.price)} for item, line in facts.cart.items()
    ]
    total = sum(line.quantity * line.price for line in facts.cart.values())
    first_name = facts.traits.get("firstName") or facts.traits.get("first_name") or None
    return {
        "user": recipient.user,
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
        "entry": signal.properties or {} if signal.kind == "journey_step" else {},
        "mark": ledger.marks,
        "segment": ledger.segment or None,
        "risk": ledger.risk,
        "orders": facts.orders,
        "spent": {currency: _units(micros) for currency, micros in facts.spent.items()},
        "rule": rule.name,
        "now": recipient.now,
        "timezone": timezone,
        "sender": {"postal_address": postal_address or None},
        "unsubscribe_url": UNSUBSCRIBE_PLACEHOLDER,
        "preferences_url": UNSUBSCRIBE_PLACEHOLDER,  # both are the address of one page
        "confirm_url": None,
    }


def certain(rule: Rule, signal: Signal, user: str, timezone: str, now: int) -> dict[str, Any]:
    """Return the values that a fallback may name: only those that every trigger of the rule has.

    A property of the event is included only if the rule names it in ``where``, and if only the sender can state it.
    """
    if rule.template == CONFIRM:
        return dict.fromkeys(FALLBACK_NAMES) | _asking(rule, signal, timezone, now)
    found = signal.properties or {}
    stated = [name for name, _ in rule.when.conditions if is_stated(name)]
    said: dict[str, Any] = {
        "kind": signal.kind,
        "at": signal.at,
        "properties": {name: found.get(name) for name in (*rule.when.where, *stated)},
    }
    if signal.name:
        said["name"] = signal.name
    if signal.kind in ("first_purchase", "churn_risk"):
        said["value"] = signal.value
    values = {"user": user, "signal": said, "rule": rule.name, "now": now, "timezone": timezone}
    return values | {"preferences_url": UNSUBSCRIBE_PLACEHOLDER, "confirm_url": None}


def _asking(rule: Rule, signal: Signal, timezone: str, now: int) -> dict[str, Any]:
    """Return the values of ``templates.CONFIRM_NAMES``, of which the sender of a grant can choose none freely."""
    found = signal.properties or {}
    about = {name: found.get(name) for name in ("purpose", "channel")}
    said = {"kind": signal.kind, "name": signal.name, "at": signal.at, "properties": about}
    values = {"signal": said, "rule": rule.name, "now": now, "timezone": timezone}
    return values | {"confirm_url": CONFIRM_PLACEHOLDER}


class Content(msgspec.Struct, frozen=True, gc=False):
    """The rendered parts of a message."""

    subject: str
    text: str
    html: str | None


def compose(
    template: Template,
    channel: Channel,
    category: Category,
    values: Mapping[str, Any],
    *,
    name: str = "",
    strict: bool = False,
) -> Content:
    """Render a template for a channel.

    A marketing e-mail whose template has no unsubscribe link gets one at its end, and so it does the postal address.

    Parameters
    ----------
    template, channel, category
        The template, and the channel and category of the message.
    values
        The values that the template may name, see :func:`context`.
    name
        Name of the template, for errors.
    strict
        Whether a name without a value is an error.

    Raises
    ------
    TemplateError
        A part cannot be rendered, or its result is empty.
    """
    parts = _Parts(name, values, strict)
    if channel == "sms":
        part = "text" if template.sms is None else "sms"
        return Content(subject="", text=parts.body(part, template.sms or template.text), html=None)
    if channel == "push":
        part = "text" if template.push is None else "push"
        title = parts.line("subject", template.subject) if template.subject.strip() else ""
        return Content(subject=title, text=parts.body(part, template.push or template.text), html=None)
    if channel != "email":
        assert_never(channel)
    subject = parts.line("subject", template.subject)
    text = parts.body("text", template.text)
    html = None if template.html is None else parts.body("html", template.html)
    if category == "marketing":
        address = (values["sender"] or {}).get("postal_address") or ""
        text = ended_text(text, address)
        html = None if html is None else ended_html(html, address)
    return Content(subject=subject, text=text, html=html)


def compose_fallback(
    template: Template, channel: Channel, values: Mapping[str, Any], *, name: str = "", strict: bool = False
) -> Content:
    """Render the fallback of a transactional message, which is sent if its template fails.

    Parameters
    ----------
    template
        A template with a fallback.
    channel, name, strict
        As for :func:`compose`.
    values
        The values that the fallback may name, see :func:`certain`.

    Raises
    ------
    TemplateError
        There is no fallback, or it cannot be rendered.
    """
    if template.fallback is None:
        raise TemplateError("there is no such file", file=file_of(name, "fallback"))
    subject, text, lines_before = fallback_parts(template.fallback)
    parts = _Parts(name, values, strict)
    body = parts.body("fallback", text, lines_before)
    return Content(subject="" if channel == "sms" else parts.line("fallback", subject), text=body, html=None)


class _Parts:
    """A renderer for the parts of one template; its errors name the file and the line."""

    def __init__(self, name: str, values: Mapping[str, Any], strict: bool) -> None:
        self._name, self._values, self._strict = name, values, strict

    def line(self, part: str, source: str) -> str:
        """Render a part that has one line."""
        rendered = self._rendered(part, source, 0)
        if not _is_visible(rendered):
            raise TemplateError("the result is empty", file=file_of(self._name, part))
        return _line(rendered)

    def body(self, part: str, source: str, lines_before: int = 0) -> str:
        """Render a part that may have several lines."""
        rendered = self._rendered(part, source, lines_before)
        if not _is_visible(rendered):
            raise TemplateError("the result is empty", file=file_of(self._name, part))
        return _NO_BODY.sub("", rendered).strip() + "\n"

    def _rendered(self, part: str, source: str, lines_before: int) -> str:
        try:
            return render(source, self._values, html=part == "html", strict=self._strict)
        except TemplateError as error:
            raise error.within(file_of(self._name, part), lines_before) from error


_NO_BODY = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that are removed on every channel: control characters except line ends and tabs, and lone surrogates."""
_NO_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that become blanks in a line. Joiners and variation selectors stay, because words and emoji need them."""


def _line(text: str) -> str:
    return re.sub(" +", " ", _NO_LINE.sub(" ", text)).strip()


def _is_visible(text: str) -> bool:
    """Return whether a text has a visible character: not only blanks, control characters, joiners and selectors."""
    return any(unicodedata.category(c) not in _INVISIBLE for c in text)


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Mn", "Zs", "Zl", "Zp"})
"""Unicode categories of characters that are not visible."""


def _units(micros: int) -> Decimal:
    return (Decimal(micros) / MICROS).quantize(_CENT)
