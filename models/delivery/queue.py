"""The deliveries of one partition: reads the committed records, and makes the changes to them.

Every method takes the outputs of the step that is being made and adds to them; what it decided holds once they are
committed. Nothing here calls a provider, waits, or knows a clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from models.batch import Batch, Output, Outputs, Record
from models.delivery.deliveries import (
    HEIR_WAITS,
    HEIR_WAITS_FOR_CALL,
    KEPT,
    LOOK_UPS,
    Delivery,
    Result,
    closed_of,
    deadline,
    decode_delivery,
    encode_delivery,
    outcome,
    outcome_of,
    wait_after,
)
from models.delivery.messages import Message, decode_message
from models.delivery.notices import (
    AddressReport,
    Answer,
    Hold,
    Notice,
    Resolution,
    UnderWay,
    Withdrawal,
    decode_notice,
)
from models.delivery.suppression import place_of
from models.delivery.suppressor import Suppressor
from models.errors import InvalidEvent
from models.events import Channel, encode_event
from models.log import is_control
from models.rejected import reason_of, reject
from models.source import Source

MOST_WAITING = 5_000
"""Messages of a partition that wait or are in flight; then no more are read. A withdrawal behind them waits, too."""
MOST_BYTES = 16 << 20
"""The same, in bytes of their records."""


class Call(NamedTuple):
    """A provider is to be called for a message.

    Attributes
    ----------
    message
        Which.
    number
        Of the attempt, from 1.
    looks_up
        Whether it only asks what became of that attempt.
    """

    message: Message
    number: int
    looks_up: bool = False


class EndedCall(NamedTuple):
    """A call that has ended.

    Attributes
    ----------
    call
        The call.
    result
        How it ended.
    """

    call: Call
    result: Result


class Book:
    """See the module.

    Parameters
    ----------
    records
        Committed state of the lane, kept current by whoever drives it.
    memo
        Committed memo of the lane.
    by
        Name of whoever makes attempts here, no one else's ever.
    look_ups
        Before each look at an unknown one, milliseconds; none where the provider cannot be asked.
    suppressor
        Writes to the suppression list what follows from answers and reports; ``None`` writes nothing.
    """

    def __init__(
        self,
        records: Mapping[bytes, bytes],
        memo: bytes = b"",
        *,
        by: str = "",
        look_ups: Sequence[int] = LOOK_UPS,
        suppressor: Suppressor | None = None,
    ) -> None:
        self._records = records
        self._suppressor = suppressor
        self._by = by
        self._look_ups = look_ups
        self._paused = memo == _PAUSED
        self._waiting: dict[bytes, str] = {}
        self._owners: dict[bytes, str] = {}  # users of all messages that have not ended
        self._calling: set[bytes] = set()
        self._asking: set[bytes] = set()
        self._unknown: set[bytes] = set()
        self._open: dict[bytes, Call] = {}
        self._elsewhere: dict[bytes, int] = {}
        self._ready: deque[bytes] = deque()
        self._due: list[tuple[int, bytes]] = []
        self._ends: list[tuple[int, bytes]] = []
        self._finished: deque[tuple[int, bytes]] = deque()
        self._sizes: dict[bytes, int] = {}
        self._bytes = 0
        self._restore()

    # --- what others ask

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        return len(self._calling) + len(self._asking)

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        return len(self._waiting)

    @property
    def is_paused(self) -> bool:
        """Whether the channel is paused."""
        return self._paused

    @property
    def is_full(self) -> bool:
        """Whether no more messages should be read now."""
        return len(self._waiting) + len(self._calling) >= MOST_WAITING or self._bytes >= MOST_BYTES

    @property
    def wanted(self) -> int:
        """Calls that could begin now, were there room."""
        return len(self._ready) if not self._paused else 0

    @property
    def next_due(self) -> int | None:
        """When the next timer is due, milliseconds of the wall clock; ``None`` without one."""
        while self._ends and self._ends[0][1] not in self._waiting:
            heapq.heappop(self._ends)
        times = [heap[0][0] for heap in (self._due, self._ends) if heap]
        if self._finished:
            times.append(self._finished[0][0] + KEPT)
        times.extend(self._elsewhere.values())
        return min(times, default=None)

    # --- the beginning

    def resume(self, now: int, known: Callable[[Call, str], bool], outputs: Outputs) -> list[Call]:
        """Decide about the attempts that were found without a result.

        Parameters
        ----------
        now
            The wall clock, milliseconds.
        known
            Whether whoever asks still holds an attempt: its call is under way, or its answer there. It gets the call
            and who made it.
        outputs
            Of this step.

        Returns
        -------
        list
            The attempts that go on. One made here that is not known here was never begun, so it is made again. One
            of another process is unknown, unless that one tells soon what the provider has answered.
        """
        going_on = []
        for key, call in list(self._open.items()):
            by = self._read(key, outputs).by
            if known(call, by):
                going_on.append(call)
                self._calling.add(key)
                self._grow(key, len(self._records[key]))
            elif self._by and by == self._by:
                self._settle(key, Result("failed", "not begun"), now, outputs)
            else:
                self._elsewhere[key] = now + HEIR_WAITS
                self._calling.add(key)
                self._grow(key, len(self._records[key]))
        self._open.clear()
        return going_on

    # --- what comes in

    def admit(self, batch: Batch, now: int, outputs: Outputs) -> None:
        """Queue what is new in a batch, heed its notices, reject what is neither."""
        for record in batch.records:
            try:
                content = _content(record, batch.topic)
            except InvalidEvent as error:
                outputs.commit.records.append(
                    reject(record, Source(batch.topic, batch.partition, record.offset), error)
                )
                _count(outputs, "events_rejected", reason_of(error))
                continue
            if isinstance(content, Message):
                self._queue(content, now, outputs)
            else:
                self._heed(content, now, outputs)

    def settle(self, message_id: str, result: Result, now: int, outputs: Outputs) -> None:
        """Note how an attempt, or a look at one, has ended."""
        key = message_id.encode()
        if key in self._asking:
            self._asking.discard(key)
            self._answered(key, result, now, outputs)
        elif key in self._calling:
            self._settle(key, result, now, outputs)

    # --- what follows

    def sweep(self, now: int, outputs: Outputs) -> None:
        """Let timers act: what is due gets ready, what is too late ends, what ended long ago is forgotten."""
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            if key in self._waiting or self._read(key, outputs).status == "unknown":
                self._ready.append(key)
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            if key in self._waiting:
                self._expire(key, now, outputs)
        for key in [key for key, until in self._elsewhere.items() if until <= now]:
            self._settle(key, Result("unknown", "the process ended between attempt and result"), now, outputs)
        while self._finished and self._finished[0][0] + KEPT <= now:
            _, key = self._finished.popleft()
            if self._read(key, outputs).changed + KEPT <= now:  # else it was resolved since, and stands here again
                outputs.commit.state[key] = None

    def begin(self, most: int, now: int, outputs: Outputs) -> list[Call]:
        """Take the next calls, at most ``most``; nobody may make them before the outputs are committed."""
        calls: list[Call] = []
        while self._ready and len(calls) < most and not self._paused:
            key = self._ready.popleft()
            if key in self._waiting:
                calls.append(self._attempt(key, now, outputs))
            elif key not in self._asking and key not in self._calling:
                delivery = self._read(key, outputs)
                if delivery.status == "unknown" and delivery.message is not None:
                    self._asking.add(key)
                    calls.append(Call(delivery.message, delivery.attempts, looks_up=True))
        return calls

    # --- inside

    def _restore(self) -> None:
        queued: list[tuple[int, int, bytes]] = []
        finished: list[tuple[int, bytes]] = []
        for key, value in self._records.items():
            if is_control(key):
                continue
            delivery = decode_delivery(value)
            if delivery.message is None:
                finished.append((delivery.changed, key))
                continue
            self._owners[key] = delivery.message.user
            if delivery.status == "queued":
                queued.append((delivery.due, delivery.since or delivery.changed, key))
                self._wait(key, delivery, len(value))
            elif delivery.status == "attempted":
                self._open[key] = Call(delivery.message, delivery.attempts)
            else:
                self._unknown.add(key)
                self._due.append((delivery.due, key))
        self._due.extend((due, key) for due, _, key in queued if due)
        heapq.heapify(self._due)
        self._ready.extend(key for due, _, key in sorted(queued) if not due)
        self._finished.extend(sorted(finished))

    def _read(self, key: bytes, outputs: Outputs) -> Delivery:
        value = outputs.commit.state.get(key) or self._records.get(key)
        return decode_delivery(value) if value is not None else _NOTHING

    def _queue(self, message: Message, now: int, outputs: Outputs) -> None:
        key = message.id.encode()
        if key in self._records or key in outputs.commit.state:
            _count(outputs, "deliveries", message.channel, "duplicate")
            return
        delivery = Delivery(status="queued", changed=now, since=now, message=message)
        self._write(key, delivery, outputs)
        self._wait(key, delivery, len(outputs.commit.state[key] or b""))
        self._ready.append(key)

    def _wait(self, key: bytes, delivery: Delivery, size: int) -> None:
        assert delivery.message is not None
        self._waiting[key] = self._owners[key] = delivery.message.user
        self._grow(key, size)
        heapq.heappush(self._ends, (deadline(delivery.message, delivery.since or delivery.changed), key))

    def _heed(self, notice: Notice, now: int, outputs: Outputs) -> None:
        if isinstance(notice, Hold):
            self._paused = notice.paused
            outputs.commit.memo = _PAUSED if notice.paused else b""
        elif isinstance(notice, Resolution):
            told = Result(notice.status, "told by the provider")
            self._resolve(notice.message.encode(), notice.channel, told, now, outputs)
        elif isinstance(notice, Answer):
            self._inherit(notice, now, outputs)
        elif isinstance(notice, UnderWay):
            if self._is_awaited(notice, outputs):
                self._elsewhere[notice.message.encode()] = now + HEIR_WAITS_FOR_CALL
        elif isinstance(notice, Withdrawal):
            self._withdraw(notice, now, outputs)
        elif isinstance(notice, AddressReport) and self._suppressor is not None:
            _list(outputs, self._suppressor.heard(notice, now), self._suppressor.channel)

    def _inherit(self, answer: Answer, now: int, outputs: Outputs) -> None:
        key = answer.message.encode()
        told = Result(
            answer.status,
            answer.detail,
            answer.provider_id,
            retry_after=answer.retry_after,
            answered=answer.answered,
            bounce=answer.bounce,
            code=answer.code,
        )
        if self._is_awaited(answer, outputs):
            self._settle(key, told, now, outputs)
        elif answer.status in ("delivered", "rejected") and self._read(key, outputs).attempts == answer.attempt:
            self._resolve(key, answer.channel, told, now, outputs)  # it came too late, but nobody knows better

    def _is_awaited(self, notice: Answer | UnderWay, outputs: Outputs) -> bool:
        """Whether a notice is about the attempt that is open here, and not about another one of the same number."""
        key = notice.message.encode()
        if key not in self._elsewhere:
            return False
        delivery = self._read(key, outputs)
        return (delivery.attempts, delivery.by) == (notice.attempt, notice.by)

    def _withdraw(self, notice: Withdrawal, now: int, outputs: Outputs) -> None:
        why = notice.reason or "consent was withdrawn"
        for key in [key for key, user in self._waiting.items() if user == notice.user]:
            message = self._read(key, outputs).message
            if message is not None and message.category == "marketing":
                self._finish(key, message, Result("withdrawn", why), now, outputs)
        # A call under way cannot be called back, but it is not tried again, whichever process learns of its end.
        for key in [key for key in (*self._calling, *self._unknown) if self._owners.get(key) == notice.user]:
            delivery = self._read(key, outputs)
            message = delivery.message
            if message is not None and message.category == "marketing":
                self._write(key, msgspec.structs.replace(delivery, stopped=why), outputs)

    def _attempt(self, key: bytes, now: int, outputs: Outputs) -> Call:
        delivery = self._read(key, outputs)
        assert delivery.message is not None
        begun = msgspec.structs.replace(
            delivery, status="attempted", changed=now, attempts=delivery.attempts + 1, due=0, by=self._by
        )
        self._write(key, begun, outputs)
        del self._waiting[key]
        self._calling.add(key)
        return Call(delivery.message, begun.attempts)

    def _settle(self, key: bytes, result: Result, now: int, outputs: Outputs) -> None:
        delivery = self._read(key, outputs)
        message = delivery.message
        assert message is not None
        self._calling.discard(key)
        self._elsewhere.pop(key, None)
        self._judge(message, result, now, outputs)
        if result.status == "failed":
            self._try_again(key, delivery, result, now, outputs)
        elif result.status == "unknown" and self._look_ups:
            self._tell(message, result, now, outputs)
            unknown = msgspec.structs.replace(delivery, looks=0, detail=_short(result), answered=result.answered)
            self._look_later(key, unknown, now, outputs)
        else:
            self._finish(key, message, result, now, outputs)

    def _judge(self, message: Message, result: Result, now: int, outputs: Outputs) -> None:
        """Write to the suppression list what an answer says about the address."""
        if result.bounce:
            _count(outputs, "bounces", message.channel, result.bounce)
        if self._suppressor is not None:
            _list(outputs, self._suppressor.ended(message, result, now), message.channel)

    def _try_again(self, key: bytes, delivery: Delivery, result: Result, now: int, outputs: Outputs) -> None:
        message = delivery.message
        assert message is not None
        if delivery.stopped:
            self._finish(key, message, Result("withdrawn", delivery.stopped), now, outputs)
            return
        self._unknown.discard(key)
        due = now + wait_after(message.id, max(delivery.attempts, 1), result.retry_after)
        since = delivery.since or delivery.changed
        queued = msgspec.structs.replace(
            delivery, status="queued", changed=now, since=since, due=due, by="", answered=False, detail=_short(result)
        )
        self._write(key, queued, outputs)
        self._wait(key, queued, len(outputs.commit.state[key] or b""))
        heapq.heappush(self._due, (due, key))
        _count(outputs, "delivery_retries", message.channel)
        self._expire_if_late(key, now, outputs)

    def _expire_if_late(self, key: bytes, now: int, outputs: Outputs) -> None:
        delivery = self._read(key, outputs)
        assert delivery.message is not None
        if deadline(delivery.message, delivery.since) <= now:
            self._expire(key, now, outputs)

    def _expire(self, key: bytes, now: int, outputs: Outputs) -> None:
        delivery = self._read(key, outputs)
        assert delivery.message is not None
        last = f"; attempts: {delivery.attempts}, the last: {delivery.detail}" if delivery.attempts else ""
        held = "; the channel is paused" if self._paused else ""
        detail = f"not handed over within its time{held}{last}"
        self._finish(key, delivery.message, Result("expired", detail), now, outputs)

    def _look_later(self, key: bytes, delivery: Delivery, now: int, outputs: Outputs) -> None:
        due = now + self._look_ups[delivery.looks]
        unknown = msgspec.structs.replace(delivery, status="unknown", changed=now, due=due, by="")
        self._write(key, unknown, outputs)
        self._shrink(key)
        self._unknown.add(key)
        heapq.heappush(self._due, (due, key))

    def _answered(self, key: bytes, result: Result, now: int, outputs: Outputs) -> None:
        delivery = self._read(key, outputs)
        if delivery.status != "unknown" or delivery.message is None:
            return  # the provider has told by itself in the meantime
        if result.status in ("delivered", "rejected"):
            self._judge(delivery.message, result, now, outputs)
            self._resolve(key, delivery.message.channel, result, now, outputs)
        elif delivery.looks + 1 < len(self._look_ups):
            self._look_later(key, msgspec.structs.replace(delivery, looks=delivery.looks + 1), now, outputs)
        elif result.status == "failed" and delivery.answered:
            self._try_again(key, delivery, Result("failed", delivery.detail), now, outputs)
        else:
            self._close(key, "unknown", now, outputs)

    def _resolve(self, key: bytes, channel: Channel, result: Result, now: int, outputs: Outputs) -> None:
        delivery = self._read(key, outputs)
        if delivery.status != "unknown":
            return
        of = delivery.closed if delivery.message is None else closed_of(delivery.message)
        if of is not None:
            event = outcome_of(key.decode(), of, result, now)
            outputs.commit.records.append(Output("outcomes", of.user.encode(), encode_event(event)))
        _count(outputs, "deliveries", channel, "resolved")
        self._close(key, result.status, now, outputs)

    def _finish(self, key: bytes, message: Message, result: Result, now: int, outputs: Outputs) -> None:
        self._waiting.pop(key, None)
        self._tell(message, result, now, outputs)
        self._close(key, result.status, now, outputs)

    def _close(self, key: bytes, status: str, now: int, outputs: Outputs) -> None:
        # nothing of a person is kept but that there was this message; of an unknown one, whose it was
        delivery = self._read(key, outputs)
        closed = None
        if status == "unknown":
            closed = delivery.closed if delivery.message is None else closed_of(delivery.message)
        kept = msgspec.convert({"status": _STORED.get(status, status), "changed": now}, Delivery)
        if closed is not None:
            kept = msgspec.structs.replace(kept, attempts=delivery.attempts, closed=closed)
        outputs.commit.state[key] = encode_delivery(kept)
        self._owners.pop(key, None)
        self._shrink(key)
        self._unknown.discard(key)
        self._finished.append((now, key))

    def _tell(self, message: Message, result: Result, now: int, outputs: Outputs) -> None:
        event = outcome(message, result, now)
        outputs.commit.records.append(Output("outcomes", message.user.encode(), encode_event(event)))
        _count(outputs, "deliveries", message.channel, "sent" if result.status == "delivered" else result.status)

    def _write(self, key: bytes, delivery: Delivery, outputs: Outputs) -> None:
        outputs.commit.state[key] = encode_delivery(delivery)

    def _grow(self, key: bytes, size: int) -> None:
        self._bytes += size - self._sizes.get(key, 0)
        self._sizes[key] = size

    def _shrink(self, key: bytes) -> None:
        self._bytes -= self._sizes.pop(key, 0)


_PAUSED = b"paused"
_STORED = {"suppressed": "withdrawn"}
"""Ends that a worker of the last release cannot read, and the end stored instead; the event names the true one."""
_NOTHING = Delivery(status="expired", changed=0)


def _short(result: Result) -> str:
    return result.detail[:300]


def _content(record: Record, topic: str) -> Message | Notice:
    value = record.value or b""
    try:
        notice = decode_notice(value)
        if notice is not None:
            return notice
        message = decode_message(value)
    except msgspec.DecodeError as error:
        raise InvalidEvent("bad_message", "", str(error), "a message as the fold writes it") from None
    if topic != f"messages.{message.channel}":
        raise InvalidEvent("bad_channel", "channel", message.channel, f"the channel of {topic}")
    return message


def _list(outputs: Outputs, entries: Sequence[Output], channel: Channel) -> None:
    outputs.commit.records += entries
    for entry in entries:
        if entry.value is not None:
            _count(outputs, "suppressions_written", channel, place_of(entry.key).reason)


def _count(outputs: Outputs, *key: str) -> None:
    outputs.counts[key] = outputs.counts.get(key, 0) + 1
