"""The suppression list in one channel of a delivering process: it stops messages, and answers become entries."""

from __future__ import annotations

import re
from collections.abc import Callable

from models.batch import Output
from models.delivery.address_hashes import domain_of
from models.delivery.bounce_guard import ALL, BounceGuard
from models.delivery.bounces import MIN_APART_MS, Bounce
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.notices import AddressReport
from models.delivery.suppression import ENDED_BY, SCOPE_OF, TOPIC, Reason, SuppressionEntry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppression_rules import in_force, time_in_force
from models.events import Channel
from models.units import SECOND

MAX_SOURCE = 200
"""Maximum number of characters of a provider's words that an entry keeps."""
MAX_WAIT_S = 60.0
"""Maximum wait of a message to a held domain before it is tried again, seconds."""


_ADDRESS = re.compile(r"\S+@\S+|\+?\d[\d ()/-]{5,}\d")


def _nothing() -> str:
    return ""


def without_addresses(text: str) -> str:
    """Remove e-mail addresses and phone numbers from a text of a provider.

    Examples
    --------
    >>> without_addresses("550 5.1.1 <ada@example.com>: unknown; call +49 30 901820")
    '550 5.1.1 ... unknown; call ...'
    """
    return _ADDRESS.sub("...", text)[:MAX_SOURCE]


