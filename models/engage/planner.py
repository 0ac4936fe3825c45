"""From a signal to a message, or to the reason why there is none.

The planner is a reducer inside the fold: it decides on a user's state and changes that very state, so a cap is
reserved in the change that decides, and no two decisions can see the same free place.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from models.configuration.compiled import Category, Configuration, Rule, Trigger
from models.configuration.durations import written
from models.configuration.templates import TemplateError
from models.delivery.messages import Message, message_id
from models.engage import caps, consent, quiet_hours
from models.engage.composing import certain, compose, compose_fallback, context
from models.engage.user_zone import zone_of
from models.engage.why import explain
from models.events import CHANNELS, Channel
from models.profile.signals import Signal
from models.profile.state import Customer, Ledger, Pending, Sent, Withheld
from models.units import MINUTE

Outcome = Literal["sent", "deferred", "dropped"]

Reason = Literal[
    "",
    "expired",
    "duplicate",
    "already_waiting",
    "cooldown",
    "channel_paused",
    "no_consent",
    "no_address",
    "capped",
    "quiet_hours",
    "template_error",
    "rule_gone",
    "public_key",
]
"""What deferred or dropped a message; empty for one that was sent.

``expired``: the trigger is older than the rule allows, or would be when quiet hours end. ``duplicate``: this very
message was sent before, or waits. ``already_waiting``: one of the rule waits for quiet hours to end,
:data:`MAX_HELD` transactional ones wait for their templates, or there is no room for another one.
``template_error``: a deferred one waits for a configuration that can render it. ``rule_gone``: the configuration that
is in use now has no such rule. ``public_key``: an event that anybody could have sent triggers no transactional
message.
"""

WITHHELD_KEPT = 20
MAX_HELD = 100
"""Maximum number of transactional messages of a user that wait for their templates."""
MAX_WAITING_BYTES = 400_000
"""Maximum size of what a user's messages wait with, bytes: with the rest of the state it has to fit into one record."""
MAX_DETAIL = 300
"""Maximum length of what is kept of a template's failure, characters."""
RENDERED_AGAIN_MS = 5 * MINUTE
"""Time after which a message that waits for its template looks for another configuration, milliseconds."""

_signals = msgspec.json.Decoder(Signal)
_encoder = msgspec.json.Encoder()
_packer = msgspec.msgpack.Encoder()


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """The decision about one rule and one signal; the wire of ``decisions``.

    Attributes
    ----------
    id
        Of the message that it is about, sent or not.
    user, rule, category
        Whom and why.
    outcome, reason
        See :data:`Reason`.
    channel
        The one chosen, or the preferred one where none could be.
    blocked
        Reason by channel, for each that could not be used.
    detail
        More about the reason, such as the cap; of a sent one, why its fallback went out.
    why
        For people: what triggered it and what decided.
    signal
        What triggered it, with the model's version and reasons.
    configuration
        Version in use.
    at
        ``now`` of the decision, milliseconds.
    until
        Of a deferred one: when it is tried again.
    fallback
        Whether the message is the fallback of its template.
    message
        Of a sent one; not part of the wire.
    """

    id: str
    user: str
    rule: str
    category: Category
    outcome: Outcome
    reason: Reason = ""
    channel: Channel
    blocked: dict[str, Reason] = {}
    detail: str = ""
    why: str
    signal: Signal
    configuration: int
    at: int
    until: int = 0
    fallback: bool = False
    message: Message | None = None


def encode_decision(decision: Decision) -> bytes:
    """JSON for ``decisions``; the message itself stands in ``messages.<channel>``."""
    return _encoder.encode(msgspec.structs.replace(decision, message=None))


def plan(
    configuration: Configuration,
    rule: Rule,
    signal: Signal,
    user: str,
    customer: Customer,
    now: int,
    config_version: int,
    *,
    paused: Collection[str] = (),
) -> Decision:
    """Decide about one rule that a signal triggered, and note it in the user's ledger.

    Parameters
    ----------
    configuration, config_version
        In use.
    rule, signal
        One of ``rules.matching``.
    user, customer
        Whom; ``customer.ledger`` is changed: ``sent``, ``withheld``, ``pending``, ``fired``.
    now
        Of the partition's clock, milliseconds.
    paused
        Channels that an order paused.

    Returns
    -------
    Decision
        For a deferred one, whoever calls sets a timer at ``until`` and calls :func:`release` then.
    """
    attempt = _Attempt(configuration, rule, signal, user, customer, now, config_version)
    ledger = customer.ledger
    if any(message.id == attempt.id for message in ledger.sent):
        return attempt.dropped("duplicate")
    waiting = [pending for pending in ledger.pending if pending.rule == rule.name]
    if rule.category == "transactional":
        if any(pending.signal == attempt.encoded_signal for pending in waiting):
            return attempt.dropped("duplicate")
        # none of them may displace another: each is about an event of its own
        waiting = waiting[MAX_HELD - 1 :]
    if waiting:
        return attempt.dropped("already_waiting")
    return _decide(attempt, paused)


