"""The conversions of a user that are remembered, so that later refunds of their orders are taken off again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

MAX_CONVERSIONS = 32
"""Maximum number of conversions that a profile remembers; the oldest is forgotten first, and then keeps its value."""
WHOLE_ORDER = -1
"""The stated value of a conversion whose value is the amount of its order."""


class CountedConversion(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A conversion whose value counts in the numbers of a journey or of a start of a campaign.

    Attributes
    ----------
    owner
        Name of the journey, or id of the start.
    is_campaign
        Whether the owner is a campaign.
    run
        Id of the run; for a campaign, the id of the start.
    is_held_out
        Whether it belongs to the control group.
    order
        Id of the order; empty without one.
    until
        Time until which refunds and updates of the order count, milliseconds.
    currency, value
        What counts now: a currency, empty for a number without one, and micros.
    stated
        Value that the event has stated, micros; ``WHOLE_ORDER`` if the value is the amount of the order.
    rule, channel
        The message that has the credit for the order; empty if no message has it, or another conversion has it.
    is_back
        Whether the order was refunded entirely, so that the credit is taken back.
    """

    owner: str
    is_campaign: bool
    run: str
    is_held_out: bool
    order: str
    until: int
    currency: str = ""
    value: int = 0
    stated: int = WHOLE_ORDER
    rule: str = ""
    channel: str = ""
    is_back: bool = False


def joined_conversions(
    own: Iterable[CountedConversion], others: Iterable[CountedConversion]
) -> tuple[CountedConversion, ...]:
    """Return the conversions of the known user with those of a visitor, the newest last.

    Both may have counted the same order for the same campaign; then both stay counted, and the one of the known user
    follows later refunds. Of two credits for one order, only that of the known user follows them.

    Examples
    --------
    >>> one = CountedConversion("trial", False, "r1", False, "o1", 20, "EUR", 5, rule="trial/a", channel="email")
    >>> other = msgspec.structs.replace(one, run="r2", until=10)
    >>> [(found.run, found.rule) for found in joined_conversions([one], [other])]
    [('r2', ''), ('r1', 'trial/a')]
    """
    known = list(own)
    same = {(one.run, one.order) for one in known if one.order}
    credited = {one.order for one in known if one.order and one.rule}
    for other in others:
        if (other.run, other.order) in same:
            continue
        if other.order in credited and other.rule:
            other = msgspec.structs.replace(other, rule="", channel="")
        known.append(other)
    return trimmed_conversions(sorted(known, key=lambda one: one.until))


def trimmed_conversions(conversions: Iterable[CountedConversion]) -> tuple[CountedConversion, ...]:
    """Return the newest conversions."""
    return tuple(conversions)[-MAX_CONVERSIONS:]
