"""A lane with its dispatcher against real servers that refuse temporarily, hang, or go away."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from hashlib import blake2b
from pathlib import Path

import pytest

from models.delivery import deliveries
from models.delivery.breaker import BreakerPolicy
from models.delivery.messages import Message
from models.events import Channel
from models.units import now_ms
from stream.delivery.channels import DeliverySettings, open_channel
from tests.support.delivery_lanes import DeliveryHarness, delivering_lane
from tests.support.letters import letter, text_message
from tests.support.mail import FakeMailServer, live_mail, serving
from tests.support.text_messages import FakeTwilio, TwilioAnswer, live_text_messages, serving_twilio

POLICIES: dict[Channel, BreakerPolicy] = {
    "email": BreakerPolicy(failures=3, pause=100, longest=200),
    "sms": BreakerPolicy(failures=100, pause=100, longest=200),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits between attempts."""
    monkeypatch.setattr(deliveries, "FIRST_RETRY_MS", 40)
    monkeypatch.setattr(deliveries, "MAX_RETRY_WAIT_MS", 200)


def lane(
    channel: Channel, settings: DeliverySettings, messages: list[Message]
) -> AbstractAsyncContextManager[DeliveryHarness]:
    dispatcher = open_channel(channel, settings, now=now_ms, policy=POLICIES[channel])
    return delivering_lane(channel, dispatcher, messages)


def live(make: Callable[..., Message], count: int) -> list[Message]:
    now = now_ms()
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


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        yield served


@pytest.fixture
def mail(server: FakeMailServer, unused_tcp_port: int, tmp_path: Path) -> DeliverySettings:
    """Settings that send live e-mail to the server over four connections."""
    return live_mail(unused_tcp_port, tmp_path, timeout="60s", connections=4)


async def test_recipients_who_are_refused_temporarily_or_permanently_affect_no_other(
    server: FakeMailServer, mail: DeliverySettings
) -> None:
    server.next_answers = {"u1@example.com": ["451 greylisted"] * 3, "u2@example.com": ["550 no such user"]}

    async with lane("email", mail, live(letter, 6)) as delivering:
        await delivering.until_all("delivered", "rejected")

    assert delivering.statuses["u2@example.com"] == "rejected"
    assert server.recipients == Counter({f"u{n}@example.com": 1 for n in (0, 1, 3, 4, 5)})
    assert Counter(server.asked)["u1@example.com"] == 4


async def test_a_recipient_whose_server_hangs_delays_no_other(server: FakeMailServer, mail: DeliverySettings) -> None:
    server.hanging = frozenset({"u0@example.com"})

    async with lane("email", mail, live(letter, 20)) as delivering:
        await delivering.until(lambda: Counter(delivering.statuses.values())["delivered"] == 19, 60)

    assert delivering.statuses["u0@example.com"] == "attempted"
    assert server.recipients.total() == 19


async def test_a_connection_that_drops_after_the_content_leaves_one_message_unknown_which_is_not_tried_again(
    server: FakeMailServer, mail: DeliverySettings
) -> None:
    server.dropping = frozenset({"u3@example.com"})

    async with lane("email", mail, live(letter, 6)) as delivering:
        await delivering.until_all("delivered", "unknown")
        (event,) = delivering.outcomes[delivering.messages[3].id]

    assert Counter(delivering.statuses.values()) == Counter(delivered=5, unknown=1)
    assert set(server.recipients.values()) == {1}
    assert event.type == "message_unknown"


async def test_a_server_that_goes_away_and_comes_back_gets_everything_once(
    server: FakeMailServer, mail: DeliverySettings
) -> None:
    server.away = 12

    async with lane("email", mail, live(letter, 8)) as delivering:
        await delivering.until_all("delivered")

    assert server.away == 0
    assert server.recipients == Counter({f"u{n}@example.com": 1 for n in range(8)})


async def test_a_lane_that_restarts_during_calls_neither_sends_twice_nor_forgets_an_answer(
    server: FakeMailServer, mail: DeliverySettings
) -> None:
    async with lane("email", mail, live(letter, 12)) as delivering:
        for _ in range(4):
            commits = len(delivering.partition.commits)
            delivering.partition.failures.append(OSError("the broker is away"))
            await delivering.until(lambda before=commits: len(delivering.partition.commits) > before, 60)  # type: ignore[misc]
        await delivering.until_all("delivered")

    assert server.recipients == Counter({f"u{n}@example.com": 1 for n in range(12)})
    assert len(delivering.observer.errors) == 4


@pytest.fixture
def twilio() -> FakeTwilio:
    """Twilio."""
    return FakeTwilio()


@pytest.fixture
async def sms(twilio: FakeTwilio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DeliverySettings]:
    """Settings that send live SMS to Twilio, with short waits before look-ups."""
    monkeypatch.setattr("stream.delivery.twilio.LOOKUP_DELAYS_MS", (50, 100, 150))
    async with serving_twilio(twilio) as section:
        yield live_text_messages(section, tmp_path)


async def test_messages_wait_after_too_many_requests_and_errors_and_each_is_sent_once(
    twilio: FakeTwilio, sms: DeliverySettings
) -> None:
    messages = live(text_message, 6)
    twilio.answers = {
        messages[1].to: [TwilioAnswer(429, headers={"Retry-After": "1"})],
        messages[2].to: [TwilioAnswer(503)] * 3,
        messages[3].to: [TwilioAnswer(500)],
        messages[4].to: [TwilioAnswer(400)],
    }
    began = time.monotonic()

    async with lane("sms", sms, messages) as delivering:
        await delivering.until_all("delivered", "rejected")
    waited = time.monotonic() - began

    assert waited >= 1.0
    assert delivering.statuses[messages[4].to] == "rejected"
    assert twilio.sent == Counter({messages[n].to: 1 for n in (0, 1, 2, 3, 5)})
    assert twilio.asked[messages[2].to] == 4
    assert [event.type for event in delivering.outcomes[messages[3].id]] == ["message_unknown", "message_sent"]


async def test_a_message_whose_answer_was_lost_is_found_and_not_sent_again(
    twilio: FakeTwilio, sms: DeliverySettings
) -> None:
    messages = live(text_message, 3)
    twilio.dropping = {messages[1].to}

    async with lane("sms", sms, messages) as delivering:
        await delivering.until_all("delivered")

    assert twilio.sent == Counter({one.to: 1 for one in messages})
    assert [event.type for event in delivering.outcomes[messages[1].id]] == ["message_unknown", "message_sent"]
