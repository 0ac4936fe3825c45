"""The schedule of a partition: which messages are open, and when each of them is due."""

from __future__ import annotations

from collections.abc import Mapping

from models.delivery.deliveries import DeliveryRecord, deadline, decode_delivery
from models.delivery.open_messages import OpenMessages
from models.delivery.timetable import Timetable
from models.log import is_control


class Schedule:
    """Open messages and their timers, which change together.

    Attributes
    ----------
    open
        Messages that have not ended, by phase.
    times
        Timers of open messages, and of messages that have ended.
    paused
        Whether the channel is paused. During a pause no call may begin.
    stopped
        Keys of the deliveries that are stored as stopped, and that the next step withdraws.
    """

    def __init__(self, *, paused: bool) -> None:
        self.stopped: list[bytes] = []
        self.open = OpenMessages()
        self.times = Timetable()
        self.paused = paused

    def __repr__(self) -> str:
        return f"<Schedule {self.open!r}, {self.times!r}{', paused' if self.paused else ''}>"

    @property
    def ready(self) -> int:
        """Number of calls that could begin now if there were slots for them."""
        return self.times.ready if not self.paused else 0

    def next_due(self) -> int | None:
        """Return the time of the next timer, milliseconds; ``None`` without one."""
        return self.times.next_due(lambda key: self.open.phase(key) == "waiting")

    def restore(self, records: Mapping[bytes, bytes]) -> list[bytes]:
        """Enter all deliveries of a restored partition, and return the keys of attempts without a result."""
        queue: list[tuple[int, int, bytes]] = []
        finished: list[tuple[int, bytes]] = []
        attempts = []
        for key, value in records.items():
            if is_control(key):
                continue
            record = decode_delivery(value)
            if record.message is None:
                finished.append((record.changed, key))
            elif record.status == "queued" and record.stopped:
                self.open.put(key, "waiting", user=record.message.user, size=len(value))
                self.stop(key)
            elif record.status == "queued":
                queue.append((record.due, record.arrived, key))
                self.wait(key, record, len(value))
            elif record.status == "attempted":
                attempts.append(key)
                self.open.put(key, "calling", user=record.message.user, size=len(value))
            else:
                self.place(key, record, len(value))
        self.times.restore(queue, finished)
        return attempts

    def wait(self, key: bytes, record: DeliveryRecord, size: int) -> None:
        """Enter a message that waits, with its deadline; ``size`` is the size of its record, bytes."""
        assert record.message is not None
        self.open.put(key, "waiting", user=record.message.user, size=size)
        self.times.add_deadline(deadline(record.message, record.arrived), key)

    def stop(self, key: bytes) -> None:
        """Let no attempt begin for a message that waits; the next step withdraws it."""
        self.open.move(key, "stopped")
        self.stopped.append(key)

    def take_stopped(self) -> list[bytes]:
        """Return the keys of the stopped deliveries, and forget them."""
        taken, self.stopped = self.stopped, []
        return taken

    def place(self, key: bytes, record: DeliveryRecord, size: int) -> None:
        """Enter a delivery by the status of its record: it waits until its due time, or has ended."""
        if record.message is None:
            self.open.remove(key)
            self.times.add_finished(record.changed, key)
            return
        if record.status == "queued":
            self.wait(key, record, size)
        else:
            self.open.put(key, "unknown", user=record.message.user)
        self.times.add_due(record.due, key)
