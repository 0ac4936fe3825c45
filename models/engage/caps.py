"""Caps: the maximum number of marketing messages that a user gets within rolling windows."""

from __future__ import annotations

from collections.abc import Sequence

from models.configuration.compiled import Cap, Configuration
from models.events import Channel
from models.profile.ledger import SentMessage

SUPPRESSED = "suppressed"
"""Outcome of a message that the suppression list stopped."""
HANDED_OVER = "handed_over"
"""Outcome of a visitor's message that was withdrawn at the login, and decided again for the known user."""
NOT_SENT = frozenset({SUPPRESSED, HANDED_OVER})
"""Outcomes of messages that were certainly not sent and do not count towards a cap."""
MIN_KEPT = 30
"""Minimum number of sent messages kept per user; marketing within the longest cap window is always kept."""


def reached(caps: Sequence[Cap], sent: Sequence[SentMessage], channel: Channel, now: int) -> Cap | None:
    """Find the first cap that one more marketing message over ``channel`` would exceed.

    A message with an outcome in ``NOT_SENT`` does not count.

    Examples
    --------
    >>> one = SentMessage(id="m", rule="r", channel="sms", category="marketing", at=1_000)
    >>> reached([Cap(1, 500)], [one], "email", now=1_499), reached([Cap(1, 500)], [one], "email", now=1_500)
    (Cap(messages=1, within=500, channel=None), None)
    """
    for cap in caps:
        if cap.channel is not None and cap.channel != channel:
            continue
        within = sum(
            1
            for message in sent
            if message.category == "marketing"
            and message.outcome not in NOT_SENT
            and message.at > now - cap.within
            and (cap.channel is None or message.channel == cap.channel)
        )
        if within >= cap.messages:
            return cap
    return None


def trimmed(configuration: Configuration, sent: Sequence[SentMessage], now: int) -> list[SentMessage]:
    """Return the sent messages that are still needed, oldest first; see :data:`MIN_KEPT`."""
    window = max((cap.within for cap in configuration.caps), default=0)
    first = max(0, len(sent) - MIN_KEPT)
    return [
        message
        for i, message in enumerate(sent)
        if i >= first or (message.category == "marketing" and message.at > now - window)
    ]
