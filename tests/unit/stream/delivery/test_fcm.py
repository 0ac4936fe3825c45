"""The provider of push messages for apps, against a server that speaks FCM's HTTP v1 API and verifies its login."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa

from models.delivery.deliveries import Result
from models.units import now_ms
from stream.delivery.fcm import QUOTA_WAIT_S, Fcm
from stream.delivery.google_tokens import GoogleTokens
from tests.support.deaf_port import deaf_port
from tests.support.fcm import FakeFcm, FcmAnswer, device, fcm_error, pem_of, push_message, serving_fcm
from tests.support.letters import LINK

DEVICE = device()
INVALID_TOKEN = "The registration token is not a valid FCM registration token"
Open = Callable[..., Fcm]


@pytest.fixture
async def server() -> AsyncIterator[FakeFcm]:
    """A server that speaks FCM."""
    async with serving_fcm(FakeFcm()) as served:
        yield served


@pytest.fixture
async def open_fcm(server: FakeFcm) -> AsyncIterator[Open]:
    """A function that opens a provider at the server."""
    opened: list[Fcm] = []

    def make(link: str | None = None, timeout_s: float = 30.0, **changed: object) -> Fcm:
        account = msgspec.structs.replace(server.account, **changed)
        opened.append(Fcm(server.section, account, link, timeout_s=timeout_s))
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


async def test_a_message_is_sent_in_the_form_of_the_http_v1_api(server: FakeFcm) -> None:
    at = now_ms()
    provider = Fcm(server.section, server.account, "https://shop.example/", now=lambda: at)
    message = push_message(expires=at + 90_000)

    result = await provider.deliver(message, unsubscribe=LINK)
    await provider.close()

    assert (result.status, result.provider_id) == ("delivered", "projects/shop-4711/messages/0:1")
    (sent,) = server.sent
    key = sent["android"]["collapse_key"]
    assert len(key) == 32
    assert sent == {
        "token": DEVICE,
        "notification": {"title": "Grüße, Ada", "body": "Hello Ada 0"},
        "data": {
            "perennial_message": message.id,
            "perennial_unsubscribe": LINK,
            "perennial_link": "https://shop.example/",
        },
        "android": {"ttl": "90s", "priority": "NORMAL", "collapse_key": key, "notification": {"tag": key}},
        "webpush": {
            "headers": {"TTL": "90", "Urgency": "normal", "Topic": key},
            "notification": {"tag": key},
            "fcm_options": {"link": "https://shop.example/"},
        },
        "apns": {
            "headers": {
                "apns-expiration": str(at // 1000 + 90),
                "apns-priority": "5",
                "apns-collapse-id": key,
            }
        },
    }


async def test_a_transactional_message_is_urgent_and_replaces_only_itself(server: FakeFcm, open_fcm: Open) -> None:
    message = push_message(category="transactional")

    await open_fcm().deliver(message, unsubscribe=LINK)

    (sent,) = server.sent
    assert sent["android"] == {"ttl": "0s", "priority": "HIGH", "notification": {"tag": message.id}}
    assert sent["apns"]["headers"]["apns-priority"] == "10"
    assert sent["data"] == {"perennial_message": message.id}


@pytest.mark.parametrize(
    ("answer", "status", "bounce", "trouble"),
    [
        (fcm_error(404, "UNREGISTERED", general="NOT_FOUND"), "rejected", "gone", False),
        (fcm_error(400, "INVALID_ARGUMENT", field_name="message.token"), "rejected", "gone", False),
        (fcm_error(400, "INVALID_ARGUMENT", message=INVALID_TOKEN), "rejected", "gone", False),
        (fcm_error(400, "INVALID_ARGUMENT", field_name="message.data"), "rejected", "sender", False),
        (fcm_error(400, "INVALID_ARGUMENT"), "rejected", "sender", False),
        (fcm_error(400, "", general="INVALID_ARGUMENT", field_name="message.token"), "rejected", "sender", False),
        (FcmAnswer(400, "nonsense"), "rejected", "sender", False),
        (fcm_error(403, "SENDER_ID_MISMATCH"), "failed", "sender", False),
        (fcm_error(401, "THIRD_PARTY_AUTH_ERROR"), "failed", "sender", False),
        (fcm_error(429, "QUOTA_EXCEEDED"), "failed", "", True),
        (fcm_error(503, "UNAVAILABLE"), "failed", "", True),
        (FcmAnswer(503, "<html>"), "failed", "", True),
        (fcm_error(500, "INTERNAL"), "failed", "", True),
        (fcm_error(500, "", general="INTERNAL"), "failed", "", True),
        (FcmAnswer(500, "<html>"), "unknown", "", True),
        (FcmAnswer(502, "<html>"), "unknown", "", True),
        (FcmAnswer(504, {"error": "text"}), "unknown", "", True),
        (fcm_error(401, "", general="UNAUTHENTICATED"), "failed", "sender", True),
        (fcm_error(403, "", general="PERMISSION_DENIED"), "failed", "sender", True),
        (fcm_error(404, "", general="NOT_FOUND"), "failed", "sender", True),
        (FcmAnswer(302, headers={"Location": "/token"}), "failed", "sender", True),
    ],
)
async def test_the_error_code_decides_what_happens_next(
    server: FakeFcm, open_fcm: Open, answer: FcmAnswer, status: str, bounce: str, trouble: bool
) -> None:
    server.answers[DEVICE] = [answer]

    result = await open_fcm().deliver(push_message(), unsubscribe=None)

    assert (result.status, result.bounce, result.trouble) == (status, bounce, trouble)
    assert result.detail.startswith(str(answer.status))
    assert DEVICE not in result.detail + result.code
    assert server.asked[DEVICE] == 1
    assert server.sent == []


async def test_only_an_answer_of_a_gateway_leaves_the_outcome_unknown_with_an_answer(
    server: FakeFcm, open_fcm: Open
) -> None:
    server.answers[DEVICE] = [FcmAnswer(502)]

    assert (await open_fcm().deliver(push_message(), unsubscribe=None)).answered


@pytest.mark.parametrize(
    ("status", "code", "headers", "wait"),
    [
        (429, "QUOTA_EXCEEDED", {"Retry-After": "7"}, 7.0),
        (429, "QUOTA_EXCEEDED", {}, QUOTA_WAIT_S),
        (503, "UNAVAILABLE", {"Retry-After": "3"}, 3.0),
        (503, "UNAVAILABLE", {}, None),
    ],
)
async def test_the_wait_is_the_one_that_fcm_asks_for(
    server: FakeFcm, open_fcm: Open, status: int, code: str, headers: dict[str, str], wait: float | None
) -> None:
    error = fcm_error(status, code)
    server.answers[DEVICE] = [FcmAnswer(status, error.content, headers)]

    assert (await open_fcm().deliver(push_message(), unsubscribe=None)).retry_after == wait


async def test_no_answer_in_time_is_unknown(server: FakeFcm, open_fcm: Open) -> None:
    server.hanging = {DEVICE}

    result = await open_fcm(timeout_s=0.3).deliver(push_message(), unsubscribe=None)

    assert (result.status, result.detail) == ("unknown", "no answer: TimeoutError")


async def test_a_message_to_an_unreachable_server_has_failed(server: FakeFcm, unused_tcp_port: int) -> None:
    section = msgspec.structs.replace(server.section, base_url=f"http://127.0.0.1:{unused_tcp_port}")
    provider = Fcm(section, server.account)

    result = await provider.deliver(push_message(), unsubscribe=None)
    await provider.close()

    assert (result.status, result.trouble) == ("failed", True)


async def test_a_message_to_a_server_that_takes_no_connection_has_failed(server: FakeFcm) -> None:
    with deaf_port() as port:
        section = msgspec.structs.replace(server.section, base_url=f"http://127.0.0.1:{port}")
        provider = Fcm(section, server.account, timeout_s=0.5)
        result = await provider.deliver(push_message(), unsubscribe=None)
        await provider.close()

    assert (result.status, result.trouble) == ("failed", True)
    assert server.given == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"to": "too short"}, "token: found 9 characters"),
        ({"text": "\ud800"}, "cannot be written as JSON"),
        ({"text": "a" * 4090}, "FCM takes 4096"),
    ],
)
async def test_a_message_that_fcm_cannot_take_is_not_sent(
    server: FakeFcm, open_fcm: Open, changed: dict[str, Any], why: str
) -> None:
    result = await open_fcm().deliver(push_message(**changed), unsubscribe=None)

    assert (result.status, result.called) == ("rejected", False)
    assert why in result.detail
    assert not server.asked


async def test_the_longest_message_that_we_send_is_taken(server: FakeFcm, open_fcm: Open) -> None:
    provider, lengths = open_fcm(), range(3900, 4100)

    results = [await provider.deliver(push_message(text="a" * n), unsubscribe=None) for n in lengths]

    sent = [n for n, result in zip(lengths, results, strict=True) if result.status == "delivered"]
    assert {result.status for result in results} == {"delivered", "rejected"}
    assert sent == list(range(3900, max(sent) + 1))
    assert server.asked.total() == len(sent)  # the server has refused none that we did not refuse


# --- the access token


async def test_messages_share_one_access_token(server: FakeFcm, open_fcm: Open) -> None:
    provider = open_fcm()

    for number in range(3):
        await provider.deliver(push_message(number), unsubscribe=None)

    assert (server.given, len(server.sent)) == (1, 3)


async def test_a_refused_access_token_is_replaced(server: FakeFcm, open_fcm: Open) -> None:
    provider = open_fcm()
    await provider.deliver(push_message(0), unsubscribe=None)
    server.tokens.clear()

    results = [await provider.deliver(push_message(1), unsubscribe=None) for _ in range(2)]

    assert [result.status for result in results] == ["failed", "delivered"]
    assert server.given == 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"client_email": "other@shop.example"}, "InvalidIssuer"),
        ({"private_key_id": "ffff"}, "unknown key"),
        ({"private_key": pem_of(rsa.generate_private_key(65537, 2048))}, "InvalidSignature"),
    ],
)
async def test_a_login_with_another_account_is_refused_and_no_message_is_sent(
    server: FakeFcm, open_fcm: Open, changed: dict[str, str], why: str
) -> None:
    result = await open_fcm(**changed).deliver(push_message(), unsubscribe=None)

    assert (result.status, result.trouble) == ("failed", True)
    assert why in result.detail
    assert "invalid_grant" in result.detail
    assert not server.asked


async def test_a_server_of_tokens_that_hangs_leaves_no_outcome_unknown(server: FakeFcm, open_fcm: Open) -> None:
    server.hanging = {"*"}

    result = await open_fcm(timeout_s=0.3).deliver(push_message(), unsubscribe=None)

    assert (result.status, result.trouble) == ("failed", True)
    assert "no access token" in result.detail


@pytest.mark.parametrize("content", ["<html>", {"access_token": "a"}, {"access_token": "", "expires_in": 9}])
async def test_an_answer_without_a_token_is_refused(
    server: FakeFcm, open_fcm: Open, content: dict[str, object] | str
) -> None:
    server.token_answers = [FcmAnswer(200, content)]

    assert (await open_fcm().deliver(push_message(), unsubscribe=None)).status == "failed"


async def test_a_message_is_checked_again_after_the_token_was_fetched(server: FakeFcm, open_fcm: Open) -> None:
    stopped = Result("suppressed", "unsubscribe (marketing)", called=False)
    given: list[int] = []

    def last_check() -> Result:
        given.append(server.given)
        return stopped

    assert await open_fcm().deliver(push_message(), unsubscribe=None, last_check=last_check) == stopped
    assert given == [1]
    assert not server.asked


class MovedClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_token_is_renewed_before_its_end_and_used_until_then_if_the_renewal_fails(server: FakeFcm) -> None:
    clock, server.life_s = MovedClock(), 3600
    tokens = GoogleTokens(server.account, now=now_ms, timeout_s=5.0, clock=clock)
    async with aiohttp.ClientSession() as session:
        first = await tokens.token(session)
        clock.seconds = 3299.0
        same = await tokens.token(session)
        clock.seconds = 3301.0
        server.token_answers = [FcmAnswer(503)]
        kept = await tokens.token(session)
        renewed = await tokens.token(session)
        clock.seconds += 3601.0
        server.token_answers = [FcmAnswer(503, headers={"Retry-After": "4"})]
        ended = await tokens.token(session)

    assert first == same == kept
    assert renewed != first
    assert server.given == 2
    assert isinstance(ended, Result)
    assert (ended.status, ended.retry_after) == ("failed", 4.0)


async def test_an_answer_of_any_length_is_read_to_a_limit(server: FakeFcm) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 65_536)
        return response

    application = web.Application()
    application.router.add_post("/v1/projects/{project}/messages:send", endless)
    other = TestServer(application)
    await other.start_server()
    section = msgspec.structs.replace(server.section, base_url=str(other.make_url("")))
    provider = Fcm(section, server.account)

    result = await provider.deliver(push_message(), unsubscribe=None)
    await provider.close()
    await other.close()

    assert result.status == "rejected"
