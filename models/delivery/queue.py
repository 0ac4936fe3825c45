"""The queue of one partition's deliveries: it decides which deliveries are attempted, looked up, retried and ended.

Every method takes the current step, and adds to its outputs. The decisions are valid once the outputs are committed.
Nothing here calls a provider, waits, or reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.batch import Batch
from models.delivery.calls import Call, CallTerms
from models.delivery.content import read_content
from models.delivery.deliveries import (
    HANDOVER_ANSWER_MS,
    HANDOVER_WAIT_MS,
    RETENTION_MS,
    DeliveryRecord,
    Result,
)
from models.delivery.messages import Message
from models.delivery.notices import (
    AddressReport,
    Answer,
    ChannelPaused,
    InFlight,
    Notice,
    Resolution,
    Withdrawal,
)
from models.delivery.schedule import Schedule
from models.delivery.settlement import Settlement
from models.delivery.step import DeliveryStep
from models.delivery.transitions import attempted, queued
from models.errors import InvalidEvent
from models.rejected import reason_of, reject
from models.source import Source

_PAUSED = b"paused"
"""Memo of a queue whose channel is paused."""


class DeliveryQueue:
    """The deliveries of one partition.

    Parameters
    ----------
    records
        Committed records of the partition. The driver of the agent keeps them current.
    memo
        Committed memo of the partition.
    terms
        Process name for the attempts made here, delays before look-ups, and suppressor.
    """

    def __init__(
        self,
        records: Mapping[bytes, bytes],
        memo: bytes,
        terms: CallTerms,
    ) -> None:
        self._records = records
        self._suppressor = terms.suppressor
        self._by = terms.name
        self._schedule = Schedule(paused=memo == _PAUSED)
        self._settlement = Settlement(self._schedule, terms.lookup_delays_ms, terms.suppressor)
        self._found = self._schedule.restore(records)  # attempts without a result, until resume() decides about them
        self._awaited: dict[bytes, int] = {}  # attempts of other processes, and until when to await their answers

    def __repr__(self) -> str:
        return f"<DeliveryQueue {self._schedule!r}, awaited={len(self._awaited)}>"

    # --- questions

    @property
    def waiting(self) -> int:
        """Number of messages that wait."""
        return self._schedule.open.waiting

    @property
    def is_full(self) -> bool:
        """Whether no more messages should be read now."""
        return self._schedule.open.is_full

    @property
    def wanted(self) -> int:
        """Number of calls that could begin now if there were slots for them."""
        return self._schedule.ready

    @property
    def next_due(self) -> int | None:
        """The time of the next timer, milliseconds of the wall clock; 0 if it is overdue, ``None`` without one."""
        if self._schedule.stopped:
            return 0
        due = self._schedule.next_due()
        if not self._awaited:
            return due
        answer = min(self._awaited.values())
        return answer if due is None else min(due, answer)

    def step(self, now: int) -> DeliveryStep:
        """Begin a step at the time ``now``, milliseconds of the wall clock."""
        return DeliveryStep(self._records, now)

    # --- the beginning

    def resume(self, step: DeliveryStep, is_held: Callable[[Call, str], bool]) -> list[Call]:
        """Decide about the attempts that were found without a result.

        Parameters
        ----------
        step
            The current step.
        is_held
            Returns whether this process began the call under that process name: the call is in flight, or its answer
            has arrived.

        Returns
        -------
        list
            The calls that continue. If this process stored an attempt but never began its call, the attempt is made
            again. An attempt of another process becomes unknown, unless that process reports the answer in time.
        """
        going_on = []
        found, self._found = self._found, []
        for key in found:
            record = step.read(key)
            call, by = _call(record), record.by
            if is_held(call, by):
                going_on.append(call)
            elif self._by and by == self._by:
                self._settle(step, key, Result("failed", "not begun"))
            else:
                self._awaited[key] = step.now + HANDOVER_WAIT_MS
        return going_on

    # --- input

    def withdraw_stopped(self, step: DeliveryStep) -> None:
        """End the messages that an earlier, committed step has stopped because their visitors have logged in."""
        self._settlement.end_stopped(step)

    def admit(self, step: DeliveryStep, batch: Batch) -> None:
        """Queue the messages of a batch, act on its notices, and reject all other records."""
        for record in batch.records:
            try:
                content = read_content(record, batch.topic)
            except InvalidEvent as error:
                step.emit(reject(record, Source(batch.topic, batch.partition, record.offset), error))
                step.count("events_rejected", reason_of(error))
                continue
            if isinstance(content, Message):
                self._queue(step, content)
            else:
                self._follow(step, content)

    def settle(self, step: DeliveryStep, message_id: str, result: Result) -> None:
        """Record how an attempt or a look-up has ended."""
        key = message_id.encode()
        phase = self._schedule.open.phase(key)
        if phase == "calling":
            self._settle(step, key, result)
        elif phase == "looking_up":
            self._settlement.look_up(step, key, result)

    # --- output

    def sweep(self, step: DeliveryStep) -> None:
        """Process due timers: make deliveries ready, end expired messages, await no late answers, forget old ids."""
        schedule = self._schedule
        for key in schedule.times.take_due(step.now):
            if schedule.open.phase(key) in ("waiting", "unknown"):
                schedule.times.add_ready(key)
        for key in schedule.times.take_late(step.now):
            if schedule.open.phase(key) == "waiting":
                self._settlement.expire(step, key)
        for key in [key for key, until in self._awaited.items() if until <= step.now]:
            self._settle(step, key, Result("unknown", "the process ended between attempt and result"))
        for key in schedule.times.take_old(step.now):
            # A delivery that was resolved after its end has a second, later entry in the timetable.
            if step.read(key).changed + RETENTION_MS <= step.now:
                step.forget(key)

    def begin(self, step: DeliveryStep, most: int) -> list[Call]:
        """Return the next calls, at most ``most``. They must not be made before the outputs are committed."""
        calls: list[Call] = []
        while self._schedule.ready and len(calls) < most:
            key = self._schedule.times.take_ready()
            phase = self._schedule.open.phase(key)
            if phase == "waiting":
                calls.append(self._attempt(step, key))
            elif phase == "unknown":
                calls.append(self._look_up(step, key))
        return calls

    # --- inside

    def _queue(self, step: DeliveryStep, message: Message) -> None:
        key = message.id.encode()
        if step.knows(key):
            step.count("deliveries", message.channel, "duplicate")
            return
        record = queued(message, step.now)
        self._schedule.wait(key, record, step.write(key, record))
        self._schedule.times.add_ready(key)

    def _attempt(self, step: DeliveryStep, key: bytes) -> Call:
        record = attempted(step.read(key), self._by, step.now)
        step.write(key, record)
        self._schedule.open.move(key, "calling")
        return _call(record)

    def _look_up(self, step: DeliveryStep, key: bytes) -> Call:
        self._schedule.open.move(key, "looking_up")
        return _call(step.read(key), looks_up=True)

    def _settle(self, step: DeliveryStep, key: bytes, result: Result) -> None:
        self._awaited.pop(key, None)
        self._settlement.answer(step, key, result)

    def _follow(self, step: DeliveryStep, notice: Notice) -> None:
        match notice:
            case ChannelPaused():
                self._schedule.paused = notice.paused
                step.keep(_PAUSED if notice.paused else b"")
            case Resolution():
                result = Result(notice.status, "reported by the provider")
                self._settlement.resolve(step, notice.message.encode(), notice.channel, result)
            case Answer():
                self._inherit(step, notice)
            case InFlight():
                if self._is_awaited(step, notice):
                    self._awaited[notice.message.encode()] = step.now + HANDOVER_ANSWER_MS
            case Withdrawal():
                self._settlement.withdraw(step, notice)
            case AddressReport() if self._suppressor is not None:
                step.suppress(self._suppressor.after_report(notice, step.now), self._suppressor.channel)

    def _inherit(self, step: DeliveryStep, answer: Answer) -> None:
        """Take over the answer to an attempt that another process made."""
        key, result = answer.message.encode(), answer.result()
        if self._is_awaited(step, answer):
            self._settle(step, key, result)
        elif answer.status in ("delivered", "rejected") and step.read(key).attempts == answer.attempt:
            self._settlement.resolve(step, key, answer.channel, result, to=answer.to)  # late, but better than unknown

    def _is_awaited(self, step: DeliveryStep, notice: Answer | InFlight) -> bool:
        """Return whether a notice is about the attempt that is open here: the same number, made by the same process."""
        key = notice.message.encode()
        if key not in self._awaited:
            return False
        record = step.read(key)
        return (record.attempts, record.by) == (notice.attempt, notice.by)


def _call(record: DeliveryRecord, *, looks_up: bool = False) -> Call:
    assert record.message is not None
    return Call(record.message, record.attempts, looks_up)
