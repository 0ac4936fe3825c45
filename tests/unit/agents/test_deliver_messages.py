"""The agent with a desk in memory: nothing is sent twice, and nothing is forgotten, whenever the process dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from agents.deliver_messages import deliver_messages
from models.batch import Batch, Outputs, Restored
from models.delivery.deliveries import (
    HANDOVER_ANSWER_MS,
    HANDOVER_WAIT_MS,
    LOOKUP_DELAYS_MS,
    RETENTION_MS,
    RETRY_FOR_MS,
    Result,
    Status,
    decode_delivery,
)
from models.delivery.messages import Message, encode_message, message_id
from models.delivery.notices import Answer, ChannelPaused, InFlight, Notice, Resolution, Withdrawal, encode_notice
from models.delivery.open_messages import MAX_OPEN
from models.delivery.queue import Call, EndedCall
from models.delivery.suppressor import Suppressor
from models.events import Event, decode_event
from models.rejected import decode_rejected
from models.units import MINUTE, SECOND

NOW = 1_700_000_000_000
DELIVERED = Result("delivered", "250 ok", "p1")
LATER = Result("failed", "451 later")


@dataclass
class Read:
    """A record as a Kafka client shows it."""

    value: bytes | None
    offset: int = 0
    timestamp: int = NOW
    key: bytes | None = b"u1"


def message(number: int = 0, **changed: object) -> Message:
    made = Message(
        id=message_id("u1", "win_back", f"m{number}", NOW),
        user="u1",
        rule="win_back",
        category="marketing",
        channel="email",
        to=f"u{number}@example.com",
        subject="Hi",
        text="text\n",
        why="because",
        at=NOW,
        expires=NOW + MINUTE,
        origin="live",
    )
    return msgspec.structs.replace(made, **changed)


def batch(*content: Message | Notice | bytes) -> Batch:
    values = [
        one if isinstance(one, bytes) else encode_message(one) if isinstance(one, Message) else encode_notice(one)
        for one in content
    ]
    return Batch("messages.email", 0, [Read(value, offset=i) for i, value in enumerate(values)])


Later = Callable[[], Batch]

BEAT = Batch("messages.email", 0, ())
CLOSING = Batch("messages.email", 0, (), closing=True)


@dataclass
class Counter:
    """A desk whose calls end when it is told to: with what stands in ``answers``, one after the other."""

    name: str = "desk 1"
    look_ups: Sequence[int] = ()
    places: int = 64
    answers: dict[str, list[Result]] = field(default_factory=dict)
    ends: bool = True
    opens_at: int | None = None
    suppressor: Suppressor | None = None
    called: list[tuple[str, bool]] = field(default_factory=list)
    results: dict[Call, asyncio.Future[EndedCall]] = field(default_factory=dict)
    left: list[Call] = field(default_factory=list)
    waiting: int = 0
    committed: Callable[[str], str] = lambda _: "attempted"

    @property
    def sent(self) -> list[str]:
        return [one for one, looks_up in self.called if not looks_up]

    def take(self, wanted: int, wake: Callable[[], None], ended: Iterable[Call] = ()) -> int:
        taken = min(wanted, self.places)
        self.places -= taken
        return taken

    def give_back(self, places: int) -> None:
        self.places += places

    def waits_until(self) -> int | None:
        return self.opens_at

    def make(self, call: Call) -> Awaitable[EndedCall]:
        if call not in self.results:
            one = call.message.id
            expected = "unknown" if call.looks_up else "attempted"
            assert self.committed(one) == expected, "the provider was called before that was committed"
            self.called.append((one, call.looks_up))
            self.results[call] = asyncio.get_running_loop().create_future()
            if self.ends:
                self._end(call)
        return self.results[call]

    def end(self) -> None:
        """End all calls that are under way."""
        for call, result in self.results.items():
            if not result.done():
                self._end(call)

    def knows(self, call: Call, by: str) -> bool:
        return by == self.name and call in self.results

    def forget(self, call: Call) -> None:
        del self.results[call]

    def leave(self, partition: int, calls: Iterable[Call]) -> None:
        self.left.extend(calls)

    def note_waiting(self, partition: int, messages: int) -> None:
        self.waiting = messages

    def _end(self, call: Call) -> None:
        waiting = self.answers.get(call.message.id, [])
        self.results[call].set_result(EndedCall(call, waiting.pop(0) if waiting else DELIVERED))
        self.places += 1


@dataclass
class Lane:
    """Drives the agent as a lane does: commits what is yielded, then begins its effects; may die at any commit."""

    desk: Counter = field(default_factory=Counter)
    state: Restored = field(default_factory=Restored)
    events: list[Event] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    counts: dict[tuple[str, ...], float] = field(default_factory=dict)
    commits: int = 0
    now: int = NOW
    last: Outputs = field(default_factory=Outputs)
    running: list[asyncio.Future[object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk.committed = self.status

    async def run(
        self, *batches: Batch | Later, dies_before_commit: int = 1_000, dies_before_effects: int = 1_000
    ) -> None:
        agent = deliver_messages(self.each(batches), state=self.state, desk=self.desk, now=lambda: self.now)
        commits = 0
        async for outputs in agent:
            says = bool(
                outputs.commit.records or outputs.commit.state or outputs.counts or outputs.commit.memo is not None
            )
            commits += says
            self.last = outputs
            if (says and commits == dies_before_commit) or not (says or outputs.after.effects):
                if says:
                    await agent.aclose()  # type: ignore[attr-defined] # an agent is an async generator
                    return
                continue
            self._commit(outputs)
            if says and commits == dies_before_effects:
                await agent.aclose()  # type: ignore[attr-defined] # an agent is an async generator
                return
            self.begin(outputs)

    def each(self, batches: Iterable[Batch | Later]) -> AsyncIterator[Batch]:
        """Give the batches to one run of the agent, with the results of effects that it has begun."""
        self.running.clear()
        return self._each(batches)

    async def _each(self, batches: Iterable[Batch | Later]) -> AsyncIterator[Batch]:
        for one in batches:
            batch = one if isinstance(one, Batch) else one()
            done = [effect for effect in self.running if effect.done()]
            self.running = [effect for effect in self.running if effect not in done]
            yield batch._replace(ended=[effect.result() for effect in done])

    def begin(self, outputs: Outputs) -> None:
        self.running += [asyncio.ensure_future(effect()) for effect in outputs.after.effects]

    def _commit(self, outputs: Outputs) -> None:
        self.commits += 1
        self.state.apply(outputs.commit)
        for output in outputs.commit.records:
            assert output.value is not None
            if output.topic == "outcomes":
                self.events.append(decode_event(output.value))
            else:
                self.rejected.append(decode_rejected(output.value).reason)
        for key, count in outputs.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count

    def status(self, one: Message | str) -> str:
        key = one if isinstance(one, str) else one.id
        return decode_delivery(self.state.records[key.encode()]).status

    def told(self) -> list[tuple[str, str | None]]:
        return [(event.type, event.reason) for event in self.events]


def later(lane: Lane, milliseconds: int) -> Later:
    """A beat, so much later."""

    def beat() -> Batch:
        lane.now += milliseconds
        return BEAT

    return beat


async def test_a_message_is_attempted_then_sent_and_its_outcome_is_an_event_of_its_user() -> None:
    lane = Lane()

    await lane.run(batch(message()), BEAT)

    assert lane.desk.sent == [message().id]
    assert lane.status(message()) == "delivered"
    assert [(event.type, event.user, event.message, event.origin) for event in lane.events] == [
        ("message_sent", "u1", message().id, "live")
    ]
    assert lane.events[0].properties == {"rule": "win_back", "provider_id": "p1"}
    assert lane.counts == {("deliveries", "email", "sent"): 1}


async def test_nothing_of_a_person_stays_in_the_state_of_a_finished_message() -> None:
    lane = Lane()

    await lane.run(batch(message()), BEAT)

    assert lane.state.records[message().id.encode()] == b'{"status":"delivered","changed":%d}' % NOW


async def test_a_message_that_comes_again_within_14_days_is_not_sent_again() -> None:
    lane = Lane()

    await lane.run(batch(message(), message()), batch(message()), BEAT)
    lane.now += RETENTION_MS - 1
    await lane.run(batch(message(expires=lane.now + 1)))

    assert lane.desk.sent == [message().id]
    assert lane.counts["deliveries", "email", "duplicate"] == 3


async def test_after_14_days_an_id_is_forgotten() -> None:
    lane = Lane()
    await lane.run(batch(message(0)), BEAT)
    due = lane.last.next_due
    lane.now += RETENTION_MS

    await lane.run(BEAT)

    assert due == NOW + RETENTION_MS
    assert lane.state.records == {}


@pytest.mark.parametrize("dies", [1, 2, 3, 4, 5])
async def test_whenever_the_process_dies_nothing_is_sent_twice_and_nothing_is_forgotten(dies: int) -> None:
    lane = Lane(Counter(places=2))
    messages = [message(i) for i in range(5)]

    await lane.run(batch(*messages), BEAT, BEAT, BEAT, dies_before_commit=dies)
    lane.desk = Counter("desk 2", places=2, committed=lane.status, called=lane.desk.called)
    reread = batch(*messages) if dies == 1 else batch(message(9))  # the position commits with the first outputs
    await lane.run(reread, BEAT, BEAT, BEAT, BEAT, later(lane, HANDOVER_WAIT_MS), BEAT)

    assert len(lane.desk.sent) == len(set(lane.desk.sent))
    told = {event.message: event.type for event in lane.events}
    assert {one.id for one in messages} <= set(told)
    lost_results = [one.id for one in messages if told[one.id] == "message_unknown"]
    assert len(lost_results) <= 2  # what was in flight
    assert set(lane.desk.sent) | set(lost_results) >= {one.id for one in messages}


async def test_an_attempt_of_a_process_that_ended_is_unknown_and_is_never_made_again() -> None:
    lane = Lane(Counter(ends=False))

    await lane.run(batch(message()))
    lane.desk = Counter("desk 2", called=lane.desk.called)
    await lane.run(BEAT)
    at_first, due = lane.status(message()), lane.last.next_due
    await lane.run(BEAT, later(lane, HANDOVER_WAIT_MS))

    assert (at_first, due) == ("attempted", NOW + HANDOVER_WAIT_MS)
    assert lane.desk.sent == [message().id]
    assert lane.status(message()) == "unknown"
    assert lane.told() == [("message_unknown", "unknown: the process ended between attempt and result")]


class TestHeirs:
    """A partition that goes to another process while a call is under way."""

    @pytest.fixture
    async def heir(self) -> Lane:
        lane = Lane(Counter(ends=False))
        await lane.run(batch(message()))
        lane.desk = Counter("desk 2")
        return lane

    async def test_what_the_one_before_hears_and_tells_is_the_outcome(self, heir: Lane) -> None:
        said = Answer(
            message=message().id, channel="email", attempt=1, by="desk 1", status="delivered", provider_id="p7"
        )

        await heir.run(BEAT, later(heir, HANDOVER_WAIT_MS - 1), batch(said), later(heir, HANDOVER_WAIT_MS))

        assert heir.status(message()) == "delivered"
        assert [event.type for event in heir.events] == ["message_sent"]
        assert heir.events[0].properties == {"rule": "win_back", "provider_id": "p7"}
        assert heir.desk.sent == []

    async def test_what_was_refused_for_now_is_tried_again_by_the_heir(self, heir: Lane) -> None:
        said = Answer(message=message().id, channel="email", attempt=1, by="desk 1", status="failed", retry_after=20.0)

        await heir.run(batch(said), later(heir, 20 * SECOND - 1))
        too_early = list(heir.desk.sent)
        await heir.run(batch(said), later(heir, 1), BEAT)

        assert too_early == []
        assert heir.desk.sent == [message().id]
        assert heir.told() == [("message_sent", None)]

    @pytest.mark.parametrize(("attempt", "by"), [(2, "desk 1"), (1, "desk 0")])
    async def test_of_another_attempt_it_says_nothing(self, heir: Lane, attempt: int, by: str) -> None:
        said = Answer(message=message().id, channel="email", attempt=attempt, by=by, status="failed")

        await heir.run(batch(said), later(heir, HANDOVER_WAIT_MS))

        assert heir.status(message()) == "unknown"

    @pytest.mark.parametrize(
        ("status", "becomes", "told"),
        [
            ("delivered", "delivered", ["message_sent"]),
            ("rejected", "rejected", ["message_failed"]),
            ("failed", "unknown", []),
        ],
    )
    async def test_what_is_told_too_late_is_an_outcome_all_the_same_and_never_sent_again(
        self, heir: Lane, status: Status, becomes: str, told: list[str]
    ) -> None:
        said = Answer(message=message().id, channel="email", attempt=1, by="desk 1", status=status)  # type: ignore[arg-type]

        await heir.run(later(heir, HANDOVER_WAIT_MS), batch(said), later(heir, 60 * SECOND))

        assert heir.status(message()) == becomes
        assert heir.desk.sent == []
        assert [event.type for event in heir.events] == ["message_unknown", *told]
        assert {event.user for event in heir.events} == {message().user}

    async def test_it_waits_for_a_call_that_it_hears_is_under_way(self, heir: Lane) -> None:
        goes_on = InFlight(message().id, 1, "desk 1")
        said = Answer(message=message().id, channel="email", attempt=1, by="desk 1", status="delivered")

        await heir.run(
            batch(goes_on), later(heir, HANDOVER_WAIT_MS), later(heir, HANDOVER_ANSWER_MS - 2 * HANDOVER_WAIT_MS)
        )
        meanwhile = heir.status(message())
        await heir.run(batch(goes_on, said))

        assert (meanwhile, heir.status(message())) == ("attempted", "delivered")
        assert heir.told() == [("message_sent", None)]

    async def test_but_not_for_ever(self, heir: Lane) -> None:
        await heir.run(batch(InFlight(message().id, 1, "desk 1")), later(heir, HANDOVER_ANSWER_MS))

        assert heir.status(message()) == "unknown"

    async def test_an_unknown_one_is_forgotten_its_time_after_it_was_resolved(self, heir: Lane) -> None:
        said = Answer(message=message().id, channel="email", attempt=1, by="desk 1", status="delivered")

        await heir.run(later(heir, HANDOVER_WAIT_MS), later(heir, RETENTION_MS - 1), batch(said), later(heir, SECOND))
        remembered = heir.status(message())
        await heir.run(later(heir, RETENTION_MS))

        assert remembered == "delivered"
        assert message().id.encode() not in heir.state.records

    async def test_whoever_holds_the_call_itself_needs_nobody_to_tell(self) -> None:
        lane = Lane(Counter(ends=False))
        await lane.run(batch(message()))
        said = Answer(message=message().id, channel="email", attempt=1, by="desk 1", status="failed")

        await lane.run(batch(said))
        held = lane.status(message())
        lane.desk.end()
        await lane.run(BEAT)

        assert (held, lane.status(message())) == ("attempted", "delivered")

    async def test_who_has_withdrawn_meanwhile_gets_no_further_attempt(self, heir: Lane) -> None:
        said = Answer(message=message().id, channel="email", attempt=1, by="desk 1", status="failed")

        await heir.run(batch(Withdrawal("u1", NOW)), batch(said))

        assert heir.status(message()) == "withdrawn"


async def test_an_answer_that_arrives_while_the_lane_begins_anew_counts() -> None:
    lane = Lane(Counter(ends=False))

    await lane.run(batch(message()))
    left = list(lane.desk.left)
    lane.desk.end()
    await lane.run(BEAT)

    assert [call.message.id for call in left] == [message().id]
    assert lane.status(message()) == "delivered"
    assert lane.desk.sent == [message().id]


async def test_an_attempt_of_this_process_that_was_never_begun_is_made_again() -> None:
    lane = Lane()

    await lane.run(batch(message()), dies_before_effects=1)
    attempted, sent = lane.status(message()), list(lane.desk.sent)
    await lane.run(BEAT)
    lane.now += SECOND
    await lane.run(BEAT, BEAT)

    assert (attempted, sent) == ("attempted", [])
    assert lane.desk.sent == [message().id]
    assert lane.status(message()) == "delivered"


async def test_what_was_refused_for_now_is_tried_again_when_its_timer_is_due_also_after_a_restart() -> None:
    lane = Lane(Counter(answers={message().id: [LATER, LATER]}))

    await lane.run(batch(message()), BEAT)
    first_due = lane.last.next_due or 0
    await lane.run(BEAT)
    sent_too_early = len(lane.desk.sent)
    lane.now = first_due
    await lane.run(BEAT, BEAT)
    second_due = lane.last.next_due or 0
    lane.now = second_due
    await lane.run(BEAT, BEAT)

    assert sent_too_early == 1
    assert SECOND // 2 <= first_due - NOW < SECOND <= second_due - first_due < 2 * SECOND
    assert len(lane.desk.sent) == 3
    assert lane.told() == [("message_sent", None)]
    assert lane.counts == {("delivery_retries", "email"): 2, ("deliveries", "email", "sent"): 1}


async def test_the_provider_says_how_long_to_wait() -> None:
    lane = Lane(Counter(answers={message().id: [Result("failed", "429", retry_after=20.0)]}))

    await lane.run(batch(message()), BEAT)

    assert lane.last.next_due == NOW + 20 * SECOND


async def test_tries_end_with_the_messages_own_time_and_the_last_failure_is_told() -> None:
    lane = Lane(Counter(answers={message().id: [LATER] * 100}))
    await lane.run(batch(message()), BEAT)
    while lane.status(message()) == "queued":
        lane.now = lane.last.next_due or 0
        await lane.run(BEAT, BEAT)

    attempts = len(lane.desk.sent)
    assert lane.now == message().expires
    assert 5 <= attempts <= 8
    assert lane.status(message()) == "expired"
    reason = f"expired: not handed over within its time; attempts: {attempts}, the last: 451 later"
    assert lane.told() == [("message_failed", reason)]


async def test_what_is_not_live_is_tried_for_a_day() -> None:
    one = message(origin="simulate")
    lane = Lane(Counter(answers={one.id: [LATER] * 1_000}), now=NOW + 10**9)
    await lane.run(batch(one), BEAT)

    lane.now += RETRY_FOR_MS
    await lane.run(BEAT)

    assert lane.status(one) == "expired"


async def test_the_failure_of_one_recipient_touches_no_other() -> None:
    answers = {
        message(1).id: [Result("unknown", "RuntimeError: boom")],
        message(2).id: [Result("rejected", "550 no such user")],
        message(3).id: [LATER],
    }
    lane = Lane(Counter(answers=answers))

    await lane.run(batch(*(message(i) for i in range(5))), BEAT)

    assert [lane.status(message(i)) for i in range(5)] == ["delivered", "unknown", "rejected", "queued", "delivered"]
    reasons = {event.message: (event.type, event.reason) for event in lane.events}
    assert reasons[message(1).id] == ("message_unknown", "unknown: RuntimeError: boom")
    assert reasons[message(2).id] == ("message_failed", "rejected: 550 no such user")


async def test_a_call_that_hangs_holds_up_nobody_else() -> None:
    lane = Lane(Counter(ends=False))

    agent = deliver_messages(
        lane.each([batch(message(0)), batch(message(1)), BEAT]), state=lane.state, desk=lane.desk, now=lambda: NOW
    )
    async for outputs in agent:
        lane._commit(outputs)
        lane.begin(outputs)
        lane.desk.ends = bool(lane.desk.sent)  # the first goes on hanging, what comes after it is answered

    assert [lane.status(message(i)) for i in range(2)] == ["attempted", "delivered"]


async def test_no_more_are_attempted_than_the_provider_takes_at_a_time() -> None:
    lane = Lane(Counter(places=2, ends=False))

    await lane.run(batch(*(message(i) for i in range(5))))

    assert [lane.status(message(i)) for i in range(5)] == ["attempted"] * 2 + ["queued"] * 3
    assert lane.last.next_due == NOW + SECOND  # it asks again where nobody wakes it


async def test_while_the_provider_is_left_alone_messages_wait_and_none_is_lost() -> None:
    lane = Lane(Counter(places=0, opens_at=NOW + 5 * SECOND))

    await lane.run(batch(message()))
    due, waiting = lane.last.next_due, lane.desk.waiting
    lane.desk.places, lane.now = 1, NOW + 5 * SECOND
    await lane.run(BEAT, BEAT)

    assert (due, waiting) == (NOW + 5 * SECOND, 1)
    assert lane.status(message()) == "delivered"


async def test_a_lane_with_too_many_messages_asks_for_no_more() -> None:
    lane = Lane(Counter(places=0))
    many = [message(i) for i in range(MAX_OPEN)]

    await lane.run(batch(*many[1:]))
    enough = lane.last.full
    await lane.run(batch(many[0]))

    assert (enough, lane.last.full) == (False, True)
    lane.desk.places = 10
    await lane.run(BEAT, BEAT)
    assert not lane.last.full


async def test_where_the_partition_may_be_given_away_results_are_told_and_nothing_begins() -> None:
    lane = Lane(Counter(places=1))

    await lane.run(batch(message(0), message(1)), CLOSING)

    assert [lane.status(message(i)) for i in range(2)] == ["delivered", "queued"]


async def test_a_message_whose_time_is_over_is_not_sent() -> None:
    lane = Lane(now=message().expires)

    await lane.run(batch(message()))

    assert lane.desk.sent == []
    assert lane.status(message()) == "expired"
    assert [event.type for event in lane.events] == ["message_failed"]


async def test_time_over_by_the_wall_clock_means_nothing_in_a_replay() -> None:
    lane = Lane(now=NOW + 10**12)

    await lane.run(batch(message(origin="replay")), BEAT)

    assert lane.desk.sent == [message().id]
    assert [(event.at, event.origin) for event in lane.events] == [(NOW, "replay")]


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff garbage",
        b"{}",
        b'{"notice":"hold"}',
        encode_message(message(channel="sms")),
        encode_message(message()).replace(message().id.encode(), b"../../../etc/cron.d/0000000000000"),
    ],
)
async def test_what_is_no_message_of_this_channel_is_rejected_and_disturbs_nothing(bad: bytes) -> None:
    lane = Lane()

    await lane.run(batch(bad, message()), BEAT)

    assert lane.desk.sent == [message().id]
    assert len(lane.rejected) == 1


async def test_records_of_the_lane_itself_are_no_deliveries() -> None:
    lane = Lane(state=Restored(records={b"\x00position": b"\x01\x02"}))

    await lane.run(batch(message()), BEAT)

    assert lane.status(message()) == "delivered"


async def test_a_state_of_before_there_were_retries_is_read() -> None:
    old = msgspec.json.encode({"status": "queued", "changed": NOW, "message": msgspec.to_builtins(message())})
    lane = Lane(state=Restored(records={message().id.encode(): old}))

    await lane.run(BEAT, BEAT)

    assert lane.status(message()) == "delivered"


class TestWithdrawals:
    async def test_marketing_that_waits_is_not_sent_once_its_user_has_withdrawn(self) -> None:
        waiting, other = message(0), message(1, user="u2")
        receipt = message(2, category="transactional")
        lane = Lane(Counter(places=0))

        await lane.run(batch(waiting, other, receipt), batch(Withdrawal("u1", NOW, "unsubscribe link")))
        lane.desk.places = 8
        await lane.run(BEAT, BEAT)

        assert [lane.status(one) for one in (waiting, other, receipt)] == ["withdrawn", "delivered", "delivered"]
        assert lane.told()[0] == ("message_failed", "withdrawn: unsubscribe link")
        assert waiting.id not in lane.desk.sent

    async def test_it_concerns_nothing_that_was_decided_behind_it(self) -> None:
        lane = Lane()

        await lane.run(batch(Withdrawal("u1", NOW), message()), BEAT)

        assert lane.status(message()) == "delivered"

    async def test_a_message_that_waits_for_its_next_attempt_gets_none(self) -> None:
        lane = Lane(Counter(answers={message().id: [LATER]}))

        await lane.run(batch(message()), BEAT)
        lane.now += 2 * SECOND
        await lane.run(batch(Withdrawal("u1", NOW)), BEAT)

        assert lane.status(message()) == "withdrawn"
        assert len(lane.desk.sent) == 1

    async def test_what_is_on_its_way_cannot_be_called_back_but_is_not_tried_again(self) -> None:
        lane = Lane(Counter(answers={message(0).id: [LATER]}, ends=False))

        agent = deliver_messages(
            lane.each([batch(message(0), message(1)), batch(Withdrawal("u1", NOW)), BEAT]),
            state=lane.state,
            desk=lane.desk,
            now=lambda: NOW,
        )
        steps = 0
        async for outputs in agent:
            lane._commit(outputs)
            lane.begin(outputs)
            steps += 1
            if steps == 3:
                lane.desk.end()

        assert [lane.status(message(i)) for i in range(2)] == ["withdrawn", "delivered"]

    async def test_also_if_whoever_called_is_gone_and_another_process_learns_how_the_call_has_ended(self) -> None:
        lane = Lane(Counter(ends=False))

        await lane.run(batch(message()), batch(Withdrawal("u1", NOW, "unsubscribe link")))
        heir = Lane(Counter(name="desk 2"), state=lane.state)
        by = decode_delivery(lane.state.records[message().id.encode()]).by
        told = Answer(message=message().id, channel="email", attempt=1, by=by, status="failed")
        await heir.run(batch(told), BEAT)

        assert heir.status(message()) == "withdrawn"
        assert heir.told() == [("message_failed", "withdrawn: unsubscribe link")]
        assert heir.desk.sent == []

    @pytest.mark.parametrize("restarts", [False, True])
    async def test_an_unknown_one_that_turns_out_not_to_be_there_is_not_tried_again(self, restarts: bool) -> None:
        answers = [Result("unknown", "500", answered=True)] + [Result("failed", "not there")] * 3
        one = message(expires=NOW + RETENTION_MS)
        lane = Lane(Counter(look_ups=LOOKUP_DELAYS_MS, answers={one.id: answers}))

        await lane.run(batch(one), BEAT)
        if restarts:
            lane.desk = Counter(look_ups=LOOKUP_DELAYS_MS, answers={one.id: answers}, committed=lane.status)
        await lane.run(batch(Withdrawal("u1", NOW)))
        for _ in LOOKUP_DELAYS_MS:
            lane.now = lane.last.next_due or lane.now
            await lane.run(BEAT, BEAT)

        assert lane.status(one) == "withdrawn"
        assert lane.desk.sent in ([one.id], [])
        assert [event.type for event in lane.events] == ["message_unknown", "message_failed"]


class TestPauses:
    async def test_what_waits_when_its_channel_is_paused_goes_when_it_is_resumed(self) -> None:
        lane = Lane()

        await lane.run(batch(ChannelPaused(paused=True), message()), BEAT)
        sent_in_the_pause = list(lane.desk.sent)
        await lane.run(BEAT)  # a restart forgets no pause
        sent_after_a_restart = list(lane.desk.sent)
        await lane.run(batch(ChannelPaused(paused=False)), BEAT)

        assert (sent_in_the_pause, sent_after_a_restart) == ([], [])
        assert lane.status(message()) == "delivered"

    async def test_what_waits_for_longer_than_it_may_says_why(self) -> None:
        lane = Lane()

        await lane.run(batch(ChannelPaused(paused=True), message()))
        lane.now = message().expires
        await lane.run(BEAT)

        assert lane.told() == [("message_failed", "expired: not handed over within its time; the channel is paused")]


class TestUnknown:
    async def test_an_attempt_with_an_unknown_end_is_asked_about_and_found(self) -> None:
        answers = [Result("unknown", "no answer"), Result("delivered", "found", "SM1")]
        lane = Lane(Counter(look_ups=LOOKUP_DELAYS_MS, answers={message().id: answers}))

        await lane.run(batch(message()), BEAT)
        status, due = lane.status(message()), lane.last.next_due
        lane.now = due or 0
        await lane.run(BEAT, BEAT)

        assert (status, due) == ("unknown", NOW + LOOKUP_DELAYS_MS[0])
        assert lane.desk.called == [(message().id, False), (message().id, True)]
        assert lane.status(message()) == "delivered"
        assert [event.type for event in lane.events] == ["message_unknown", "message_sent"]
        assert lane.counts == {("deliveries", "email", "unknown"): 1, ("deliveries", "email", "resolved"): 1}

    async def test_one_that_is_never_found_stays_unknown_and_is_not_sent_again(self) -> None:
        answers = [Result("unknown", "no answer")] + [Result("failed", "not there")] * 10
        lane = Lane(Counter(look_ups=LOOKUP_DELAYS_MS, answers={message().id: answers}))

        await lane.run(batch(message(expires=NOW + 10 * RETENTION_MS)), BEAT)
        for _ in range(6):
            lane.now = min(lane.last.next_due or lane.now, NOW + RETENTION_MS - 1)
            await lane.run(BEAT, BEAT)

        assert [looks_up for _, looks_up in lane.desk.called] == [False, True, True, True]
        assert lane.state.records[message().id.encode()].startswith(b'{"status":"unknown","changed":')
        assert b"message" not in lane.state.records[message().id.encode()]

    async def test_an_error_of_the_provider_is_tried_again_once_it_surely_does_not_know_the_message(self) -> None:
        answers = [Result("unknown", "500", answered=True)] + [Result("failed", "not there")] * 3
        lane = Lane(Counter(look_ups=LOOKUP_DELAYS_MS, answers={message().id: answers}))

        await lane.run(batch(message(expires=NOW + RETENTION_MS)), BEAT)
        while lane.status(message()) != "delivered":
            lane.now = lane.last.next_due or 0
            await lane.run(BEAT, BEAT)

        assert [looks_up for _, looks_up in lane.desk.called] == [False, True, True, True, False]
        assert [event.type for event in lane.events] == ["message_unknown", "message_sent"]

    @pytest.mark.parametrize("look_ups", [(), LOOKUP_DELAYS_MS])
    async def test_the_provider_may_tell_by_itself(self, look_ups: Sequence[int]) -> None:
        lane = Lane(Counter(look_ups=look_ups, answers={message().id: [Result("unknown", "no answer")]}))

        await lane.run(batch(message()), BEAT, batch(Resolution(message().id, "email", "delivered")))
        lane.now += LOOKUP_DELAYS_MS[-1]
        await lane.run(BEAT, BEAT)

        assert lane.status(message()) == "delivered"
        assert len(lane.desk.called) == 1
        assert lane.counts["deliveries", "email", "resolved"] == 1

    async def test_what_it_tells_of_a_known_outcome_changes_nothing(self) -> None:
        lane = Lane()

        await lane.run(batch(message()), BEAT, batch(Resolution(message().id, "email", "rejected")))

        assert lane.status(message()) == "delivered"
