"""Check that a crash, a stall or an absence of the broker explains each message that stayed unknown.

An attempt carries the name of the dispatcher that made it, and so identifies one life of one process. The incident
must lie between the attempt and the time at which the message became unknown. Messages whose connection was lost are
not checked here. A life must not leave more unknown messages than the number of calls that it makes at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.delivery.deliveries import DeliveryRecord
from stream.settings.mail_schema import SmtpSection
from tests.chaos.lives import Absence, Life

PLACES = SmtpSection(host="", sender="").connections
CLOCKS_APART_MS = 200
"""Possible error of the recorded time of a stop, milliseconds; stops are found by polling."""


class Attempt(NamedTuple):
    """An attempt with an unknown outcome.

    Attributes
    ----------
    message
        Id of the message.
    by
        Name of the dispatcher that made the attempt.
    at, unknown
        Begin of the attempt, and the time since which its outcome is unknown, milliseconds.
    """

    message: str
    by: str
    at: int
    unknown: int


@dataclass(frozen=True)
class Troubles:
    """Incidents that can leave a message unknown.

    Attributes
    ----------
    lives
        Lives by the names of their dispatchers.
    broker
        Periods in which the broker was away.
    hanging
        Periods in which the provider did not answer. In such a period, even a process that ends cleanly does not learn
        the outcomes of all its calls.
    """

    lives: Mapping[str, Life] = field(default_factory=dict)
    broker: Sequence[Absence] = ()
    hanging: Sequence[Absence] = ()


def open_attempt(message: str, changes: Sequence[DeliveryRecord]) -> Attempt | None:
    """Return the attempt after which a message became unknown; ``changes`` begins with the message's oldest record."""
    attempted: DeliveryRecord | None = None
    for delivery in changes:
        if delivery.status == "attempted":
            attempted = delivery
        elif delivery.status == "unknown" and attempted is not None:
            return Attempt(message, attempted.by, attempted.changed, delivery.changed)
    return None


def unexplained(attempts: Iterable[Attempt], troubles: Troubles, places: int = PLACES) -> list[str]:
    """Describe messages that no incident explains, and lives that left more unknown messages than they can."""
    charged: Counter[str] = Counter()
    found = []
    for attempt in attempts:
        life = troubles.lives.get(attempt.by)
        if life is None:
            found.append(f"{attempt.message} of no known life ({attempt.by})")
        elif _ended(life, attempt, troubles.hanging) or _stalled(life, attempt):
            charged[f"{life.name} (process {life.pid})"] += 1
        elif away := [one for one in troubles.broker if one.meets(attempt.at, attempt.unknown)]:
            charged[f"{life.name} (process {life.pid}), when the broker was away since {away[0].begin},"] += 1
        else:
            found.append(f"{attempt.message} of {life.name}, {attempt.unknown - attempt.at} ms after its attempt")
    return found + [f"{life} left {n}, with {places} places" for life, n in charged.items() if n > places]


def _ended(life: Life, attempt: Attempt, hanging: Sequence[Absence]) -> bool:
    if life.end is None or not attempt.at <= life.end + CLOCKS_APART_MS <= attempt.unknown + 2 * CLOCKS_APART_MS:
        return False
    # A process that ends cleanly waits for its calls and reports their outcomes, but only for a limited time.
    return life.code != 0 or any(one.meets(attempt.at, life.end) for one in hanging)


def _stalled(life: Life, attempt: Attempt) -> bool:
    return any(attempt.at <= stall.begin + CLOCKS_APART_MS <= attempt.unknown for stall in life.stalls)
