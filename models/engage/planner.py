"""The planner: it turns a signal into a message, or into the reason why no message is sent.

The planner runs inside the fold. It decides from a user's state, and changes that state in the same step. So a message
counts towards the caps as soon as it is decided, and two decisions cannot both use the last place under a cap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from models.configuration.categories import Category
from models.configuration.compiled import Configuration, Rule, Trigger
from models.configuration.templates import TemplateError
from models.engage import caps, consent, quiet_hours
from models.engage.composing import certain, compose, compose_fallback, context
from models.engage.decisions import Decision, Reason
from models.engage.handed_over import HandedMessage
from models.engage.proposal import Proposal
from models.engage.recipient import Recipient
from models.events import FIRST_CHANNELS, Channel
from models.profile.ledger import Ledger, Pending
from models.profile.signals import Signal
from models.units import MINUTE

MAX_HELD = 100
"""Maximum number of messages of one transactional rule, or of one step of a journey, that wait, per user."""
MAX_DETAIL = 300
"""Maximum length of a template's error that is kept, characters."""
RENDER_RETRY_MS = 5 * MINUTE
"""Interval between two checks of whether a new configuration may render a waiting message, milliseconds."""

_decode_signal = msgspec.json.Decoder(Signal).decode


@dataclass(frozen=True, slots=True)
class Planner:
    """A planner under one configuration.

    Attributes
    ----------
    configuration, version
        The configuration in use, and its version.
    paused
        The channels that a command has paused.
    older
        The messages of campaigns, and the ``send`` steps of older versions of journeys that runs still walk, as rules
        by their names.
    held, cancelled
        Ids of the starts of campaigns that are paused, and of those that were cancelled.
    left
        Ids of the starts of campaigns whose audience the recipient has left.
    held_journeys
        Names of paused journeys, whose messages wait.
    """

    configuration: Configuration
    version: int = 0
    paused: Collection[str] = ()
    older: Mapping[str, Rule] = field(default_factory=dict)
    held: Collection[str] = ()
    cancelled: Collection[str] = ()
    left: Collection[str] = ()
    held_journeys: Collection[str] = ()

    def plan(self, rule: Rule, signal: Signal, recipient: Recipient) -> Decision:
        """Decide about one rule that a signal triggered, and record the decision in the recipient's ledger.

        Parameters
        ----------
        rule, signal
            One of ``rules.matching``, and the signal that triggered it.
        recipient
            The recipient. The fields ``sent``, ``withheld``, ``pending`` and ``fired`` of the ledger are changed.

        Returns
        -------
        Decision
            The decision. If it is deferred, the caller sets a timer for ``until``, and calls :meth:`release` when the
            timer fires.
        """
        proposal = self._proposal(rule, signal, recipient)
        ledger = proposal.ledger
        if any(message.id == proposal.id for message in ledger.sent):
            return proposal.drop("duplicate")
        # A late change of the cart sets the timer again. A reminder to the visitor has another id.
        if signal.kind == "cart_left" and _was_sent_since(ledger, rule, signal.at):
            return proposal.drop("duplicate")
        waiting = [pending for pending in ledger.pending if pending.rule == rule.name]
        if rule.category == "transactional" or proposal.is_keyed:
            if any(_cause_of(pending) == signal.cause for pending in waiting if proposal.is_keyed):
                return proposal.drop("duplicate")
            if any(pending.signal == proposal.encoded_signal for pending in waiting):
                return proposal.drop("duplicate")
            # Several of them may wait, because each is about a different event or run.
            waiting = waiting[MAX_HELD - 1 :]
        if waiting:
            return proposal.drop("already_waiting")
        return self._decide(proposal)

    def take_over(self, handed: HandedMessage, recipient: Recipient) -> Decision:
        """Decide again about a visitor's message that was withdrawn at the login, for the known user.

        All checks are made with the joint profile. The decision names the withdrawn message.
        """
        rule = self._rule(handed.rule)
        if rule is None:
            decision = self._proposal(_stand_in(handed.rule), handed.signal, recipient).drop("rule_gone")
        elif handed.is_over:
            decision = self._proposal(rule, handed.signal, recipient).drop("cart_changed")
        elif handed.cart_at and _was_sent_since(recipient.customer.ledger, rule, handed.cart_at):
            decision = self._proposal(rule, handed.signal, recipient).drop("duplicate")
        else:
            decision = self.plan(rule, handed.signal, recipient)
        return msgspec.structs.replace(decision, replaces=handed.message)

    def withhold(self, rule: Rule, signal: Signal, recipient: Recipient, reason: Reason, detail: str = "") -> Decision:
        """Decide not to send a message for a reason that the planner does not know, and record it in the ledger."""
        return self._proposal(rule, signal, recipient).drop(reason, detail=detail)

    def release(self, recipient: Recipient) -> tuple[Decision, ...]:
        """Decide again about all pending messages that are due, in the order in which they were deferred.

        A message that waits for its template is not decided again while the configuration that could not render it is
        still in use. It keeps waiting, and so does a message of a campaign that is paused.
        """
        ledger, now = recipient.customer.ledger, recipient.now
        ledger.pending = [self._prolonged(pending, now) for pending in ledger.pending]
        due = [pending for pending in ledger.pending if pending.until <= now and not self.holds(pending)]
        return tuple(self._retry(pending, recipient) for pending in due)

    def holds(self, pending: Pending) -> bool:
        """Return whether a message waits because its journey is paused."""
        return bool(self.held_journeys) and journey_of(pending.rule) in self.held_journeys

    def recall(self, runs: Collection[str], recipient: Recipient) -> tuple[Decision, ...]:
        """Drop all pending messages of runs that have ended by an exit.

        Parameters
        ----------
        runs
            Ids of the runs.
        recipient
            The recipient.
        """
        ledger, found = recipient.customer.ledger, list[Decision]()
        for pending in tuple(ledger.pending):
            signal = _decode_signal(pending.signal)
            if signal.run in runs:
                ledger.pending = [other for other in ledger.pending if other is not pending]
                rule = self._rule(pending.rule) or _deleted(pending)
                found.append(self._proposal(rule, signal, recipient).drop("exited"))
        return tuple(found)

    def _rule(self, name: str) -> Rule | None:
        return self.configuration.rule(name) or self.older.get(name)

    def _retry(self, pending: Pending, recipient: Recipient) -> Decision:
        """Remove a pending message from the ledger, and decide again; all checks are made again, consent included."""
        ledger = recipient.customer.ledger
        ledger.pending = [other for other in ledger.pending if other is not pending]
        signal = _decode_signal(pending.signal)
        rule = self._rule(pending.rule)
        if rule is None:
            return self._proposal(_deleted(pending), signal, recipient).drop("rule_gone")
        proposal = self._proposal(rule, signal, recipient)
        if signal.kind == "cart_left" and _has_cart_changed(proposal):
            return proposal.drop("cart_changed")
        if signal.kind == "campaign" and (signal.run in self.cancelled or signal.run in self.left):
            return proposal.drop("cancelled" if signal.run in self.cancelled else "left_audience")
        if pending.reason == "template_error" and recipient.now >= proposal.expires:
            return proposal.drop("template_error", detail=pending.detail)
        return self._decide(proposal)

    def _prolonged(self, pending: Pending, now: int) -> Pending:
        """Return the pending message with a later ``until`` if this configuration has failed to render it.

        The same holds for a message of a campaign that is paused.
        """
        if pending.until <= now < pending.expires and self.held and _decode_signal(pending.signal).run in self.held:
            return msgspec.structs.replace(pending, until=min(now + RENDER_RETRY_MS, pending.expires))
        has_failed = pending.reason == "template_error" and pending.configuration == self.version
        if not has_failed or pending.until > now or pending.expires <= now:
            return pending
        return msgspec.structs.replace(pending, until=min(now + RENDER_RETRY_MS, pending.expires))

    def _proposal(self, rule: Rule, signal: Signal, recipient: Recipient) -> Proposal:
        return Proposal(self.configuration, self.version, rule, signal, recipient)

    def _decide(self, proposal: Proposal) -> Decision:
        rule, now = proposal.rule, proposal.recipient.now
        is_asking = proposal.signal.kind == "consent_pending"  # a visitor may ask for one with a browser key
        if proposal.signal.public and rule.category == "transactional" and not is_asking:
            return proposal.drop("public_key")
        if now >= proposal.expires:
            return proposal.drop("expired")
        if proposal.signal.kind == "campaign" and now < proposal.signal.at:
            return proposal.defer(rule.channels[0], proposal.signal.at, "local_time")
        if self.held_journeys and journey_of(rule.name) in self.held_journeys:
            return proposal.defer(rule.channels[0], now, "journey_paused")
        blocked: dict[str, Reason] = {}
        details: dict[str, str] = {}
        for channel in rule.channels:
            reason, detail = self._obstacle(proposal, channel)
            if not reason:
                break
            blocked[channel], details[channel] = reason, detail
        else:
            preferred = rule.channels[0]
            return proposal.drop(blocked[preferred], preferred, details[preferred], blocked)
        # This check comes after consent, because a withdrawn consent is the more important reason.
        if now < again_from(rule, proposal.ledger):
            return proposal.drop("cooldown", channel)
        expires, quiet = proposal.expires, self.configuration.quiet_hours
        if rule.category == "marketing" and quiet is not None:
            night = quiet_hours.check(quiet, proposal.zone, now)
            if night.is_quiet:
                if night.until >= expires:
                    return proposal.drop("expired", channel, "quiet hours end after the trigger expires")
                return proposal.defer(channel, night.until, "quiet_hours")
            expires = min(expires, night.until)
        return self._render(proposal, channel, expires)

    def _obstacle(self, proposal: Proposal, channel: Channel) -> tuple[Reason, str]:
        """Return the reason why a channel cannot be used, and a detail; both are empty if it can be used."""
        rule, (_, customer, now) = proposal.rule, proposal.recipient
        if rule.category == "marketing":
            missing = consent.obstacle(customer.facts, rule.purpose, channel, self.configuration.consent, now)
            if missing is not None:
                return "no_consent", missing
        if consent.address(customer.facts, channel) is None:
            return "no_address", ""
        if channel in self.paused:
            return "channel_paused", ""
        cap = caps.reached(self.configuration.caps, customer.ledger.sent, rule, channel, now)
        if cap is not None:
            return "capped", caps.in_words(cap)
        return "", ""

    def _render(self, proposal: Proposal, channel: Channel, expires: int) -> Decision:
        """Render the message and send it; if its template fails, send the fallback, wait, or drop the message."""
        rule, signal, recipient, zone = proposal.rule, proposal.signal, proposal.recipient, proposal.zone.name
        if signal.kind == "consent_pending":
            zone = self.configuration.timezone  # the user's own follows from a trait
        to = consent.address(recipient.customer.facts, channel)
        assert to is not None, "a channel without an address was chosen"
        template = self.configuration.template(rule.template)
        if template is None:  # an older version of a journey names a template that was removed
            return proposal.drop("rule_gone", channel, f"there is no template {rule.template}")
        failure = ""
        try:
            values = context(rule, signal, recipient, zone, self.configuration.postal_address)
            content = compose(template, channel, rule.category, values, name=rule.template)
        except TemplateError as error:
            failure = str(error)[:MAX_DETAIL]
            if rule.category == "marketing":
                return proposal.drop("template_error", channel, failure)
            try:
                values = certain(rule, signal, recipient.user, zone, recipient.now)
                content = compose_fallback(template, channel, values, name=rule.template)
            except TemplateError as second:
                until = min(recipient.now + RENDER_RETRY_MS, proposal.expires)
                return proposal.defer(channel, until, "template_error", f"{failure}; {second}"[:MAX_DETAIL])
        return proposal.send(channel, to, content, expires, failure)


