"""Explanations of the planner's decisions, for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.profile.signals import Signal

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "expired": "the trigger was too old, or would have been after quiet hours",
        "duplicate": "the same message was sent before, or was already waiting",
        "already_waiting": "another message of this rule was already waiting",
        "cooldown": "the rule had sent a message not long before",
        "channel_paused": "the channel was paused with `perennial pause`",
        "no_consent": "no consent on record for the purpose and the channel",
        "no_address": "no usable address",
        "capped": "one more message would have exceeded a cap",
        "quiet_hours": "it was within quiet hours",
        "template_error": "the template could not be rendered",
        "public_key": "its trigger came with a browser key, which anybody can read",
        "exited": "the journey had ended by an exit while the message waited",
        "journey_paused": "the journey was paused with `perennial journeys pause`",
        "local_time": "the time of the campaign had not come yet in the zone of the user",
        "rule_gone": "the rule was deleted while the message waited",
        "cart_changed": "the cart was bought, emptied or changed while the message waited",
        "held_out": "the user belongs to the control group of the campaign",
        "left_audience": "the user had left the audience of the campaign",
        "cancelled": "the campaign was cancelled while the message waited",
    }
)
"""Explanation of each ``decisions.Reason``, for people."""


def explain(rule: str, signal: Signal, configuration: int) -> str:
    """Explain a trigger in one sentence: the rule, the signal, the model that decided, and its reasons.

    Examples
    --------
    >>> risen = Signal(kind="churn_risk", user="u1", at=1, cause="m9", previous=0.61, value=0.74, version=12,
    ...                reasons=("12 days since the last visit",))
    >>> explain("win_back", risen, 3)
    'win_back (configuration 3): churn risk rose from 0.61 to 0.74 by model version 12: 12 days since the last visit'
    """
    text = f"{rule} (configuration {configuration}): {_happened(signal)}"
    if signal.version:
        text += f" by model version {signal.version}"
    if signal.reasons:
        text += f": {', '.join(signal.reasons)}"
    return text


def _happened(signal: Signal) -> str:
    match signal.kind:
        case "churn_risk":
            return f"churn risk rose from {signal.previous:.2f} to {signal.value:.2f}"
        case "segment_entered":
            return f"entered the segment {signal.name!r}"
        case "segment_left":
            return f"left the segment {signal.name!r}"
        case "lifecycle_moved":
            return f"moved from the stage {signal.origin!r} to {signal.name!r}"
        case "first_purchase":
            return f"first purchase ({signal.cause})"
        case "cart_left":
            return f"cart left with {len(signal.items)} {'item' if len(signal.items) == 1 else 'items'}"
        case "event":
            return f"event {signal.name!r} ({signal.cause})"
        case "journey_step":
            return f"step {signal.name!r} of run {signal.run}"
        case "campaign":
            return f"campaign {signal.name!r}, start {signal.run}"
        case "campaign_converted":
            return f"campaign converted ({signal.name})"
        case "consent_pending":
            return f"a consent has to be confirmed ({signal.cause})"
        case "journey_entered" | "journey_refused" | "journey_converted" | "journey_ended":
            return f"{signal.kind.replace('_', ' ')} ({signal.name}: {signal.origin})"