def retry(
    configuration: Configuration,
    pending: Pending,
    user: str,
    customer: Customer,
    now: int,
    config_version: int,
    *,
    paused: Collection[str] = (),
) -> Decision:
    """Decide again about a message that waited: everything is checked again, consent above all.

    Parameters
    ----------
    pending
        One of ``customer.ledger.pending``; it is taken out of there.
    configuration, user, customer, now, config_version, paused
        As for :func:`plan`.
    """
    customer.ledger.pending = [other for other in customer.ledger.pending if other is not pending]
    signal = _signals.decode(pending.signal)
    rule = configuration.by_name.get(pending.rule)
    if rule is None:
        # the category of a rule that is gone is not known any more; only marketing waits for quiet hours
        gone = Rule(
            name=pending.rule,
            category="transactional" if pending.reason == "template_error" else "marketing",
            when=Trigger(kind="event"),
            channels=CHANNELS,
            template=pending.rule,
        )
        return _Attempt(configuration, gone, signal, user, customer, now, config_version).dropped("rule_gone")
    attempt = _Attempt(configuration, rule, signal, user, customer, now, config_version)
    if pending.reason == "template_error" and now >= attempt.expires:
        return attempt.dropped("template_error", detail=pending.detail)
    return _decide(attempt, paused)


def release(
    configuration: Configuration,
    user: str,
    customer: Customer,
    now: int,
    config_version: int,
    *,
    paused: Collection[str] = (),
) -> tuple[Decision, ...]:
    """Decide again about everything that has waited until ``now``, in the order in which it came.

    What waits for its template goes on waiting, without a decision, while the configuration is the one that failed.
    """
    ledger = customer.ledger
    ledger.pending = [_prolonged(pending, now, config_version) for pending in ledger.pending]
    due = [pending for pending in ledger.pending if pending.until <= now]
    return tuple(retry(configuration, one, user, customer, now, config_version, paused=paused) for one in due)


def _prolonged(pending: Pending, now: int, config_version: int) -> Pending:
    is_hopeless = pending.reason == "template_error" and pending.configuration == config_version
    if not is_hopeless or pending.until > now or pending.expires <= now:
        return pending
    return msgspec.structs.replace(pending, until=min(now + RENDERED_AGAIN_MS, pending.expires))


class _Attempt:
    """One rule, one signal, one user, now: what every decision about them says."""

    def __init__(
        self,
        configuration: Configuration,
        rule: Rule,
        signal: Signal,
        user: str,
        customer: Customer,
        now: int,
        config_version: int,
    ) -> None:
        self.configuration = configuration
        self.rule = rule
        self.signal = signal
        self.user = user
        self.customer = customer
        self.now = now
        self.config_version = config_version
        self.id = message_id(user, rule.name, signal.cause, signal.at)
        self.expires = signal.at + rule.expires_after
        self.why = explain(rule.name, signal, config_version)
        self.zone = zone_of(customer.facts.traits, configuration.timezone)

    @property
    def encoded_signal(self) -> bytes:
        """The signal as it is kept while it waits."""
        return _encoder.encode(self.signal)

    def sent(self, channel: Channel, message: Message, failed: str = "") -> Decision:
        """Reserve the message's place under the caps and say that it goes; its fallback, where the template failed."""
        ledger = self.customer.ledger
        noted = Sent(
            id=self.id,
            rule=self.rule.name,
            channel=channel,
            category=self.rule.category,
            at=self.now,
            subject=message.subject,
            why=self.why,
            detail=f"the fallback: {failed}" if failed else "",
        )
        ledger.sent = caps.trimmed(self.configuration, [*ledger.sent, noted], self.now)
        ledger.fired = {**ledger.fired, self.rule.name: self.now}
        decision = self._decision("sent", channel)
        return msgspec.structs.replace(decision, message=message, detail=failed, fallback=bool(failed))

    def deferred(
        self, channel: Channel, until: int, reason: Literal["quiet_hours", "template_error"], detail: str = ""
    ) -> Decision:
        """Keep the signal until then; drop the message where what waits is too large together."""
        ledger = self.customer.ledger
        waits = Pending(
            rule=self.rule.name,
            signal=self.encoded_signal,
            until=until,
            expires=self.expires,
            reason=reason,
            configuration=self.config_version if reason == "template_error" else 0,
            detail=detail,
        )
        pending = [*ledger.pending, waits]
        if len(_packer.encode(pending)) > MAX_WAITING_BYTES:
            return self.dropped("already_waiting", channel, detail)
        ledger.pending = pending
        return msgspec.structs.replace(self._decision("deferred", channel, reason), until=until, detail=detail)

    def dropped(
        self,
        reason: Reason,
        channel: Channel | None = None,
        detail: str = "",
        blocked: dict[str, Reason] | None = None,
    ) -> Decision:
        """Note what blocked the message."""
        channel = channel or self.rule.channels[0]
        ledger = self.customer.ledger
        noted = Withheld(rule=self.rule.name, channel=channel, reason=reason, at=self.now, detail=detail)
        ledger.withheld = [*ledger.withheld, noted][-WITHHELD_KEPT:]
        decision = self._decision("dropped", channel, reason)
        return msgspec.structs.replace(decision, detail=detail, blocked=blocked or {})

    def _decision(self, outcome: Outcome, channel: Channel, reason: Reason = "") -> Decision:
        return Decision(
            id=self.id,
            user=self.user,
            rule=self.rule.name,
            category=self.rule.category,
            outcome=outcome,
            reason=reason,
            channel=channel,
            why=self.why,
            signal=self.signal,
            configuration=self.config_version,
            at=self.now,
        )


