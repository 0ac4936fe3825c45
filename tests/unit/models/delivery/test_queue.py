"""Whatever happens in whatever order: no provider is called twice for an attempt whose end is unknown."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Batch, Outputs, Restored
from models.delivery import queue as book
from models.delivery.deliveries import KEPT, LONGEST_WAIT, Delivery, Result, decode_delivery, wait_after
from models.delivery.messages import Message, encode_message, message_id
from models.delivery.notices import Answer, Hold, Notice, UnderWay, Withdrawal, encode_notice
from models.delivery.queue import Book, Call
from models.events import Event, decode_event
from models.units import MINUTE, SECOND

START = 1_700_000_000_000
STATUSES = ("delivered", "rejected", "failed", "unknown")
FINAL = {"delivered", "rejected", "unknown", "expired", "withdrawn"}


class Read(msgspec.Struct):
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
    )


class World:
    """A lane whose every commit may be its last, and a provider who notes what it is asked.

    One process, which knows what it has begun; after a kill another one, which does not. Where the partition only went
    to another one, the calls of the one before go on, and it may tell what they gave, soon or late.
    """

    def __init__(self, look_ups: Sequence[int]) -> None:
        self.look_ups = look_ups
        self.state = Restored()
        self.now = START
        self.lives = 0
        self.calls: dict[str, Call] = {}
        self.begun: set[tuple[str, int]] = set()
        self.ended: dict[str, Result] = {}
        self.elsewhere: list[tuple[Call, str, Result | None]] = []
        self.asked: Counter[str] = Counter()
        self.sure: Counter[str] = Counter()
        self.log: list[Message | Notice] = []
        self.number = 0
        self.events: list[Event] = []
        self.lost = 0
        self._live()

    # --- what happens

    def write(self, kind: str) -> None:
        if kind == "message":
            self.log.append(letter(self.number, self.now))
            self.number += 1
        elif kind == "again":
            self.log.extend(one for one in self.log[-3:] if isinstance(one, Message))
        elif kind == "withdrawal":
            self.log.append(Withdrawal(f"u{self.number % 3}", self.now))
        else:
            self.log.append(Hold(paused=kind == "hold"))

    def beat(self, milliseconds: int) -> None:
        self.now += milliseconds

    def step(self, most: int, survives: str) -> None:
        """Read what is new, hear of what ended, attempt; the commit may fail, or be the last thing that happens."""
        outputs, read = Outputs(), self.log[self.state.position :]
        told = dict(self.ended)
        for key, result in told.items():
            self.book.settle(key, result, self.now, outputs)
        values = [encode_message(one) if isinstance(one, Message) else encode_notice(one) for one in read]
        self.book.admit(Batch("messages.email", 0, [Read(value) for value in values]), self.now, outputs)
        self.book.sweep(self.now, outputs)
        calls = self.book.begin(most, self.now, outputs)
        if survives == "nothing":
            self._live()
            return
        self._commit(outputs, len(read))
        for key in told:
            del self.ended[key], self.calls[key]
        for call in calls:
            self.calls[call.message.id] = call
        if survives == "commit":
            self._live()
            return
        for call in calls:
            self._call(call)

    def end(self, status: str, *, first: bool, answered: bool) -> None:
        """End a call that is under way."""
        waiting = [key for key in self.calls if key not in self.ended]
        waiting = [key for key in waiting if (key, self.calls[key].number) in self.begun]
        if not waiting:
            return
        call = self.calls[waiting[0 if first else -1]]
        if call.looks_up:
            known = self.sure[call.message.id] and first  # a list may not show yet what is there
            said = Result("delivered" if known else "failed") if status != "unknown" else Result("unknown")
        else:
            said = Result(status, answered=answered and status == "unknown")  # type: ignore[arg-type]  # one of STATUSES
            if status == "delivered" or (status == "unknown" and not answered):
                self.sure[call.message.id] += 1
            if status == "unknown":
                self.lost += 1
        self.ended[call.message.id] = said

    def kill(self) -> None:
        """Kill the process: nobody will ever know of the calls that were under way."""
        for key, call in self.calls.items():
            if not call.looks_up and (key, call.number) in self.begun:
                self.lost += 1
                if key not in self.ended:
                    self.sure[key] += 1  # the worst case: it arrived
        self.calls, self.ended, self.begun = {}, {}, set()
        self.lives += 1
        self._live()

    def move(self, *, says_so: bool) -> None:
        """Give the partition to another process, while calls are under way."""
        by = f"process {self.lives}"
        for key, call in self.calls.items():
            if not call.looks_up and (key, call.number) not in self.begun:
                self.log.append(Answer(message=key, channel="email", attempt=call.number, by=by, status="failed"))
            elif not call.looks_up:
                self.elsewhere.append((call, by, self.ended.get(key)))
                if says_so and key not in self.ended:
                    self.log.append(UnderWay(key, call.number, by))
                self.lost += 1  # unless it is told in time
                if key not in self.ended:
                    self.sure[key] += 1  # the worst case, until it is told: it arrives
        self.calls, self.ended, self.begun = {}, {}, set()
        self.lives += 1
        self._live()

    def tell(self, status: str, *, answered: bool) -> None:
        """Let a process that lost the partition say what a call of its own gave."""
        if not self.elsewhere:
            return
        call, by, said = self.elsewhere.pop()
        if said is None:
            said = Result(status, answered=answered and status == "unknown")  # type: ignore[arg-type]  # one of STATUSES
            if status != "delivered" and (status != "unknown" or answered):
                self.sure[call.message.id] -= 1
        told = Answer(
            message=call.message.id,
            channel="email",
            attempt=call.number,
            by=by,
            status=said.status,  # type: ignore[arg-type]  # one of STATUSES
            answered=said.answered,
        )
        self.log.append(told)

    # --- what must hold

    def look(self) -> None:
        self.nothing_is_sent_twice()
        self.there_are_no_more_unknown_than_calls_that_were_lost()
        self.every_message_that_was_read_is_somewhere()

    def nothing_is_sent_twice(self) -> None:
        assert all(count <= 1 for count in self.sure.values())

    def there_are_no_more_unknown_than_calls_that_were_lost(self) -> None:
        unknown = {event.message for event in self.events if event.type == "message_unknown"}
        assert len(unknown) <= self.lost

    def every_message_that_was_read_is_somewhere(self) -> None:
        for one in self.log[: self.state.position]:
            if isinstance(one, Message) and self.now < START + KEPT:
                delivery = decode_delivery(self.state.records[one.id.encode()])
                assert delivery.status in FINAL or delivery.message is not None

    def end_well(self) -> None:
        """Let all calls end and time pass: nothing is stuck."""
        self.log.append(Hold(paused=False))
        for _ in range(8):
            for key, call in self.calls.items():
                if (key, call.number) in self.begun:
                    self.ended.setdefault(key, Result("rejected"))
            self.now += 6 * MINUTE
            self.step(100, "all")
        statuses = [decode_delivery(value).status for value in self.state.records.values()]
        assert set(statuses) <= FINAL
        told = {event.message for event in self.events}
        assert told == {one.id for one in self.log if isinstance(one, Message)}
        self.nothing_is_sent_twice()

    # --- inside

    def _live(self) -> None:
        """Begin a life of the lane with what is committed."""
        self.book = Book(self.state.records, self.state.memo, by=f"process {self.lives}", look_ups=self.look_ups)
        outputs = Outputs()
        name = f"process {self.lives}"
        going_on = self.book.resume(
            self.now, lambda call, by: by == name and (call.message.id, call.number) in self.begun, outputs
        )
        self._commit(outputs, 0)
        self.calls = {call.message.id: call for call in going_on}
        self.ended = {key: result for key, result in self.ended.items() if key in self.calls}

    def _call(self, call: Call) -> None:
        if call.looks_up:
            assert decode_delivery(self.state.records[call.message.id.encode()]).status == "unknown"
            self.begun.add((call.message.id, call.number))
            return
        assert (call.message.id, call.number) not in self.begun, "one attempt was made twice"
        delivery = decode_delivery(self.state.records[call.message.id.encode()])
        assert (delivery.status, delivery.attempts) == ("attempted", call.number)
        assert self.now < call.message.expires
        self.begun.add((call.message.id, call.number))

    def _commit(self, outputs: Outputs, read: int) -> None:
        self.state.apply(outputs.commit)
        self.state.position += read
        self.events.extend(decode_event(one.value or b"") for one in outputs.commit.records)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), looks=st.booleans())
def test_in_any_order_nothing_is_sent_twice_and_no_more_is_unknown_than_was_lost(seed: int, looks: bool) -> None:
    world, drawn = World((10 * SECOND, 60 * SECOND) if looks else ()), random.Random(seed)
    kinds = ["message"] * 6 + ["again", "withdrawal", "hold", "release", "release"]
    for _ in range(100):
        happens = drawn.choices(["write", "beat", "step", "end", "kill", "move", "tell"], [6, 6, 10, 8, 2, 1, 2])[0]
        if happens == "write":
            world.write(drawn.choice(kinds))
        elif happens == "beat":
            world.beat(drawn.choice([1, SECOND, 2 * SECOND, 30 * SECOND, 5 * MINUTE]))
        elif happens == "step":
            world.step(drawn.randrange(5), drawn.choice(["all"] * 6 + ["commit", "nothing"]))
        elif happens == "end":
            world.end(drawn.choice(STATUSES), first=drawn.random() < 0.5, answered=drawn.random() < 0.5)
        elif happens == "move":
            world.move(says_so=drawn.random() < 0.5)
        elif happens == "tell":
            world.tell(drawn.choice(STATUSES), answered=drawn.random() < 0.5)
        else:
            world.kill()
        world.look()
    world.end_well()


@pytest.mark.parametrize("attempts", range(1, 40))
def test_a_wait_grows_is_spread_over_its_second_half_and_is_always_the_same(attempts: int) -> None:
    waits = [wait_after(message_id("u", "r", str(n), 0), attempts) for n in range(200)]
    longest = min(SECOND * 2 ** (attempts - 1), LONGEST_WAIT)

    assert longest // 2 <= min(waits) < longest * 0.55
    assert longest * 0.95 < max(waits) <= longest
    assert waits == [wait_after(message_id("u", "r", str(n), 0), attempts) for n in range(200)]


def test_a_withdrawal_reads_only_the_deliveries_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    state, outputs = Restored(), Outputs()
    first = Book(state.records)
    messages = [letter(number, START) for number in range(1, 301)]
    first.admit(Batch("messages.email", 0, [Read(encode_message(message)) for message in messages]), START, outputs)
    for call in first.begin(100, START, outputs):
        first.settle(call.message.id, Result("unknown"), START, outputs)
    calling = first.begin(100, START, outputs)
    assert len(calling) == 100
    read: list[bytes] = []

    def counted(value: bytes) -> Delivery:
        read.append(value)
        return decode_delivery(value)

    monkeypatch.setattr(book, "decode_delivery", counted)
    notice = encode_notice(Withdrawal(user="nobody", at=START))
    first.admit(Batch("messages.email", 0, [Read(notice)]), START, outputs)

    assert not read
