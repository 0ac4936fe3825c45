"""Settlement of attempts and look-ups: results become transitions, outcomes and entries of the suppression list."""

from __future__ import annotations

from models.delivery.deliveries import DeliveryRecord, Result, deadline
from models.delivery.messages import Message
from models.delivery.notices import Withdrawal
from models.delivery.schedule import Schedule
from models.delivery.step import DeliveryStep
from models.delivery.suppressor import Suppressor
from models.delivery.transitions import (
    LookupDelays,
    Transition,
    answered,
    expired,
    looked_up,
    resolved,
    stopped,
    withdrawn,
)
from models.events import Channel


class Settlement:
    """The effect of results on a partition's deliveries.

    Parameters
    ----------
    schedule
        The partition's open messages and timers, changed with each delivery.
    lookup_delays_ms
        Delays before the look-ups of an unknown delivery; empty if the provider cannot be asked.
    suppressor
        Makes entries of the suppression list from answers; ``None`` makes none.
    """

    def __init__(self, schedule: Schedule, lookup_delays_ms: LookupDelays, suppressor: Suppressor | None) -> None:
        self._schedule = schedule
        self._delays = lookup_delays_ms
        self._suppressor = suppressor

    def __repr__(self) -> str:
        return f"<Settlement of {self._schedule!r}, {self._suppressor!r}>"

    def answer(self, step: DeliveryStep, key: bytes, result: Result) -> None:
        """Settle an attempt."""
        record, message = _read(step, key)
        self._judge(step, message, result)
        self._change(step, key, record, answered(record, result, self._delays, step.now))

    def look_up(self, step: DeliveryStep, key: bytes, result: Result) -> None:
        """Settle a look-up of an unknown delivery."""
        record, message = _read(step, key)
        if result.status in ("delivered", "rejected"):
            self._judge(step, message, result)
        self._change(step, key, record, looked_up(record, result, self._delays, step.now))

    def resolve(self, step: DeliveryStep, key: bytes, channel: Channel, result: Result, to: str = "") -> None:
        """Replace an unknown outcome by the true one; do nothing if the outcome is known.

        Parameters
        ----------
        step, key, channel, result
            The step, the delivery, its channel, and the true outcome.
        to
            The address that has bounced; empty if none has, or if another process makes the entry of it.
        """
        record = step.read(key)
        if record.status == "unknown":
            if to and self._suppressor is not None:
                step.count("bounces", channel, result.bounce)
                entries = self._suppressor.refused(to, result.bounce, step.now, f"answer {result.code}")
                step.suppress(entries, channel)
            if record.summary is None:  # an old record does not name its user, so no event can be made
                step.count("deliveries", channel, "resolved")
            self._change(step, key, record, resolved(record, result, step.now))

    def expire(self, step: DeliveryStep, key: bytes) -> None:
        """End a waiting message that has expired."""
        record = step.read(key)
        self._change(step, key, record, expired(record, step.now, paused=self._schedule.paused))

    def withdraw(self, step: DeliveryStep, notice: Withdrawal) -> None:
        """End the waiting marketing messages of a user, and prevent further attempts for those in flight or unknown.

        A message that is handed over to a ``known`` user is only stopped, and :meth:`end_stopped` ends it in the next
        step. Without transactions, a step whose outcome was written may be repeated after a crash. The message must not
        be attempted then, because the known user's profile may already have decided again.
        """
        user, why, known = notice.user, notice.reason or "consent was withdrawn", notice.known
        for key in self._schedule.open.of_user(user, "waiting"):
            record, message = _read(step, key)
            if not _is_meant(message, notice):
                continue
            if known and message.signal:
                step.write(key, stopped(record, why, known))
                self._schedule.stop(key)
            else:
                self._change(step, key, record, withdrawn(record, why, step.now))
        # A call in flight cannot be recalled. But the message is not tried again, whichever process gets the answer.
        for key in self._schedule.open.of_user(user, "calling", "unknown", "looking_up"):
            record, message = _read(step, key)
            if _is_meant(message, notice):
                step.write(key, stopped(record, why, known))

    def end_stopped(self, step: DeliveryStep) -> None:
        """End the messages that earlier steps have stopped."""
        for key in self._schedule.take_stopped():
            record = step.read(key)
            self._change(step, key, record, withdrawn(record, record.stopped, step.now))

    def _judge(self, step: DeliveryStep, message: Message, result: Result) -> None:
        """Write to the suppression list if an answer says something about the address."""
        if result.bounce:
            step.count("bounces", message.channel, result.bounce)
        if self._suppressor is not None:
            step.suppress(self._suppressor.after_attempt(message, result, step.now), message.channel)

    def _change(self, step: DeliveryStep, key: bytes, before: DeliveryRecord, change: Transition) -> None:
        """Report the outcome of a transition, store its record, and schedule what follows."""
        record, outcome, summary = change.record, change.outcome, before.summary
        if outcome is not None and summary is not None:
            step.report(key, summary, outcome)
            label = "sent" if outcome.status == "delivered" else outcome.status
            step.count("deliveries", summary.channel, "resolved" if change.resolves else label)
        self._schedule.place(key, record, step.write(key, record))
        if record.status == "queued" and record.message is not None:
            step.count("delivery_retries", record.message.channel)
            if deadline(record.message, record.arrived) <= step.now:
                self.expire(step, key)


def _is_meant(message: Message, notice: Withdrawal) -> bool:
    """Return whether a withdrawal is about a message: it is marketing, and of the purpose that is withdrawn."""
    return message.category == "marketing" and notice.purpose in ("", message.purpose)


def _read(step: DeliveryStep, key: bytes) -> tuple[DeliveryRecord, Message]:
    """Return the delivery of a message that has not ended, with the message."""
    record = step.read(key)
    assert record.message is not None
    return record, record.message
