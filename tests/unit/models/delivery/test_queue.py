"""In any sequence of events, no provider is called twice for an attempt whose outcome is unknown."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Batch, Outputs, Restored
from models.delivery.calls import Call, CallTerms
from models.delivery.deliveries import (
    LOOKUP_DELAYS_MS,
    MAX_RETRY_WAIT_MS,
    RETENTION_MS,
    Result,
    Status,
    decode_delivery,
    wait_after,
)
from models.delivery.messages import Message, encode_message, message_id
from models.delivery.notices import Answer, ChannelPaused, InFlight, Notice, Withdrawal, encode_notice
from models.delivery.queue import DeliveryQueue
from models.events import Event, HandoverNote, decode_event
from models.units import MINUTE, SECOND

START = 1_700_000_000_000
STATUSES: tuple[Status, ...] = ("delivered", "rejected", "failed", "unknown")
FINAL = {"delivered", "rejected", "unknown", "expired", "withdrawn"}


class StoredRecord(msgspec.Struct):
    """A record as a Kafka client shows it."""

    value: bytes
    offset: int = 0
    timestamp: int = START
    key: bytes | None = b"u"


def letter(number: int, now: int) -> Message:
    return Message(
        id=message_id("u", "rule", str(number), START),
        user=f"u{number % 3}",
        rule="rule",
        category="transactional" if number % 4 == 0 else "marketing",
        channel="email",
        to=f"u{number}@example.com",
        text="Hi\n",
        why="because",
        at=now,
        expires=now + 10 * MINUTE,
        origin="live",
        signal=b"{}",
    )


def batch(*contents: Message | Notice) -> Batch:
    values = [encode_message(one) if isinstance(one, Message) else encode_notice(one) for one in contents]
    return Batch("messages.email", 0, [StoredRecord(value) for value in values])


class SimulatedPartition:
    """A partition whose lane may restart at each commit, and a provider that records its calls.

    A process knows the calls that it has begun. After a kill, another process follows and does not know them. If the
    partition only moves to another process, the calls of the previous process continue. The previous process may
    report their ends, soon or late.
    """

    def __init__(self, lookup_delays_ms: Sequence[int]) -> None:
        self.lookup_delays_ms = lookup_delays_ms
        self.state = Restored()
        self.now = START
        self.processes = 0
        self.calls: dict[str, Call] = {}
        self.begun: set[tuple[str, int]] = set()
        self.ended: dict[str, Result] = {}
        self.elsewhere: list[tuple[Call, str, Result | None]] = []
        self.arrived: Counter[str] = Counter()
        self.log: list[Message | Notice] = []
        self.number = 0
        self.events: list[Event] = []
        self.lost = 0
        self._restart()

    @property
    def handed_over(self) -> set[str]:
        """Ids of the messages about which another profile decides again."""
        return {event.message or "" for event in self.events if isinstance(event.identity, HandoverNote)}

    # --- events

    def write(self, kind: str) -> None:
        """Append a record of a kind to the log."""
        if kind == "message":
            self.log.append(letter(self.number, self.now))
            self.number += 1
        elif kind == "again":
            self.log.extend(one for one in self.log[-3:] if isinstance(one, Message))
        elif kind == "withdrawal":
            self.log.append(Withdrawal(f"u{self.number % 3}", self.now))
        elif kind == "login":
            self.log.append(Withdrawal(f"u{self.number % 3}", self.now, known="ada"))
        else:
            self.log.append(ChannelPaused(paused=kind == "pause"))

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds

    def step(self, most: int, survives: str, reads: int = 100) -> None:
        """Read at most ``reads`` new records, settle ended calls, and begin at most ``most`` attempts.

        The lane may restart before the commit (``survives`` is "nothing") or directly after it ("commit"). Without
        transactions, a process may die when only its outputs are written ("outputs").
        """
        step, read = self.queue.step(self.now), self.log[self.state.position :][:reads]
        self.queue.withdraw_stopped(step)
        settled = dict(self.ended)
        for key, result in settled.items():
            self.queue.settle(step, key, result)
        self.queue.admit(step, batch(*read))
        self.queue.sweep(step)
        calls = self.queue.begin(step, most)
        if survives == "nothing":
            self._restart()
            return
        if survives == "outputs":
            self._report(step.outputs)
            self.kill()
            return
        self._commit(step.outputs, len(read))
        for key in settled:
            del self.ended[key], self.calls[key]
        for call in calls:
            self.calls[call.message.id] = call
        if survives == "commit":
            self._restart()
            return
        for call in calls:
            self._call(call)

    def end(self, status: Status, *, first: bool, answered: bool) -> None:
        """End a call that is in flight."""
        waiting = [key for key in self.calls if key not in self.ended]
        waiting = [key for key in waiting if (key, self.calls[key].number) in self.begun]
        if not waiting:
            return
        call = self.calls[waiting[0 if first else -1]]
        if call.looks_up:
            is_listed = self.arrived[call.message.id] and first  # the provider's list can be incomplete at first
            result = Result("delivered" if is_listed else "failed") if status != "unknown" else Result("unknown")
        else:
            result = Result(status, answered=answered and status == "unknown")
            if status == "delivered" or (status == "unknown" and not answered):
                self.arrived[call.message.id] += 1
            if status == "unknown":
                self.lost += 1
        self.ended[call.message.id] = result

    def kill(self) -> None:
        """Kill the process, which loses the ends of all its calls in flight."""
        for key, call in self.calls.items():
            if not call.looks_up and (key, call.number) in self.begun:
                self.lost += 1
                if key not in self.ended:
                    self.arrived[key] += 1  # the worst case: the message arrived
        self._replace_process()

    def move(self, *, reports_calls: bool) -> None:
        """Move the partition to another process while calls are in flight."""
        by = f"process {self.processes}"
        for key, call in self.calls.items():
            if not call.looks_up and (key, call.number) not in self.begun:
                self.log.append(Answer(message=key, channel="email", attempt=call.number, by=by, status="failed"))
            elif not call.looks_up:
                self.elsewhere.append((call, by, self.ended.get(key)))
                if reports_calls and key not in self.ended:
                    self.log.append(InFlight(key, call.number, by))
                self.lost += 1  # an upper limit: the end may still be reported in time
                if key not in self.ended:
                    self.arrived[key] += 1  # the worst case, until the end is reported: the message arrives
        self._replace_process()

    def report(self, status: Status, *, answered: bool) -> None:
        """Let a previous owner of the partition report the end of one of its calls."""
        if not self.elsewhere:
            return
        call, by, result = self.elsewhere.pop()
        if result is None:
            result = Result(status, answered=answered and status == "unknown")
            if status != "delivered" and (status != "unknown" or answered):
                self.arrived[call.message.id] -= 1
        self.log.append(
            Answer(
                message=call.message.id,
                channel="email",
                attempt=call.number,
                by=by,
                status=result.status,  # type: ignore[arg-type]  # one of STATUSES
                answered=result.answered,
            )
        )

    # --- invariants

    def check(self) -> None:
        """Check all invariants that hold at any time."""
        self.check_that_no_message_arrives_twice()
        self.check_that_no_message_arrives_that_was_handed_over()
        self.check_that_only_lost_calls_are_unknown()
        self.check_that_every_message_is_stored()

    def check_that_no_message_arrives_twice(self) -> None:
        assert all(count <= 1 for count in self.arrived.values())

    def check_that_no_message_arrives_that_was_handed_over(self) -> None:
        assert not any(self.arrived[one] for one in self.handed_over)

    def check_that_only_lost_calls_are_unknown(self) -> None:
        unknown = {event.message for event in self.events if event.type == "message_unknown"}
        assert len(unknown) <= self.lost

    def check_that_every_message_is_stored(self) -> None:
        for one in self.log[: self.state.position]:
            if isinstance(one, Message) and self.now < START + RETENTION_MS:
                record = decode_delivery(self.state.records[one.id.encode()])
                assert record.status in FINAL or record.message is not None

    def check_that_everything_ends(self) -> None:
        """Let all calls end and time pass; check that each message is then final and has an outcome."""
        self.log.append(ChannelPaused(paused=False))
        for _ in range(8):
            for key, call in self.calls.items():
                if (key, call.number) in self.begun:
                    self.ended.setdefault(key, Result("rejected"))
            self.now += 6 * MINUTE
            self.step(100, "all")
        statuses = [decode_delivery(value).status for value in self.state.records.values()]
        assert set(statuses) <= FINAL
        reported = {event.message for event in self.events}
        assert reported == {one.id for one in self.log if isinstance(one, Message)}
        self.check_that_no_message_arrives_twice()
        self.check_that_no_message_arrives_that_was_handed_over()

    # --- inside

    def _replace_process(self) -> None:
        self.calls, self.ended, self.begun = {}, {}, set()
        self.processes += 1
        self._restart()

    def _restart(self) -> None:
        """Begin again with the committed state."""
        name = f"process {self.processes}"
        self.queue = DeliveryQueue(self.state.records, self.state.memo, CallTerms(name, self.lookup_delays_ms))
        step = self.queue.step(self.now)
        going_on = self.queue.resume(step, lambda call, by: by == name and (call.message.id, call.number) in self.begun)
        self._commit(step.outputs, 0)
        self.calls = {call.message.id: call for call in going_on}
        self.ended = {key: result for key, result in self.ended.items() if key in self.calls}

    def _call(self, call: Call) -> None:
        record = decode_delivery(self.state.records[call.message.id.encode()])
        if call.looks_up:
            assert record.status == "unknown"
        else:
            assert (call.message.id, call.number) not in self.begun, "one attempt was made twice"
            assert (record.status, record.attempts) == ("attempted", call.number)
            assert self.now < call.message.expires
        self.begun.add((call.message.id, call.number))

    def _commit(self, outputs: Outputs, read: int) -> None:
        self.state.apply(outputs.commit, self.state.position + read)
        self._report(outputs)

    def _report(self, outputs: Outputs) -> None:
        self.events.extend(decode_event(one.value or b"") for one in outputs.commit.records)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), can_look_up=st.booleans(), has_transactions=st.booleans())
def test_no_message_is_sent_twice_in_any_order_and_only_lost_calls_are_unknown(
    seed: int, can_look_up: bool, has_transactions: bool
) -> None:
    partition, drawn = SimulatedPartition((10 * SECOND, 60 * SECOND) if can_look_up else ()), random.Random(seed)
    kinds = ["message"] * 6 + ["again", "withdrawal", "login", "login", "pause", "resume", "resume"]
    survivors = ["all"] * 6 + ["commit", "nothing" if has_transactions else "outputs"]
    for _ in range(100):
        happens = drawn.choices(["write", "time", "step", "end", "kill", "move", "report"], [6, 6, 10, 8, 2, 1, 2])[0]
        if happens == "write":
            partition.write(drawn.choice(kinds))
        elif happens == "time":
            partition.pass_time(drawn.choice([1, SECOND, 2 * SECOND, 30 * SECOND, 5 * MINUTE]))
        elif happens == "step":
            partition.step(drawn.randrange(5), drawn.choice(survivors), drawn.choice([0, 1, 100]))
        elif happens == "end":
            partition.end(drawn.choice(STATUSES), first=drawn.random() < 0.5, answered=drawn.random() < 0.5)
        elif happens == "move":
            partition.move(reports_calls=drawn.random() < 0.5)
        elif happens == "report":
            partition.report(drawn.choice(STATUSES), answered=drawn.random() < 0.5)
        else:
            partition.kill()
        partition.check()
    partition.check_that_everything_ends()


@pytest.mark.parametrize("attempts", range(1, 40))
def test_a_wait_grows_with_the_attempts_and_half_of_it_depends_on_the_message(attempts: int) -> None:
    waits = [wait_after(message_id("u", "r", str(n), 0), attempts) for n in range(200)]
    longest = min(SECOND * 2 ** (attempts - 1), MAX_RETRY_WAIT_MS)

    assert longest // 2 <= min(waits) < longest * 0.55
    assert longest * 0.95 < max(waits) <= longest
    assert waits == [wait_after(message_id("u", "r", str(n), 0), attempts) for n in range(200)]


class CountingRecords(Mapping[bytes, bytes]):
    """Committed records that count how often one is read."""

    def __init__(self, records: Mapping[bytes, bytes]) -> None:
        self.records = records
        self.reads = 0

    def __getitem__(self, key: bytes) -> bytes:
        self.reads += 1
        return self.records[key]

    def __contains__(self, key: object) -> bool:
        return key in self.records

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


def test_a_withdrawal_reads_only_the_deliveries_of_its_user() -> None:
    state = Restored()
    records = CountingRecords(state.records)
    queue = DeliveryQueue(records, b"", CallTerms("process 1", LOOKUP_DELAYS_MS))
    step = queue.step(START)
    queue.admit(step, batch(*(letter(number, START) for number in range(1, 301))))
    for call in queue.begin(step, 100):
        queue.settle(step, call.message.id, Result("unknown"))
    assert len(queue.begin(step, 100)) == 100
    state.apply(step.outputs.commit)

    reads = []
    for user in ("stranger", "u1"):
        records.reads = 0
        queue.admit(queue.step(START), batch(Withdrawal(user=user, at=START)))
        reads.append(records.reads)

    assert reads == [0, 100]