def journey_of(rule: str) -> str:
    """Return the journey of a ``send`` step, which is a rule of the name ``journey/step``; empty for a plain rule."""
    journey, found, _ = rule.partition("/")
    return journey if found else ""


def _cause_of(pending: Pending) -> str:
    return _decode_signal(pending.signal).cause


def again_from(rule: Rule, ledger: Ledger) -> int:
    """Return the end of a rule's cooldown for this user, milliseconds; 0 if it has no cooldown or has sent nothing."""
    fired = ledger.fired.get(rule.name)
    return 0 if fired is None or not rule.cooldown else fired + rule.cooldown


def _has_cart_changed(proposal: Proposal) -> bool:
    """Return whether a cart is empty by now, or has changed so recently that a later reminder comes."""
    facts, now = proposal.recipient.customer.facts, proposal.recipient.now
    is_new = facts.cart_at > proposal.signal.at and facts.cart_at + proposal.rule.when.delay > now
    return is_new or not facts.cart


def _was_sent_since(ledger: Ledger, rule: Rule, at: int) -> bool:
    """Return whether a message of a rule was sent at a time or later."""
    return any(one.rule == rule.name and one.at >= at and one.outcome not in caps.NOT_SENT for one in ledger.sent)


def _deleted(pending: Pending) -> Rule:
    """Make a rule for a pending message whose rule was deleted.

    The category of the deleted rule is not stored. The reason why the message waits shows it, because only marketing
    waits for quiet hours.
    """
    return _stand_in(pending.rule, "transactional" if pending.reason == "template_error" else "marketing")


def _stand_in(name: str, category: Category = "marketing") -> Rule:
    """Make a rule in place of one that was deleted."""
    return Rule(name=name, category=category, when=Trigger(kind="event"), channels=FIRST_CHANNELS, template=name)
