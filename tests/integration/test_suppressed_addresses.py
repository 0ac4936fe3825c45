"""The suppression list stops messages before the provider, and bounces write to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from agents.deliver_messages import deliver_messages
from models.batch import Batch, Outputs, Restored
from models.delivery.address_hashes import AddressHashes
from models.delivery.deliveries import Result
from models.delivery.messages import Message, encode_message
from models.delivery.notices import AddressReport, Answer, InFlight, encode_notice
from models.delivery.suppression import TOPIC, SuppressionEntry, decode_entry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppressor import Suppressor
from models.events import Event, decode_event
from stream.delivery.channels import open_channel
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.gate import Gate, Mode, Reach
from stream.delivery.outbox import Outbox
from stream.delivery.unsubscribe import Signer
from tests.support.dispatching import FakeProvider
from tests.support.event_logs import written
from tests.support.letters import NOW, files, letter
from tests.support.mail import FakeMailServer, live_mail, serving

HASHES = AddressHashes([b"0123456789abcdef"])
SIGNER = Signer([b"0123456789abcdef"], "https://events.example.com")
ADDRESS = "ada@example.com"


def listed(*reasons: str) -> SuppressionList:
    made = SuppressionList(HASHES)
    for reason in reasons:
        entry = SuppressionEntry(
            scope="all" if reason == "bounce" else "marketing", reason=reason, channel="email", at=NOW
        )
        made.apply(key_of(HASHES.newest("email", ADDRESS), reason), encode_entry(entry))  # type: ignore[arg-type]
    return made


def to_ada(number: int, **changed: object) -> Message:
    return letter(number, **{"to": ADDRESS, "user": f"u{number}", **changed})


def gate(mode: Mode, folder: Path, provider: FakeProvider, made: SuppressionList, behind: str = "") -> Gate:
    suppressor = Suppressor("email", made, lambda: behind)
    return Gate(Reach(mode), Outbox(folder), now=lambda: NOW, provider=provider, signer=SIGNER, suppressor=suppressor)


@pytest.mark.parametrize("mode", get_args(Mode))
async def test_a_suppressed_message_reaches_neither_the_provider_nor_the_outbox(tmp_path: Path, mode: Mode) -> None:
    provider = FakeProvider()

    result = await gate(mode, tmp_path, provider, listed("complaint")).deliver(to_ada(1))

    assert result == Result("suppressed", "complaint (marketing)", called=False)
    assert (provider.taken, files(tmp_path)) == ([], [])


async def test_a_receipt_is_still_sent_unless_the_address_does_not_exist(tmp_path: Path) -> None:
    provider, receipt = FakeProvider(), to_ada(1, category="transactional")

    sent = await gate("live", tmp_path, provider, listed("unsubscribe")).deliver(receipt)
    stopped = await gate("live", tmp_path, provider, listed("bounce")).deliver(receipt)

    assert (sent.status, stopped.status, len(provider.taken)) == ("delivered", "suppressed", 1)


async def test_nothing_is_handed_over_while_the_list_cannot_be_trusted(tmp_path: Path) -> None:
    provider = FakeProvider()

    result = await gate("live", tmp_path, provider, listed(), behind="not read").deliver(to_ada(1))

    assert (result.status, result.called, provider.taken) == ("failed", False, [])


async def test_links_contain_the_hash_of_the_address_if_and_only_if_the_message_is_live(
    tmp_path: Path,
) -> None:
    provider = FakeProvider()

    await gate("live", tmp_path, provider, listed()).deliver(to_ada(1))
    await gate("outbox", tmp_path, provider, listed()).deliver(to_ada(2))
    await gate("outbox", tmp_path, provider, listed()).deliver(to_ada(3, origin="simulate"))

    ((_, link),) = provider.taken
    assert link is not None
    assert SIGNER.verify(link.partition("token=")[2]).address == HASHES.newest("email", ADDRESS)
    for number, hashed in ((2, HASHES.newest("email", ADDRESS)), (3, "")):
        content = (tmp_path / f"{to_ada(number).id}.eml").read_bytes()
        token = content.partition(b"List-Unsubscribe: <")[2].partition(b">")[0].replace(b"\r\n ", b"").decode()
        assert SIGNER.verify(token.partition("token=")[2]).address == hashed


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        yield served


def open_dispatcher(port: int, folder: Path, made: SuppressionList, now: Callable[[], int] = lambda: NOW) -> Dispatcher:
    settings = live_mail(port, folder)
    return open_channel("email", settings, now=now, suppressor=Suppressor("email", made))


async def deliver(dispatcher: Dispatcher, *batches: Sequence[bytes], state: Restored | None = None) -> list[Outputs]:
    """Drive the agent in the same way as a lane. Every batch is delivered to its end before the next one comes."""
    state = state or Restored()
    made: list[Outputs] = []
    position = 0
    ended: list[object] = []

    async def given() -> AsyncIterator[Batch]:
        nonlocal position
        for values in batches:
            records = [one._replace(offset=position + i) for i, one in enumerate(written((b"u", v) for v in values))]
            position += len(records)
            yield Batch("messages.email", 0, records)
            yield Batch("messages.email", 0, (), ended=ended)

    async for outputs in deliver_messages(given(), state=state, dispatcher=dispatcher, now=lambda: NOW):
        state.apply(outputs.commit)
        made.append(outputs)
        ended = await asyncio.gather(*(effect() for effect in outputs.after.effects))
    return made


def events(made: Sequence[Outputs]) -> list[Event]:
    records = [record for outputs in made for record in outputs.commit.records if record.topic == "outcomes"]
    return [decode_event(record.value or b"") for record in records]


def entries(outputs: Outputs) -> list[SuppressionEntry]:
    return [decode_entry(record.value) for record in outputs.commit.records if record.topic == TOPIC and record.value]


async def test_three_triggers_make_one_attempt_if_the_first_one_bounces_hard(
    server: FakeMailServer, unused_tcp_port: int, tmp_path: Path
) -> None:
    server.answers[ADDRESS] = "550 5.1.1 <ada@example.com>: no such user"
    dispatcher = open_dispatcher(unused_tcp_port, tmp_path, listed())

    made = await deliver(dispatcher, *([encode_message(to_ada(number))] for number in range(3)))
    await dispatcher.close()

    assert server.asked == [ADDRESS]
    assert [event.type for event in events(made)] == ["message_failed", "message_suppressed", "message_suppressed"]
    assert [event.reason for event in events(made)][1:] == ["suppressed: bounce (all)"] * 2
    # the entry is committed together with the outcome
    (together,) = [outputs for outputs in made if entries(outputs)]
    assert [event.type for event in events([together])] == ["message_failed"]
    assert entries(together)[0].source == "answer 550 5.1.1"


@pytest.mark.parametrize(
    "answer",
    ["550 5.7.1 blocked", "550 5.1.8 bad sender", "552 5.2.2 mailbox full", "550 5.2.1 disabled", "550 no such user"],
)
async def test_any_other_refusal_makes_an_attempt_for_every_trigger(
    server: FakeMailServer, unused_tcp_port: int, tmp_path: Path, answer: str
) -> None:
    server.answers[ADDRESS] = answer
    dispatcher = open_dispatcher(unused_tcp_port, tmp_path, listed())

    made = await deliver(dispatcher, *([encode_message(to_ada(number))] for number in range(3)))
    await dispatcher.close()

    assert len(server.asked) == 3
    assert {event.type for event in events(made)} == {"message_failed"}


async def test_an_entry_that_comes_while_the_server_answers_still_stops_the_message(
    server: FakeMailServer, unused_tcp_port: int, tmp_path: Path
) -> None:
    made = listed()
    key = key_of(HASHES.newest("email", ADDRESS), "unsubscribe")
    entry = encode_entry(SuppressionEntry(scope="marketing", reason="unsubscribe", channel="email", at=NOW))
    server.on_recipient = lambda: made.apply(key, entry)
    dispatcher = open_dispatcher(unused_tcp_port, tmp_path, made)

    first = await deliver(dispatcher, [encode_message(to_ada(1))])
    server.on_recipient = None
    second = await deliver(dispatcher, [encode_message(to_ada(2, to="eve@example.com"))])
    await dispatcher.close()

    assert [event.type for event in events(first)] == ["message_suppressed"]
    assert [event.type for event in events(second)] == ["message_sent"]  # over the same connection
    assert [to for _, to, _ in server.received] == ["eve@example.com"]


async def test_the_new_owner_of_a_call_writes_the_entry_of_its_bounce(
    server: FakeMailServer, unused_tcp_port: int, tmp_path: Path
) -> None:
    message = to_ada(1)
    state = Restored()
    first = open_dispatcher(unused_tcp_port, tmp_path, listed())
    first.name = "the previous dispatcher"
    async for outputs in deliver_messages(
        _once(encode_message(message)), state=state, dispatcher=first, now=lambda: NOW
    ):
        state.apply(outputs.commit)  # this process dies before it calls the provider
    second = open_dispatcher(unused_tcp_port, tmp_path, listed())
    answer = Answer(
        message=message.id, channel="email", attempt=1, by="the previous dispatcher", status="rejected",
        detail="550 5.1.1 unknown", bounce="hard", code="550 5.1.1",
    )  # fmt: skip

    made = await deliver(
        second,
        [encode_notice(InFlight(message.id, 1, "the previous dispatcher"))],
        [encode_notice(answer)],
        [encode_message(to_ada(2))],
        state=state,
    )
    await first.close()
    await second.close()

    assert [event.type for event in events(made)] == ["message_failed", "message_suppressed"]
    assert sum(len(entries(outputs)) for outputs in made) == 1
    assert server.asked == []


async def _once(value: bytes) -> AsyncIterator[Batch]:
    yield Batch("messages.email", 0, written([(b"u", value)]))


async def test_a_report_about_an_address_stops_later_messages_of_every_user(
    server: FakeMailServer, unused_tcp_port: int, tmp_path: Path
) -> None:
    dispatcher = open_dispatcher(unused_tcp_port, tmp_path, listed())
    report = AddressReport(kind="complaint", address=ADDRESS, user="u1", at=NOW, source="Email Marked as Spam")

    made = await deliver(
        dispatcher,
        [encode_notice(report)],
        [encode_message(to_ada(2)), encode_message(to_ada(3, category="transactional"))],
    )
    await dispatcher.close()

    assert sorted(event.type for event in events(made)) == ["message_sent", "message_suppressed"]
    assert [entry.reason for outputs in made for entry in entries(outputs)] == ["complaint"]
    again = SuppressionList(HASHES)
    for outputs in made:
        for entry in outputs.commit.records:
            if entry.topic == TOPIC:
                again.apply(entry.key, entry.value)
    assert again.stops("email", ADDRESS, "marketing") is not None


async def test_a_suppressed_message_says_nothing_about_the_provider(tmp_path: Path, unused_tcp_port: int) -> None:
    """A suppressed message that should probe a failing provider must not count as accepted by the provider."""
    clock = [NOW]
    dispatcher = open_dispatcher(
        unused_tcp_port, tmp_path, listed("complaint"), lambda: clock[0]
    )  # no server listens there
    await deliver(dispatcher, [encode_message(letter(number)) for number in range(8)])
    assert dispatcher.describe()["breaker"] == "open"
    clock[0] += 6_000  # now one message may probe the provider

    made = await deliver(dispatcher, [encode_message(to_ada(9))])
    await dispatcher.close()

    assert [event.type for event in events(made)] == ["message_suppressed"]
    assert dispatcher.describe()["breaker"] == "half_open"