def _decide(attempt: _Attempt, paused: Collection[str]) -> Decision:
    rule, customer, now = attempt.rule, attempt.customer, attempt.now
    if attempt.signal.public and rule.category == "transactional":
        return attempt.dropped("public_key")
    if now >= attempt.expires:
        return attempt.dropped("expired")
    blocked: dict[str, Reason] = {}
    details: dict[str, str] = {}
    for channel in rule.channels:
        reason, detail = _blocks(attempt, channel, paused)
        if not reason:
            break
        blocked[channel], details[channel] = reason, detail
    else:
        preferred = rule.channels[0]
        return attempt.dropped(blocked[preferred], preferred, details[preferred], blocked)
    # after consent: of somebody who said no, that is what has to be told
    if now < again_from(rule, customer.ledger):
        return attempt.dropped("cooldown", channel)
    expires = attempt.expires
    quiet = attempt.configuration.quiet_hours
    if rule.category == "marketing" and quiet is not None:
        night = quiet_hours.look(quiet, attempt.zone, now)
        if night.is_quiet:
            if night.until >= expires:
                return attempt.dropped("expired", channel, "quiet hours end after the trigger expires")
            return attempt.deferred(channel, night.until, "quiet_hours")
        expires = min(expires, night.until)
    return _compose(attempt, channel, expires)


def _blocks(attempt: _Attempt, channel: Channel, paused: Collection[str]) -> tuple[Reason, str]:
    """Say why a channel cannot be used, with a detail; two empty texts where it can."""
    rule, customer = attempt.rule, attempt.customer
    if not consent.allowed(customer.facts, rule.category, channel):
        return "no_consent", ""
    if consent.address(customer.facts, channel) is None:
        return "no_address", ""
    if channel in paused:
        return "channel_paused", ""
    if rule.category == "marketing":
        cap = caps.reached(attempt.configuration.caps, customer.ledger.sent, channel, attempt.now)
        if cap is not None:
            return "capped", f"{cap.messages} in {written(cap.within)} over {cap.channel or 'all channels'}"
    return "", ""


def _compose(attempt: _Attempt, channel: Channel, expires: int) -> Decision:
    rule, signal, customer = attempt.rule, attempt.signal, attempt.customer
    to = consent.address(customer.facts, channel)
    assert to is not None, "a channel without an address was chosen"
    template = attempt.configuration.templates[rule.template]
    values, failed = context(rule, signal, attempt.user, customer, attempt.zone.name, attempt.now), ""
    try:
        content = compose(template, channel, rule.category, values, name=rule.template)
    except TemplateError as error:
        failed = str(error)[:MAX_DETAIL]
        if rule.category == "marketing":
            return attempt.dropped("template_error", channel, failed)
        values = certain(rule, signal, attempt.user, attempt.zone.name, attempt.now)
        try:
            content = compose_fallback(template, channel, values, name=rule.template)
        except TemplateError as second:
            until = min(attempt.now + RENDERED_AGAIN_MS, attempt.expires)
            return attempt.deferred(channel, until, "template_error", f"{failed}; {second}"[:MAX_DETAIL])
    message = Message(
        id=attempt.id,
        user=attempt.user,
        rule=rule.name,
        category=rule.category,
        channel=channel,
        to=to,
        subject=content.subject,
        text=content.text,
        html=content.html,
        why=attempt.why,
        at=attempt.now,
        expires=expires,
        origin=customer.facts.origin,
    )
    return attempt.sent(channel, message, failed)


def again_from(rule: Rule, ledger: Ledger) -> int:
    """When a rule's cooldown lets it write to this user again, milliseconds; 0 where it holds nothing back."""
    fired = ledger.fired.get(rule.name)
    return 0 if fired is None or not rule.cooldown else fired + rule.cooldown
