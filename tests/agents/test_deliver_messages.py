from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import msgspec
import pytest

from agents.deliver_messages import deliver_messages
from models.batch import Batch, Outputs, Restored
from models.engage.deliveries import KEPT, Result, decode_delivery
from models.engage.messages import Message, encode_message, message_id
from models.events import Event, decode_event
from models.rejected import decode_rejected

NOW = 1_700_000_000_000


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
        expires=NOW + 1000,
        origin="live",
    )
    return msgspec.structs.replace(made, **changed)


def batch(*messages: Message | bytes) -> Batch:
    values = [one if isinstance(one, bytes) else encode_message(one) for one in messages]
    return Batch("messages.email", 0, [Read(value, offset=i) for i, value in enumerate(values)])


@dataclass
class Lane:
    """Drives the agent as a lane does: commits what is yielded before it goes on; may die at any commit."""

    state: Restored = field(default_factory=Restored)
    sent: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    counts: dict[tuple[str, ...], float] = field(default_factory=dict)
    commits: int = 0
    effects: bool = False
    now: int = NOW
    answers: dict[str, Result | Exception] = field(default_factory=dict)

    async def send(self, one: Message) -> Result:
        assert self.effects, "the lane was not told that effects follow"
        attempted = decode_delivery(self.state.records[one.id.encode()])
        assert attempted.status == "attempted", "the provider was called before the attempt was committed"
        self.sent.append(one.id)
        answer = self.answers.get(one.id, Result("delivered", "250 ok", "p1"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run(self, *batches: Batch, dies_before_commit: int = 1_000, chunk: int = 64) -> None:
        agent = deliver_messages(_each(batches), state=self.state, send=self.send, now=lambda: self.now, chunk=chunk)
        commits = 0
        async for outputs in agent:
            commits += 1
            if commits == dies_before_commit:
                await agent.aclose()  # type: ignore[attr-defined] # an agent is an async generator
                return
            self._commit(outputs)

    def _commit(self, outputs: Outputs) -> None:
        self.commits += 1
        self.effects = outputs.effects
        self.state.apply(outputs)
        for output in outputs.records:
            assert output.value is not None
            if output.topic == "outcomes":
                self.events.append(decode_event(output.value))
            else:
                self.rejected.append(decode_rejected(output.value).reason)
        for key, count in outputs.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count

    def status(self, one: Message) -> str:
        return decode_delivery(self.state.records[one.id.encode()]).status


async def _each(batches: Iterable[Batch]) -> AsyncIterator[Batch]:
    for one in batches:
        yield one


async def test_a_message_is_attempted_then_sent_and_its_outcome_is_an_event_of_its_user() -> None:
    lane = Lane()

    await lane.run(batch(message()))

    assert lane.sent == [message().id]
    assert lane.status(message()) == "delivered"
    assert [(event.type, event.user, event.message, event.origin) for event in lane.events] == [
        ("message_sent", "u1", message().id, "live")
    ]
    assert lane.events[0].properties == {"rule": "win_back", "provider_id": "p1"}
    assert lane.counts == {("deliveries", "email", "sent"): 1}


async def test_a_result_keeps_no_body_in_the_state() -> None:
    lane = Lane()

    await lane.run(batch(message()))

    assert b"text" not in lane.state.records[message().id.encode()]


async def test_a_message_that_comes_again_is_not_sent_again() -> None:
    lane = Lane()

    await lane.run(batch(message(), message()), batch(message()))
    await lane.run(batch(message()))

    assert lane.sent == [message().id]
    assert lane.counts["deliveries", "email", "duplicate"] == 3


@pytest.mark.parametrize("dies", [1, 2, 3, 4, 5])
async def test_whenever_the_process_dies_nothing_is_sent_twice_and_nothing_is_forgotten(dies: int) -> None:
    lane = Lane()
    messages = [message(i) for i in range(5)]

    await lane.run(batch(*messages), dies_before_commit=dies, chunk=2)
    reread = batch(*messages) if dies == 1 else batch(message(9))  # the position commits with the first outputs
    await lane.run(reread, chunk=2)

    assert len(lane.sent) == len(set(lane.sent))
    told = {event.message: event.type for event in lane.events}
    assert {one.id for one in messages} <= set(told)
    lost_results = [one.id for one in messages if told[one.id] == "message_unknown"]
    assert len(lost_results) <= 2  # a chunk
    assert set(lane.sent) | set(lost_results) >= {one.id for one in messages}


async def test_an_attempt_without_a_result_is_unknown_and_is_never_sent_again() -> None:
    lane = Lane()

    await lane.run(batch(message()), dies_before_commit=2)
    await lane.run()

    assert lane.sent == [message().id]
    assert lane.status(message()) == "unknown"
    assert [event.type for event in lane.events] == ["message_unknown"]


async def test_what_became_of_a_chunk_is_committed_before_the_next_is_attempted() -> None:
    lane = Lane()
    effects: list[bool] = []

    agent = deliver_messages(
        _each([batch(*(message(i) for i in range(3)))]), state=lane.state, send=lane.send, now=lambda: NOW, chunk=2
    )
    async for outputs in agent:
        effects.append(outputs.effects)
        lane._commit(outputs)

    assert effects == [True, False, True, False]
    assert len(lane.sent) == 3


async def test_a_restart_with_nothing_open_commits_nothing() -> None:
    lane = Lane()
    await lane.run(batch(message()))
    commits = lane.commits

    await lane.run()

    assert lane.commits == commits


async def test_the_failure_of_one_recipient_touches_no_other() -> None:
    lane = Lane()
    lane.answers = {
        message(1).id: RuntimeError("boom"),
        message(2).id: Result("rejected", "550 no such user"),
        message(3).id: Result("failed", "451 later"),
    }

    await lane.run(batch(*(message(i) for i in range(5))))

    assert [lane.status(message(i)) for i in range(5)] == ["delivered", "unknown", "rejected", "failed", "delivered"]
    reasons = {event.message: (event.type, event.reason) for event in lane.events}
    assert reasons[message(1).id] == ("message_unknown", "unknown: RuntimeError: boom")
    assert reasons[message(2).id] == ("message_failed", "rejected: 550 no such user")


async def test_a_message_whose_time_is_over_is_not_sent() -> None:
    lane = Lane(now=NOW + 1000)

    await lane.run(batch(message()))

    assert lane.sent == []
    assert lane.status(message()) == "expired"
    assert [event.type for event in lane.events] == ["message_failed"]


async def test_time_over_by_the_wall_clock_means_nothing_in_a_replay() -> None:
    lane = Lane(now=NOW + 10**12)

    await lane.run(batch(message(origin="replay")))

    assert lane.sent == [message().id]
    assert [(event.at, event.origin) for event in lane.events] == [(NOW, "replay")]


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff garbage",
        b"{}",
        encode_message(message(channel="sms")),
        encode_message(message()).replace(message().id.encode(), b"../../../etc/cron.d/0000000000000"),
    ],
)
async def test_what_is_no_message_of_this_channel_is_rejected_and_disturbs_nothing(bad: bytes) -> None:
    lane = Lane()

    await lane.run(batch(bad, message()))

    assert lane.sent == [message().id]
    assert len(lane.rejected) == 1


async def test_recipients_of_a_chunk_are_served_side_by_side() -> None:
    everybody = asyncio.Barrier(8)

    async def send(_: Message) -> Result:
        await everybody.wait()
        return Result("delivered")

    lane = Lane()
    agent = deliver_messages(
        _each([batch(*(message(i) for i in range(8)))]), state=lane.state, send=send, now=lambda: NOW
    )
    async with asyncio.timeout(5):
        async for outputs in agent:
            lane.state.apply(outputs)

    assert [lane.status(message(i)) for i in range(8)] == ["delivered"] * 8


async def test_ids_are_forgotten_after_the_topic_has_forgotten_the_messages() -> None:
    lane = Lane()
    await lane.run(batch(message(0)))
    lane.now += KEPT + 1

    await lane.run(batch(message(1, expires=lane.now + 1)))

    assert message(0).id.encode() not in lane.state.records
    assert lane.status(message(1)) == "delivered"


async def test_records_of_the_lane_itself_are_no_deliveries() -> None:
    lane = Lane(state=Restored(records={b"\x00position": b"\x01\x02"}))

    await lane.run(batch(message()))

    assert lane.status(message()) == "delivered"
