"""A lane with its dispatcher against real servers that refuse for now, hang, or go away: what must wait waits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.controller import Controller

from models.delivery import deliveries
from models.delivery.breaker import BreakerPolicy
from models.delivery.deliveries import decode_delivery
from models.delivery.messages import Message, encode_message
from models.events import Channel, Event, decode_event
from models.log import is_control
from stream.delivery.channels import DeliverySettings, open_channel
from stream.delivery.smtp import SmtpSettings
from stream.delivery.twilio import TwilioSettings
from stream.worker.topology import deliver_edges
from tests.support.letters import letter, text_message
from tests.support.memory import Bench, record

SECRET = b"0123456789abcdef"


def _now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "FIRST_RETRY_MS", 40)
    monkeypatch.setattr(deliveries, "MAX_RETRY_WAIT_MS", 200)


class Lane(Bench):
    """A delivery lane whose broker is in memory, with a dispatcher that calls a real server."""

    def __init__(self, channel: Channel, settings: DeliverySettings, messages: list[Message]) -> None:
        self.dispatcher = open_channel(channel, settings, now=_now)
        (edge,) = deliver_edges({channel: self.dispatcher}, _now)
        records = [record(i, one.user.encode(), encode_message(one)) for i, one in enumerate(messages)]
        super().__init__(replace(edge, pace_s=0.0), records)
        self.lane.topic = f"messages.{channel}"
        self.messages = messages

    @property
    def now(self) -> float:
        """Seconds, of the machine's own clock: the dispatcher and the provider go by it, too."""
        return time.time()

    @now.setter
    def now(self, _: float) -> None:
        """Nobody sets it."""

    @property
    def statuses(self) -> dict[str, str]:
        """Where each message stands, by its recipient."""
        found = {one.id.encode(): one.to for one in self.messages}
        state = self.partition.state
        return {found[key]: decode_delivery(value).status for key, value in state.items() if not is_control(key)}

    @property
    def told(self) -> dict[str | None, list[Event]]:
        """Outcomes by message."""
        events = [decode_event(output.value or b"") for output in self.partition.outputs]
        return {one.id: [event for event in events if event.message == one.id] for one in self.messages}

    async def until_all(self, *statuses: str) -> None:
        """Return when every message stands at one of these."""
        await self.until(
            lambda: len(self.statuses) == len(self.messages) and set(self.statuses.values()) <= set(statuses), 60
        )


@asynccontextmanager
async def lane(channel: Channel, settings: DeliverySettings, messages: list[Message]) -> AsyncIterator[Lane]:
    made = Lane(channel, settings, messages)
    try:
        async with made:
            yield made
    finally:
        await made.dispatcher.close()


def _live(make: Callable[..., Message], count: int) -> list[Message]:
    now = _now()
    return [
        make(
            id=blake2b(b"%d" % n, digest_size=16).hexdigest(),
            user=f"u{n}",
            to=f"u{n}@example.com" if make is letter else f"+493090182{n:02d}",
            at=now,
            expires=now + 120_000,
        )
        for n in range(count)
    ]


@dataclass
class Mailbox:
    """A mail server with moods."""

    taken: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    refusing: dict[str, list[str]] = field(default_factory=dict)
    hanging: frozenset[str] = frozenset()
    dropping: frozenset[str] = frozenset()
    away: int = 0

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.away:
            self.away -= 1
            return "421 going away"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        self.tried[address] += 1
        answers = self.refusing.get(address)
        if answers:
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        recipient = envelope.rcpt_tos[0]
        if recipient in self.hanging:
            await asyncio.sleep(3600)
        self.taken[recipient] += 1
        if recipient in self.dropping:
            server.transport.abort()
        return "250 taken"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def mail(mailbox: Mailbox, unused_tcp_port: int, tmp_path: Path) -> Iterator[DeliverySettings]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=unused_tcp_port)
    controller.start()
    smtp = SmtpSettings(
        "127.0.0.1", unused_tcp_port, security="none", sender="hello@shop.example", timeout_s=60.0, connections=4
    )
    yield DeliverySettings(
        mode="live",
        outbox=tmp_path,
        secrets=(SECRET,),
        smtp=smtp,
        breaker=BreakerPolicy(failures=3, pause=100, longest=200),
    )
    controller.stop()


async def test_recipients_who_are_refused_for_now_or_for_good_disturb_no_other(
    mailbox: Mailbox, mail: DeliverySettings
) -> None:
    mailbox.refusing = {"u1@example.com": ["451 greylisted"] * 3, "u2@example.com": ["550 no such user"]}

    async with lane("email", mail, _live(letter, 6)) as delivering:
        await delivering.until_all("delivered", "rejected")

    assert delivering.statuses["u2@example.com"] == "rejected"
    assert mailbox.taken == Counter({f"u{n}@example.com": 1 for n in (0, 1, 3, 4, 5)})
    assert mailbox.tried["u1@example.com"] == 4


