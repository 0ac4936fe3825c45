"""Reports of bounced e-mail by other tools: a track call with a known name, whose properties describe the bounce."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from models.wire.withdrawals import normalized

NAMES: Final[tuple[str, ...]] = (
    "Email Bounced",
    "Bounced Email",
    "Email Bounce",
    "Email Hard Bounced",
    "Hard Bounce",
    "Hard Bounced",
    "users.messages.email.Bounce",
)
"""Names of events that report a bounce."""

_NAMES = frozenset(map(normalized, NAMES))
_LONGEST = max(map(len, NAMES)) + 20
_FLAGS = ("hard", "permanent", "isHard", "is_hard", "hard_bounce", "isHardBounce")
_KINDS = ("bounce_type", "bounceType", "Bounce Type", "type", "kind", "classification", "bounce_class", "category")
_HARD_KINDS = frozenset(
    {"hard", "permanent", "hardbounce", "permanentrecipient", "invalidrecipient", "permanentfailure"}
)
_STATUSES = ("status", "code", "enhanced_status", "dsn", "smtp_status", "diagnostic", "reason")
_hard_status = re.compile(r"(?<![\d.])5\.1\.(?:1|3|6|10)(?![\d.])").search


def is_bounce(name: str) -> bool:
    """Return whether an event with this name reports a bounced e-mail."""
    return len(name) <= _LONGEST and normalized(name) in _NAMES


def is_hard(name: str, properties: Mapping[str, Any]) -> bool:
    """Return whether a report says that the bounce is permanent.

    Parameters
    ----------
    name
        Name of the event. A name with ``hard`` in it needs no property.
    properties
        A flag (``hard: true``), a kind (``bounce_type: Permanent``), or one of the enhanced status codes 5.1.1, 5.1.3,
        5.1.6 and 5.1.10. Any other report counts as a temporary failure.

    Examples
    --------
    >>> is_hard("Email Bounced", {"bounceType": "Permanent"}), is_hard("Email Bounced", {"reason": "550 5.1.1 no user"})
    (True, True)
    >>> is_hard("Email Bounced", {"bounce_type": "soft"}), is_hard("Email Bounced", {"reason": "452 4.2.2 full"})
    (False, False)
    """
    if any(properties.get(flag) is True for flag in _FLAGS):
        return True
    kinds = [normalized(kind) for name in _KINDS if isinstance(kind := properties.get(name), str)]
    if kinds:
        return any(kind in _HARD_KINDS for kind in kinds)
    statuses = [status for name in _STATUSES if isinstance(status := properties.get(name), str)]
    return any(_hard_status(status[:1_000]) for status in statuses) or "hard" in normalized(name)
