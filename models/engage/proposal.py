"""A message that a rule proposes; each decision about the message is recorded in the user's ledger."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from models.configuration.compiled import Configuration, Rule
from models.delivery.messages import Message, message_id
from models.engage import caps
from models.engage.composing import Content
from models.engage.decisions import Decision, Outcome, Reason
from models.engage.recipient import Recipient
from models.engage.user_zone import zone_of
from models.engage.why import explain
from models.events import Channel
from models.profile.ledger import Ledger, Pending, SentMessage, Withheld
from models.profile.signals import Signal

MAX_WITHHELD = 20
"""Maximum number of withheld messages kept per user; the oldest are removed first."""
MAX_WAITING_BYTES = 400_000
"""Maximum size of a user's pending messages, bytes. The whole state of the user has to fit into one record."""

Waiting: TypeAlias = Literal["quiet_hours", "template_error", "journey_paused", "local_time"]
"""The reason why a message waits."""

_encode_signal = msgspec.json.Encoder().encode
_encode_pending = msgspec.msgpack.Encoder().encode


class Proposal:
    """A message that one rule proposes for one signal and one recipient.

    Parameters
    ----------
    configuration, version
        The configuration in use, and its version.
    rule, signal
        The rule, and the signal that triggered it.
    recipient
        The recipient; each decision is recorded in the ledger of its ``customer``.

    Attributes
    ----------
    id
        The id of the message.
    expires
        The time from which the message is too old to be sent, milliseconds.
    why
        The trigger and the model that decided, for people.
    zone
        The time zones that the recipient may be in.
    is_keyed
        Whether the message is the send of a journey's step, or that of a campaign. Several of one step may wait, one
        for each run.
    """

    def __init__(
        self, configuration: Configuration, version: int, rule: Rule, signal: Signal, recipient: Recipient
    ) -> None:
        self.configuration = configuration
        self.version = version
        self.rule = rule
        self.signal = signal
        self.recipient = recipient
        # The send of a journey's step or of a campaign has a key, under which it is decided once, at whatever time.
        self.is_keyed = signal.kind in ("journey_step", "campaign")
        self.id = message_id(recipient.user, rule.name, signal.cause, 0 if self.is_keyed else signal.at)
        self.expires = signal.at + rule.expires_after
        self.why = explain(rule.name, signal, version)
        self.zone = zone_of(recipient.customer.facts.traits, configuration.timezone)

    def __repr__(self) -> str:
        """Name the message, the rule and the user."""
        return f"Proposal({self.id!r}, rule={self.rule.name!r}, user={self.recipient.user!r})"

    @property
    def ledger(self) -> Ledger:
        """The ledger of the recipient."""
        return self.recipient.customer.ledger

    @property
    def encoded_signal(self) -> bytes:
        """The signal in the form in which a pending message keeps it."""
        return _encode_signal(self.signal)

    @property
    def _asks(self) -> dict[str, str]:
        """The purpose and the text that the link of the message confirms, if it asks for that."""
        if self.signal.kind != "consent_pending":
            return {}
        said = self.signal.properties or {}
        return {"confirms": str(said.get("purpose", "")), "wording": str(said.get("text", ""))}

    @property
    def _may_move(self) -> bool:
        """Whether the message is handed over to a known user if the visitor logs in while it waits in delivery."""
        return self.rule.category == "marketing" and not self.recipient.customer.facts.identified

    def send(self, channel: Channel, to: str, content: Content, expires: int, failure: str = "") -> Decision:
        """Decide to send the message, and record it in the ledger, so that it counts towards the caps.

        Parameters
        ----------
        channel, to
            The channel, and the recipient's address there.
        content
            The rendered message, or its rendered fallback.
        expires
            The time after which delivery does not send it, milliseconds.
        failure
            The error of the template, if the content is its fallback.
        """
        now, ledger = self.recipient.now, self.ledger
        message = Message(
            id=self.id,
            user=self.recipient.user,
            rule=self.rule.name,
            category=self.rule.category,
            channel=channel,
            to=to,
            subject=content.subject,
            text=content.text,
            html=content.html,
            why=self.why,
            at=now,
            expires=expires,
            origin=self.recipient.customer.facts.origin,
            signal=self.encoded_signal if self._may_move else b"",
            purpose=self.rule.purpose,
            **self._asks,
        )
        sent = SentMessage(
            id=self.id,
            rule=self.rule.name,
            channel=channel,
            category=self.rule.category,
            at=now,
            subject=message.subject,
            why=self.why,
            detail=f"the fallback: {failure}" if failure else "",
        )
        ledger.sent = caps.trimmed(self.configuration, [*ledger.sent, sent], now)
        if not self.is_keyed:
            ledger.fired = {**ledger.fired, self.rule.name: now}
        decision = self._decision("sent", channel)
        return msgspec.structs.replace(decision, message=message, detail=failure, fallback=bool(failure))

    def defer(
        self,
        channel: Channel,
        until: int,
        reason: Waiting,
        detail: str = "",
    ) -> Decision:
        """Defer the message and keep its signal; drop it if all pending messages together would be too large."""
        pending = Pending(
            rule=self.rule.name,
            signal=self.encoded_signal,
            until=until,
            expires=self.expires,
            reason=reason,
            configuration=self.version if reason == "template_error" else 0,
            detail=detail,
        )
        waiting = [*self.ledger.pending, pending]
        if len(_encode_pending(waiting)) > MAX_WAITING_BYTES:
            return self.drop("already_waiting", channel, detail)
        self.ledger.pending = waiting
        return msgspec.structs.replace(self._decision("deferred", channel, reason), until=until, detail=detail)

    def drop(
        self,
        reason: Reason,
        channel: Channel | None = None,
        detail: str = "",
        blocked: dict[str, Reason] | None = None,
    ) -> Decision:
        """Decide not to send the message, and record the reason."""
        channel, ledger = channel or self.rule.channels[0], self.ledger
        withheld = Withheld(rule=self.rule.name, channel=channel, reason=reason, at=self.recipient.now, detail=detail)
        ledger.withheld = [*ledger.withheld, withheld][-MAX_WITHHELD:]
        decision = self._decision("dropped", channel, reason)
        return msgspec.structs.replace(decision, detail=detail, blocked=blocked or {})

    def _decision(self, outcome: Outcome, channel: Channel, reason: Reason = "") -> Decision:
        return Decision(
            id=self.id,
            user=self.recipient.user,
            rule=self.rule.name,
            category=self.rule.category,
            outcome=outcome,
            reason=reason,
            channel=channel,
            why=self.why,
            signal=self.signal,
            configuration=self.version,
            at=self.recipient.now,
        )
