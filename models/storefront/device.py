"""The browser of a shopper who logs in: its anonymous id, and the moments at which the shopper logs in and out."""

from __future__ import annotations

import random
from dataclasses import dataclass

from models.events import ANONYMOUS

_AT_RETURN = 0.35
"""Probability that a shopper who comes again logs in at the beginning of the visit, 0 to 1."""
_WITH_CART, _WITHOUT_CART = 0.6, 0.15
"""Probabilities that a shopper logs in after browsing: with something in the cart, and with an empty cart."""
_OTHER_BROWSER = 0.01
"""Probability that a shopper who is logged in comes with another browser next time."""
_LOGGED_OUT = 0.01
"""Probability that a shopper who is logged in is logged out when the next visit begins."""


@dataclass(slots=True)
class Device:
    """The browser in which a shopper visits the shop at present.

    Attributes
    ----------
    shopper
        Number of the shopper.
    draw
        Random generator of the logins. The shopper's other behaviour has a separate generator.
    number
        Number of the browser, from 1.
    is_logged_in
        Whether the shopper is logged in.
    """

    shopper: int
    draw: random.Random
    number: int = 1
    is_logged_in: bool = False

    @property
    def visitor(self) -> str:
        """Key under which the shop knows a visitor with this browser who is not logged in.

        Examples
        --------
        >>> Device(17, random.Random(1)).visitor, Device(17, random.Random(1), number=2).visitor
        ('anonymous:visitor-0017', 'anonymous:visitor-0017-2')
        """
        suffix = f"-{self.number}" if self.number > 1 else ""
        return f"{ANONYMOUS}visitor-{self.shopper:04d}{suffix}"

    def begin_visit(self) -> None:
        """Begin a visit; a shopper who was logged in may come logged out, or with another browser."""
        if not self.is_logged_in:
            return
        ticket = self.draw.random()
        if ticket < _OTHER_BROWSER:
            self.number += 1
        self.is_logged_in = ticket >= _OTHER_BROWSER + _LOGGED_OUT

    def logs_in_first(self, visits: int) -> bool:
        """Draw whether the shopper logs in at the beginning of a visit; ``visits`` is its number, from 1."""
        return not self.is_logged_in and visits > 1 and self.draw.random() < _AT_RETURN

    def logs_in_now(self, *, has_cart: bool) -> bool:
        """Draw whether the shopper logs in after browsing, before anything is bought."""
        return not self.is_logged_in and self.draw.random() < (_WITH_CART if has_cart else _WITHOUT_CART)
