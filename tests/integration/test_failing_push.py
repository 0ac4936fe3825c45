"""A delivery lane with FCM and a push service that refuse temporarily, fail, hang, or drop the connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path

import pytest

from models.delivery import deliveries
from models.delivery.breaker import BreakerPolicy
from models.delivery.messages import Message
from models.events import Channel
from models.units import now_ms
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.fcm import Fcm
from stream.delivery.gate import Gate, Reach
from stream.delivery.outbox import Outbox
from stream.delivery.push import Push
from stream.delivery.unsubscribe import Signer
from stream.delivery.web_push import WebPush
from tests.support.delivery_lanes import DeliveryHarness, delivering_lane
from tests.support.fcm import FakeFcm, FcmAnswer, device, fcm_error, push_message, serving_fcm
from tests.support.mail import KEY
from tests.support.web_push import FakePushService, WebPushAnswer, serving_web_push

KINDS = ("fine", "too many", "failing", "away", "hanging", "dropping", "gone")
EACH = 4
"""Number of messages of each kind to each service."""
TIMEOUT_S = 1.0
CHANNEL: Channel = "push"

Open = Callable[..., Dispatcher]


def _has_commits(lane: DeliveryHarness, number: int) -> bool:
    return len(lane.partition.commits) >= number


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits between attempts."""
    monkeypatch.setattr(deliveries, "FIRST_RETRY_MS", 40)
    monkeypatch.setattr(deliveries, "MAX_RETRY_WAIT_MS", 200)


@pytest.fixture
async def fcm() -> AsyncIterator[FakeFcm]:
    """A server that speaks FCM."""
    async with serving_fcm(FakeFcm()) as served:
        yield served


@pytest.fixture
def service() -> FakePushService:
    """A push service."""
    return FakePushService()


@pytest.fixture
async def open_push(fcm: FakeFcm, service: FakePushService, tmp_path: Path) -> AsyncIterator[Open]:
    """A function that opens the channel with both providers."""
    async with serving_web_push(service, tmp_path) as tls:

        def make(failures: int, max_concurrency: int = 64) -> Dispatcher:
            push = Push(
                Fcm(fcm.section, fcm.account, timeout_s=TIMEOUT_S),
                WebPush(service.section, service.key, outbound=service.outbound(tls), timeout_s=TIMEOUT_S),
            )
            gate = Gate(
                Reach("live"),
                Outbox(tmp_path / "outbox"),
                now=now_ms,
                provider=push,
                signer=Signer([KEY], "https://events.example.com"),
            )
            policy = BreakerPolicy(failures=failures, pause=100, longest=200)
            return Dispatcher(CHANNEL, gate, now=now_ms, max_concurrency=max_concurrency, policy=policy)

        yield make


def messages_to(addresses: list[str]) -> list[Message]:
    now = now_ms()
    return [
        push_message(
            id=blake2b(to.encode(), digest_size=16).hexdigest(),
            user=f"u{n}",
            to=to,
            channel=CHANNEL,
            category="transactional",
            at=now,
            expires=now + 120_000,
        )
        for n, to in enumerate(addresses)
    ]


def numbers(kind: str) -> range:
    first = KINDS.index(kind) * EACH
    return range(first, first + EACH)


def instruct(fcm: FakeFcm, service: FakePushService) -> None:
    """Set the answers of both servers to each message."""
    of_fcm = {
        "too many": [FcmAnswer(429, fcm_error(429, "QUOTA_EXCEEDED").content, {"Retry-After": "1"})],
        "failing": [fcm_error(500, "INTERNAL")] * 2,
        "away": [fcm_error(503, "UNAVAILABLE")] * 3,
        "gone": [fcm_error(404, "UNREGISTERED", general="NOT_FOUND")],
    }
    of_service = {
        "too many": [WebPushAnswer(429, {"Retry-After": "1"})],
        "failing": [WebPushAnswer(500)] * 2,
        "away": [WebPushAnswer(503)] * 3,
        "gone": [WebPushAnswer(410)],
    }
    for kind in of_fcm:
        fcm.answers |= {device(n): list(of_fcm[kind]) for n in numbers(kind)}
        service.answers |= {service.endpoint(n): list(of_service[kind]) for n in numbers(kind)}
    fcm.hanging, fcm.dropping = {device(n) for n in numbers("hanging")}, {device(n) for n in numbers("dropping")}
    service.hanging = {service.endpoint(n) for n in numbers("hanging")}
    service.dropping = {service.endpoint(n) for n in numbers("dropping")}


async def test_nothing_is_lost_or_sent_twice_and_only_messages_without_an_answer_are_unknown(
    fcm: FakeFcm, service: FakePushService, open_push: Open
) -> None:
    everyone = range(len(KINDS) * EACH)
    messages = messages_to([*map(device, everyone), *map(service.subscription, everyone)])
    instruct(fcm, service)

    async with delivering_lane(CHANNEL, open_push(failures=1000), messages) as lane:
        await lane.until_all("delivered", "rejected", "unknown")
        statuses, outcomes = lane.statuses, lane.outcomes

    expected = {"hanging": "unknown", "dropping": "unknown", "gone": "rejected"}
    assert statuses == {
        address(n): expected.get(kind, "delivered")
        for address in (device, service.subscription)
        for kind in KINDS
        for n in numbers(kind)
    }
    assert {len(events) for events in outcomes.values()} == {1}
    taken = [n for kind in KINDS if kind not in ("hanging", "gone") for n in numbers(kind)]
    assert Counter(sent["token"] for sent in fcm.sent) == Counter(map(device, taken))
    assert Counter(endpoint for endpoint, _ in service.sent) == Counter(map(service.endpoint, taken))
    attempts = {"too many": 2, "failing": 3, "away": 4}
    assert fcm.asked == Counter({device(n): attempts.get(kind, 1) for kind in KINDS for n in numbers(kind)})
    assert service.asked == {service.endpoint(n): attempts.get(kind, 1) for kind in KINDS for n in numbers(kind)}


async def test_a_lane_that_restarts_during_calls_neither_sends_twice_nor_forgets_an_answer(
    fcm: FakeFcm, service: FakePushService, open_push: Open
) -> None:
    messages = messages_to([*map(device, range(6)), *map(service.subscription, range(6))])

    async with delivering_lane(CHANNEL, open_push(failures=5, max_concurrency=1), messages) as lane:
        for _ in range(4):
            awaited = len(lane.partition.commits) + 1
            lane.partition.failures.append(OSError("the broker is away"))
            await lane.until(partial(_has_commits, lane, awaited), 60)
        await lane.until_all("delivered")

    assert Counter(sent["token"] for sent in fcm.sent) == Counter(map(device, range(6)))
    assert Counter(endpoint for endpoint, _ in service.sent) == Counter(map(service.endpoint, range(6)))
    assert len(lane.observer.errors) == 4


async def test_services_that_go_away_and_come_back_get_everything_once(
    fcm: FakeFcm, service: FakePushService, open_push: Open
) -> None:
    messages = messages_to([*map(device, range(8)), *map(service.subscription, range(8))])
    fcm.token_answers = [FcmAnswer(503)] * 12
    service.answers = {service.endpoint(n): [WebPushAnswer(503)] * 2 for n in range(8)}

    async with delivering_lane(CHANNEL, open_push(failures=3), messages) as lane:
        await lane.until_all("delivered")

    assert fcm.token_answers == []
    assert fcm.given == 1
    assert Counter(sent["token"] for sent in fcm.sent) == Counter(map(device, range(8)))
    assert Counter(endpoint for endpoint, _ in service.sent) == Counter(map(service.endpoint, range(8)))
