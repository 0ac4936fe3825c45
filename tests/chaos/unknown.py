"""Whether each message that stayed unknown has its own crash or its own lost connection.

An attempt carries the name of the desk that made it, and so of one life of one process. Only what happened to that very
life, to the broker, or to that very connection, between the attempt and its becoming unknown, can have left it so; and
a life that ends leaves no more of them than it makes calls side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.delivery.deliveries import Delivery
from stream.delivery.smtp import SmtpSettings
from tests.chaos.lives import Interval, Life

PLACES = SmtpSettings(host="").connections
CLOCKS_APART_MS = 200
"""A stop is seen by looking now and then."""


class Attempt(NamedTuple):
    """An attempt whose end nobody knows.

    Attributes
    ----------
    message
        Its id.
    by
        Name of the desk that made it.
    at, unknown
        When it began, and since when its end is unknown, milliseconds.
    """

    message: str
    by: str
    at: int
    unknown: int


@dataclass(frozen=True)
class Troubles:
    """What can leave a message unknown.

    Attributes
    ----------
    lives
        By the name of a desk.
    broker
        When the broker was away.
    hanging
        When the provider gave no answers: then not even who ends in order hears of all calls that it has begun.
    """

    lives: Mapping[str, Life] = field(default_factory=dict)
    broker: Sequence[Interval] = ()
    hanging: Sequence[Interval] = ()


def open_attempt(message: str, changes: Sequence[Delivery]) -> Attempt | None:
    """The attempt after which a message became unknown, from its records in their order."""
    attempted: Delivery | None = None
    for delivery in changes:
        if delivery.status == "attempted":
            attempted = delivery
        elif delivery.status == "unknown" and attempted is not None:
            return Attempt(message, attempted.by, attempted.changed, delivery.changed)
    return None


def unexplained(attempts: Iterable[Attempt], troubles: Troubles, places: int = PLACES) -> list[str]:
    """Messages that nothing explains, and lives that left more than they can, in words."""
    charged: Counter[str] = Counter()
    found = []
    for attempt in attempts:
        life = troubles.lives.get(attempt.by)
        if life is None:
            found.append(f"{attempt.message} of nobody ({attempt.by})")
        elif _ended(life, attempt, troubles.hanging) or _stalled(life, attempt):
            charged[f"{life.who} (process {life.pid})"] += 1
        elif away := [one for one in troubles.broker if one.meets(attempt.at, attempt.unknown)]:
            charged[f"{life.who} (process {life.pid}), when the broker was away since {away[0].begin},"] += 1
        else:
            found.append(f"{attempt.message} of {life.who}, {attempt.unknown - attempt.at} ms after its attempt")
    return found + [f"{who} left {n}, with {places} places" for who, n in charged.items() if n > places]


def _ended(life: Life, attempt: Attempt, hanging: Sequence[Interval]) -> bool:
    if life.end is None or not attempt.at <= life.end + CLOCKS_APART_MS <= attempt.unknown + 2 * CLOCKS_APART_MS:
        return False
    # Who ends in order waits for its calls, and tells what became of them; but not for ever.
    return life.code != 0 or any(one.meets(attempt.at, life.end) for one in hanging)


def _stalled(life: Life, attempt: Attempt) -> bool:
    return any(attempt.at <= stall.begin + CLOCKS_APART_MS <= attempt.unknown for stall in life.stalls)
