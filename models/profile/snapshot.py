"""The facts that decisions see, frozen at one moment.

A decision of a piece of the log is made after all facts of the piece are folded. So it sees a snapshot of the moment to
which it belongs. The values of these facts are replaced by reducers, and never changed in place. Therefore a snapshot
copies references alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from models.events import Origin
from models.profile.state import CartLine, Consent, Facts


class Seen(Protocol):
    """The facts that decisions see; :class:`Facts` and :class:`Snapshot` have them."""

    @property
    def identified(self) -> bool:
        """Whether the user is known by a ``userId``."""

    @property
    def traits(self) -> dict[str, Any]:
        """Traits by name."""

    @property
    def consent(self) -> Mapping[str, Consent]:
        """Consent by channel."""

    @property
    def cart(self) -> Mapping[str, CartLine]:
        """Lines of the cart by item."""

    @property
    def cart_at(self) -> int:
        """Time of the last change of the cart, milliseconds."""

    @property
    def orders(self) -> int:
        """Number of orders."""

    @property
    def spent(self) -> Mapping[str, int]:
        """Micros by currency."""

    @property
    def origin(self) -> Origin:
        """The least live origin of all events."""


class Snapshot:
    """The facts that decisions see, at the moment at which the snapshot is taken.

    Parameters
    ----------
    facts
        The facts about the user. Values that are replaced in them later do not change the snapshot.
    """

    __slots__ = ("_facts",)

    def __init__(self, facts: Facts) -> None:
        self._facts: Facts = facts.__copy__()  # type: ignore[attr-defined]  # which msgspec gives to each struct

    def __repr__(self) -> str:
        """Show the values."""
        shown = (f"{name}={getattr(self, name)!r}" for name in SEEN)
        return f"Snapshot({', '.join(shown)})"

    @property
    def identified(self) -> bool:
        """Whether the user is known by a ``userId``."""
        return self._facts.identified

    @property
    def traits(self) -> dict[str, Any]:
        """Traits by name."""
        return self._facts.traits

    @property
    def consent(self) -> Mapping[str, Consent]:
        """Consent by channel."""
        return self._facts.consent

    @property
    def cart(self) -> Mapping[str, CartLine]:
        """Lines of the cart by item."""
        return self._facts.cart

    @property
    def cart_at(self) -> int:
        """Time of the last change of the cart, milliseconds."""
        return self._facts.cart_at

    @property
    def orders(self) -> int:
        """Number of orders."""
        return self._facts.orders

    @property
    def spent(self) -> Mapping[str, int]:
        """Micros by currency."""
        return self._facts.spent

    @property
    def origin(self) -> Origin:
        """The least live origin of all events."""
        return self._facts.origin


SEEN = ("identified", "traits", "consent", "cart", "cart_at", "orders", "spent", "origin")
"""Names of the facts that decisions see."""
