"""A visitor's marketing that waited in delivery at the login, and is decided again for the known user."""

from __future__ import annotations

from typing import NamedTuple

from models.profile.signals import Signal


class HandedMessage(NamedTuple):
    """A message that delivery has withdrawn for certain, because its visitor has logged in.

    Attributes
    ----------
    message
        Id of the message.
    rule
        Name of the rule that decided about it.
    signal
        The signal that triggered it, about the known user.
    cart_at
        For a reminder of a cart: time of the last change of the joint cart, milliseconds.
    is_over
        Whether its reason has ended: the cart was bought, emptied or changed since.
    """

    message: str
    rule: str
    signal: Signal
    cart_at: int = 0
    is_over: bool = False
