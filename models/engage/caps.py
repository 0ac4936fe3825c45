"""Caps: the maximum number of messages that a user gets within rolling windows."""

from __future__ import annotations

from collections.abc import Sequence

from models.configuration.compiled import Cap, Configuration, Rule
from models.durations import written
from models.events import Channel
from models.profile.ledger import SentMessage

SUPPRESSED = "suppressed"
"""Outcome of a message that the suppression list stopped."""
HANDED_OVER = "handed_over"
"""Outcome of a visitor's message that was withdrawn at the login, and decided again for the known user."""
FAILED = "failed"
"""Outcome of a message that the provider refused, that expired before the provider took it, or that was withdrawn."""
NOT_SENT = frozenset({SUPPRESSED, HANDED_OVER, FAILED})
"""Outcomes of messages that were certainly not sent and do not count towards a cap."""
MIN_KEPT = 30
"""Minimum number of sent messages kept per user; those within the longest cap of their category are always kept."""


def reached(caps: Sequence[Cap], sent: Sequence[SentMessage], rule: Rule, channel: Channel, now: int) -> Cap | None:
    """Find the first cap that one more message of ``rule`` over ``channel`` would exceed.

    A message with an outcome in ``NOT_SENT`` does not count.

    Examples
    --------
    >>> from models.configuration.compiled import Trigger
    >>> one = SentMessage(id="m", rule="r", channel="sms", category="marketing", at=1_000)
    >>> rule = Rule(name="s", category="marketing", when=Trigger(kind="event"), channels=("email",), template="s")
    >>> reached([Cap(1, 500)], [one], rule, "email", now=1_499)
    Cap(messages=1, within=500, channel=None, category='marketing', journey='')
    >>> reached([Cap(1, 500)], [one], rule, "email", now=1_500)
    """
    for cap in caps:
        if not _is_of(cap, rule.category, rule.name, channel):
            continue
        within = sum(
            1
            for message in sent
            if message.at > now - cap.within
            and message.outcome not in NOT_SENT
            and _is_of(cap, message.category, message.rule, message.channel)
        )
        if within >= cap.messages:
            return cap
    return None


def in_words(cap: Cap) -> str:
    """Return a cap in words for people.

    Examples
    --------
    >>> in_words(Cap(1, 86_400_000, "sms", journey="trial"))
    '1 in 1d over sms, journey trial'
    """
    category = "" if cap.category == "marketing" else f", {cap.category}"
    journey = f", journey {cap.journey}" if cap.journey else ""
    return f"{cap.messages} in {written(cap.within)} over {cap.channel or 'all channels'}{category}{journey}"


def trimmed(configuration: Configuration, sent: Sequence[SentMessage], now: int) -> list[SentMessage]:
    """Return the sent messages that are still needed, oldest first; see :data:`MIN_KEPT`."""
    windows: dict[str, int] = {}
    for cap in configuration.caps:
        windows[cap.category] = max(cap.within, windows.get(cap.category, 0))
    first = max(0, len(sent) - MIN_KEPT)
    return [
        message for i, message in enumerate(sent) if i >= first or message.at > now - windows.get(message.category, 0)
    ]


def _is_of(cap: Cap, category: str, rule: str, channel: str) -> bool:
    """Return whether a cap limits the messages of a category, a rule and a channel."""
    return (
        category == cap.category
        and cap.channel in (None, channel)
        and (not cap.journey or rule.startswith(f"{cap.journey}/"))
    )