class Suppressor:
    """The use of the suppression list by one channel: it stops messages, and makes entries from answers and reports.

    An entry that this process writes takes effect in this process immediately. The other processes read it from the
    topic.

    Parameters
    ----------
    channel
        Channel of all messages.
    listed
        The list, kept current by the reader of its topic.
    why_untrusted
        Returns the reason why the list cannot be trusted now; an empty text if it can be trusted.

    Attributes
    ----------
    channel
        See the parameter.
    """

    def __init__(self, channel: Channel, listed: SuppressionList, why_untrusted: Callable[[], str] = _nothing) -> None:
        self.channel = channel
        self._list = listed
        self._why_untrusted = why_untrusted
        self._guard = BounceGuard()

    def __repr__(self) -> str:
        return f"<Suppressor {self.channel}, {self._why_untrusted() or 'trusted'}>"

    def hash_of(self, message: Message) -> str:
        """Return the hashed address for a message's unsubscribe link; an empty text for a message that is not live."""
        return self._list.hashes.newest(message.channel, message.to) if message.origin == "live" else ""

    def stops(self, message: Message, now: int) -> Result | None:
        """Return the result of a message that must not leave now; ``None`` if it may leave.

        ``suppressed``: its address is on the list. ``failed``: it waits, because the list cannot be trusted, or because
        too many messages to its domain bounce.
        """
        untrusted = self._why_untrusted()
        if untrusted:
            return Result("failed", f"held: {untrusted}", retry_after=1.0, called=False)
        stop = self._list.stops(message.channel, message.to, message.category, asks=bool(message.confirms))
        if stop is not None:
            return Result("suppressed", f"{stop.reason} ({stop.scope})", called=False)
        domain = domain_of(message.channel, message.to)
        until = self._guard.held_until(domain, message.category, now) if message.origin == "live" else None
        if until is not None:
            wait_s = min((until - now) / SECOND, MAX_WAIT_S)
            return Result("failed", f"held: too many bounces of {domain or 'all'}", retry_after=wait_s, called=False)
        return None

    def storms(self, now: int) -> list[str]:
        """Return the domains with too many bounces; see :meth:`BounceGuard.storms`."""
        return self._guard.storms(now)

    def after_attempt(self, message: Message, result: Result, now: int) -> list[Output]:
        """Count the result of an attempt, and return the entries that follow from it."""
        if message.origin != "live" or not result.called:
            return []
        self._count(message.to, result, now)
        source = f"answer {result.code}"
        if result.status == "delivered":
            return self._taken(message)
        if result.bounce == "stop":
            return [self._entry(message.to, "stop", now, source)]
        if result.bounce in ("hard", "gone", "second"):
            return self._bounced(message.to, result.bounce != "second", now, source)
        return []

    def after_report(self, report: AddressReport, now: int) -> list[Output]:
        """Return the entries that follow from a report about an address."""
        at = min(report.at, now)
        if report.kind == "complaint":
            return [self._entry(report.address, "complaint", at, report.source)]
        if report.kind == "hard_bounce":
            return self._bounced(report.address, True, at, report.source, now)
        return self._ending(report.address, "confirmed", at, report.source)

    def refused(self, address: str, bounce: Bounce, now: int, source: str) -> list[Output]:
        """Return the entries that follow from a refusal that the provider reported later.

        Parameters
        ----------
        address
            Address of the recipient.
        bounce
            Class of the refusal.
        now
            Time of the report, milliseconds.
        source
            Sender of the report.
        """
        if bounce == "stop":
            return [self._entry(address, "stop", now, source)]
        if bounce not in ("hard", "second"):
            return []
        self._guard.note(domain_of(self.channel, address) or ALL, hard=bounce == "hard", now=now)
        return self._bounced(address, bounce == "hard", now, source)

    def delivered(self, address: str, now: int, source: str) -> list[Output]:
        """Return the entry that ends the bounces of an address, because the provider reported a delivery later."""
        self._guard.note(domain_of(self.channel, address) or ALL, hard=False, now=now)
        return self._ending(address, "delivered", now, source)

    def started(self, address: str, now: int, source: str) -> list[Output]:
        """Return the entry that ends a STOP, because the owner of the number has sent START."""
        return self._ending(address, "start", now, source)

    # --- inside

    def _count(self, address: str, result: Result, now: int) -> None:
        """Count an answer for the guard. An address counts as a bounce only once, because one address is no storm.

        An address that has ended (``gone``) counts as an attempt alone. A tenth of all devices is usual, and no storm.
        """
        if result.status in ("delivered", "rejected"):
            known = "bounce" in in_force(self._list.marks(self.channel, address))
            domain = domain_of(self.channel, address) or ALL
            self._guard.note(domain, hard=result.bounce == "hard" and not known, now=now)

    def _ending(self, address: str, reason: Reason, at: int, source: str) -> list[Output]:
        """Return the entry that ends other entries. If the address has no such entry, return nothing.

        This keeps the list small. But if the list cannot be trusted, it may lack entries. Then the ending entry is
        returned in any case.
        """
        marks = self._list.marks(self.channel, address)
        ends = any(ENDED_BY.get(one) == reason for one in marks)
        return [self._entry(address, reason, at, source)] if ends or self._why_untrusted() else []

    def _taken(self, message: Message) -> list[Output]:
        """Remove the suspicion of a bounce, because the server has accepted a message to that address."""
        if "bounce_suspected" not in self._list.marks(message.channel, message.to):
            return []
        every = self._list.hashes.every(message.channel, message.to)
        return [self._write(Output(TOPIC, key_of(address, "bounce_suspected"), None)) for address in every]

    def _bounced(self, address: str, hard: bool, at: int, source: str, now: int | None = None) -> list[Output]:
        if not self._guard.may_write(domain_of(self.channel, address) or ALL, at if now is None else now):
            return []
        suspected = in_force(self._list.marks(self.channel, address)).get("bounce_suspected")
        if hard or (suspected is not None and at - suspected.at >= MIN_APART_MS):
            return [self._entry(address, "bounce", at, source)]
        # A known suspicion is written again, with its time: the transaction with its first entry may have failed.
        return [self._entry(address, "bounce_suspected", at if suspected is None else suspected.at, source)]

    def _entry(self, address: str, reason: Reason, at: int, source: str) -> Output:
        marks = self._list.marks(self.channel, address)
        known = marks.get(reason)
        if reason == "stop":
            at = time_in_force(marks, reason, at)  # it must also end a START whose clock was ahead
        bounced = ENDED_BY.get(reason) == "delivered"
        entry = SuppressionEntry(
            scope=SCOPE_OF[reason],
            reason=reason,
            channel=self.channel,
            source=without_addresses(source),
            at=at if known is None else max(at, known.at),  # the time of a reason never decreases
            domain=domain_of(self.channel, address) if bounced else "",
        )
        key = key_of(self._list.hashes.newest(self.channel, address), reason)
        return self._write(Output(TOPIC, key, encode_entry(entry)))

    def _write(self, output: Output) -> Output:
        self._list.apply(output.key, output.value)
        return output
