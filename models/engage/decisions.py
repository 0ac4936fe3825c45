"""Decisions of the planner, and their form in the topic ``decisions``."""

from __future__ import annotations

from typing import Literal

import msgspec

from models.configuration.categories import Category
from models.delivery.messages import Message
from models.events import Channel
from models.profile.signals import Signal

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
    "exited",
    "journey_paused",
    "local_time",
    "cart_changed",
    "held_out",
    "left_audience",
    "cancelled",
]
"""The reason why a message was deferred or dropped; empty for one that was sent.

- ``expired``: the trigger is older than the rule allows, or would be when quiet hours end.
- ``duplicate``: this message was sent before, or is already waiting.
- ``already_waiting``: a message of the rule waits for quiet hours to end. Or too many messages wait for their
  templates (``planner.MAX_HELD``, ``proposal.MAX_WAITING_BYTES``).
- ``template_error``: a deferred message waits for a configuration that can render it.
- ``rule_gone``: the configuration in use has no such rule any more, or not its template.
- ``exited``: the run of a journey has ended by an exit while the message waited.
- ``journey_paused``: the journey is paused, and the message waits for its end.
- ``local_time``: the campaign has a local time, which has not come yet in the user's zone.
- ``cart_changed``: the cart was bought, emptied or changed while its reminder waited.
- ``held_out``: the user belongs to the control group of a campaign.
- ``left_audience``: the user was in the audience of a campaign at its start, but not when the message was to be sent.
- ``cancelled``: the campaign was cancelled while the message waited.
- ``public_key``: the event came with a browser key, so anyone could have sent it. It triggers no transactional message.
"""

_encoder = msgspec.json.Encoder()


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """The decision about one rule and one signal, as it is written to ``decisions``.

    Attributes
    ----------
    id
        The id of the message that the decision is about, sent or not.
    user, rule, category
        The user, the rule, and the rule's category.
    outcome, reason
        The outcome, and its :data:`Reason`.
    channel
        The chosen channel, or the preferred one if no channel can be used.
    blocked
        The reason by channel, for each channel that cannot be used.
    detail
        More about the reason, such as the cap. For a sent message: why its fallback was sent instead.
    why
        The trigger and the model that decided, for people.
    signal
        The trigger, with the model's version and reasons.
    configuration
        The version of the configuration in use.
    at
        The time of the decision, milliseconds.
    until
        The time of the next attempt of a deferred message, milliseconds.
    fallback
        Whether the message is the fallback of its template.
    replaces
        Id of a visitor's message that was withdrawn at the login, and about which this decision decides again.
    message
        The message that is sent; not a part of the record.
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
    replaces: str = ""
    message: Message | None = None


_decoder = msgspec.json.Decoder(Decision)


def encode_decision(decision: Decision) -> bytes:
    """Encode a decision as JSON for ``decisions``; its message is written to ``messages.<channel>`` instead."""
    return _encoder.encode(msgspec.structs.replace(decision, message=None))


def decode_decision(value: bytes) -> Decision:
    """Read what :func:`encode_decision` wrote, or raise ``msgspec.DecodeError``."""
    return _decoder.decode(value)