async def test_a_recipient_whose_server_hangs_holds_up_nobody_else(mailbox: Mailbox, mail: DeliverySettings) -> None:
    mailbox.hanging = frozenset({"u0@example.com"})

    async with lane("email", mail, _live(letter, 20)) as delivering:
        await delivering.until(lambda: Counter(delivering.statuses.values())["delivered"] == 19, 60)

    assert delivering.statuses["u0@example.com"] == "attempted"
    assert mailbox.taken.total() == 19


async def test_a_connection_that_drops_after_the_content_is_one_unknown_and_is_not_tried_again(
    mailbox: Mailbox, mail: DeliverySettings
) -> None:
    mailbox.dropping = frozenset({"u3@example.com"})

    async with lane("email", mail, _live(letter, 6)) as delivering:
        await delivering.until_all("delivered", "unknown")
        (event,) = delivering.told[delivering.messages[3].id]

    assert Counter(delivering.statuses.values()) == Counter(delivered=5, unknown=1)
    assert set(mailbox.taken.values()) == {1}
    assert event.type == "message_unknown"


async def test_a_server_that_goes_away_and_comes_back_gets_everything_once(
    mailbox: Mailbox, mail: DeliverySettings
) -> None:
    mailbox.away = 12

    async with lane("email", mail, _live(letter, 8)) as delivering:
        await delivering.until_all("delivered")

    assert mailbox.away == 0
    assert mailbox.taken == Counter({f"u{n}@example.com": 1 for n in range(8)})


async def test_a_lane_that_begins_anew_amid_calls_neither_sends_twice_nor_forgets_an_answer(
    mailbox: Mailbox, mail: DeliverySettings
) -> None:
    async with lane("email", mail, _live(letter, 12)) as delivering:
        for _ in range(4):
            commits = len(delivering.partition.commits)
            delivering.partition.failures.append(OSError("the broker is away"))
            await delivering.until(lambda before=commits: len(delivering.partition.commits) > before, 60)  # type: ignore[misc]
        await delivering.until_all("delivered")

    assert mailbox.taken == Counter({f"u{n}@example.com": 1 for n in range(12)})
    assert len(delivering.observer.errors) == 4


@dataclass
class Api:
    """Twilio, with moods: what it answers to each number, and what it has really taken."""

    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    loses: set[str] = field(default_factory=set)
    tried: Counter[str] = field(default_factory=Counter)
    taken: dict[str, str] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)

    async def post(self, request: web.Request) -> web.Response:
        form = await request.post()
        number, body = str(form["To"]), str(form["Body"])
        self.tried[number] += 1
        waiting = self.answers.get(number)
        if waiting:
            status, headers = waiting.pop(0)
            return web.json_response({}, status=status, headers=headers)
        self.taken[number] = body
        self.sent[number] += 1
        if number in self.loses:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"sid": f"SM{number}"}, status=201)

    async def get(self, request: web.Request) -> web.Response:
        number = request.query["To"]
        listed = {
            "sid": "SM",
            "to": number,
            "body": self.taken.get(number),
            "status": "sent",
            "date_created": time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()),
        }
        return web.json_response({"messages": [listed] if number in self.taken else []})


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def sms(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DeliverySettings]:
    monkeypatch.setattr("stream.delivery.twilio.LOOKUP_DELAYS_MS", (50, 100, 150))
    application = web.Application()
    path = "/2010-04-01/Accounts/{account}/Messages.json"
    application.router.add_post(path, api.post)
    application.router.add_get(path, api.get)
    server = TestServer(application)
    await server.start_server()
    twilio = TwilioSettings("AC1", "secret", "+15005550006", str(server.make_url("")), timeout_s=30)
    yield DeliverySettings(
        mode="live",
        outbox=tmp_path,
        secrets=(SECRET,),
        twilio=twilio,
        breaker=BreakerPolicy(failures=100, pause=100, longest=200),
    )
    await server.close()


async def test_too_many_requests_and_errors_of_the_server_wait_and_each_message_is_sent_once(
    api: Api, sms: DeliverySettings
) -> None:
    messages = _live(text_message, 6)
    api.answers = {
        messages[1].to: [(429, {"Retry-After": "1"})],
        messages[2].to: [(503, {})] * 3,
        messages[3].to: [(500, {})],
        messages[4].to: [(400, {})],
    }
    began = time.monotonic()

    async with lane("sms", sms, messages) as delivering:
        await delivering.until_all("delivered", "rejected")
    waited = time.monotonic() - began

    assert waited >= 1.0
    assert delivering.statuses[messages[4].to] == "rejected"
    assert api.sent == Counter({messages[n].to: 1 for n in (0, 1, 2, 3, 5)})
    assert api.tried[messages[2].to] == 4
    assert [event.type for event in delivering.told[messages[3].id]] == ["message_unknown", "message_sent"]


async def test_a_message_whose_answer_was_lost_is_found_and_not_sent_again(api: Api, sms: DeliverySettings) -> None:
    messages = _live(text_message, 3)
    api.loses = {messages[1].to}

    async with lane("sms", sms, messages) as delivering:
        await delivering.until_all("delivered")

    assert api.sent == Counter({one.to: 1 for one in messages})
    assert [event.type for event in delivering.told[messages[1].id]] == ["message_unknown", "message_sent"]
