"""Counts of the visitors who logged in, and one example of what follows from a merged profile; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from models.engage.decisions import Decision
from models.events import Event, Forwarding, MergeRecord
from models.identity.payload import unpack_payload


class LoginExample(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor who filled a cart, logged in, and was reminded of this cart as a known user.

    Attributes
    ----------
    visitor, user
        The anonymous id, and the known user.
    items
        Content of the cart.
    filled_at, login_at, reminded_at
        Times of the cart's last change, of the login, and of the reminder, milliseconds.
    rule, channel
        The rule that reminded, and the channel.
    """

    visitor: str
    user: str
    items: tuple[str, ...]
    filled_at: int
    login_at: int
    reminded_at: int
    rule: str
    channel: str


class LoginFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the visitors who logged in.

    Attributes
    ----------
    known
        Number of visitors who became known users.
    merged, merged_events
        Number of them whose profile was merged into that of the user, and of the events in these profiles.
    forwarded
        Number of events that came under the id of such a visitor later, and count for the user.
    example
        One example; ``None`` if there is none.
    """

    known: int
    merged: int
    merged_events: int
    forwarded: int
    example: LoginExample | None


class FilledCart(msgspec.Struct, frozen=True, kw_only=True):
    """The cart of a visitor at the login; the fields are those of :class:`LoginExample`."""

    visitor: str
    items: frozenset[str]
    filled_at: int
    login_at: int


class Reminder(msgspec.Struct, frozen=True, order=True):
    """A message about a cart that was left; the fields are those of :class:`LoginExample`."""

    reminded_at: int
    user: str
    items: tuple[str, ...]
    rule: str
    channel: str


@dataclass(slots=True)
class LoginTally:
    """Counts of all logins read so far. The records of different topics may come in any order.

    Attributes
    ----------
    owners
        Known user of each visitor who logged in.
    merged
        Number of events in each profile that was merged, by the visitor's id.
    forwarded
        Number of forwarded events.
    carts
        Carts of visitors at the login, by known user.
    changes
        Times at which known users have put something into their carts, milliseconds.
    reminders
        Reminders of carts.
    """

    owners: dict[str, str] = field(default_factory=dict)
    merged: dict[str, int] = field(default_factory=dict)
    forwarded: int = 0
    carts: dict[str, list[FilledCart]] = field(default_factory=dict)
    changes: dict[str, list[int]] = field(default_factory=dict)
    reminders: list[Reminder] = field(default_factory=list)

    def add_record(self, event: Event) -> None:
        """Count a record between two profiles."""
        said = event.identity
        if isinstance(said, Forwarding):
            self.forwarded += 1
            if event.type == "cart_add":
                self.add_cart_change(event.user, event.at)
        elif isinstance(said, MergeRecord) and said.outcome in ("merged", "empty"):
            self._add_merge(event, said)

    def add_cart_change(self, user: str, at: int) -> None:
        """Remember that a known user has put something into the cart."""
        self.changes.setdefault(user, []).append(at)

    def add_decision(self, decision: Decision) -> None:
        """Remember a reminder of a cart that was left."""
        signal = decision.signal
        if decision.outcome == "sent" and signal.kind == "cart_left":
            self.reminders.append(
                Reminder(decision.at, decision.user, signal.items, decision.rule, str(decision.channel))
            )

    def figures(self) -> LoginFigures:
        """Return all figures."""
        return LoginFigures(
            known=len(self.owners),
            merged=len(self.merged),
            merged_events=sum(self.merged.values()),
            forwarded=self.forwarded,
            example=next((found for one in sorted(self.reminders) if (found := self._example(one)) is not None), None),
        )

    def _add_merge(self, event: Event, merge: MergeRecord) -> None:
        visitor = event.anonymous or ""
        self.owners[visitor] = event.user
        if merge.outcome != "merged":
            return
        facts = unpack_payload(merge.payload).facts
        self.merged[visitor] = sum(facts.events.values())
        if facts.cart:
            cart = FilledCart(
                visitor=visitor, items=frozenset(facts.cart), filled_at=facts.cart_at, login_at=merge.login_at
            )
            self.carts.setdefault(event.user, []).append(cart)

    def _example(self, reminder: Reminder) -> LoginExample | None:
        """Return the example that a reminder is, if its whole cart was filled before a login."""
        for cart in self.carts.get(reminder.user, ()):
            if not cart.login_at <= reminder.reminded_at or not cart.items.issuperset(reminder.items):
                continue
            if any(cart.filled_at < at <= reminder.reminded_at for at in self.changes.get(reminder.user, ())):
                continue
            return LoginExample(
                visitor=cart.visitor, user=reminder.user, items=reminder.items, filled_at=cart.filled_at,
                login_at=cart.login_at, reminded_at=reminder.reminded_at, rule=reminder.rule, channel=reminder.channel,
            )  # fmt: skip
        return None
