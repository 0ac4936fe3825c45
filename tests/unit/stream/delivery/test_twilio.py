"""The SMS provider against a server that speaks Twilio's API."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from models.delivery.deliveries import RETENTION_MS, wait_after
from stream.delivery.twilio import Twilio, TwilioSettings
from tests.support.letters import text_message


@dataclass
class Api:
    """What was asked, and what is answered."""

    answer: tuple[int, dict[str, object], dict[str, str]] = (201, {"sid": "SM1", "status": "queued"}, {})
    forms: list[dict[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    hang: float = 0.0
    hang_up: bool = False

    async def handle(self, request: web.Request) -> web.Response:
        kind, _, said = request.headers["Authorization"].partition(" ")
        assert kind == "Basic"
        self.logins.append(b64decode(said).decode())
        self.paths.append(request.path)
        if request.method == "GET":
            self.asked.append(dict(request.query))
        else:
            self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if self.hang_up:
            assert request.transport is not None
            request.transport.close()
        if self.hang:
            await asyncio.sleep(self.hang)
        status, content, headers = self.answer
        return web.json_response(content, status=status, headers=headers)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def twilio(api: Api) -> AsyncIterator[Twilio]:
    application = web.Application()
    application.router.add_route("*", "/2010-04-01/Accounts/{account}/Messages.json", api.handle)
    server = TestServer(application)
    await server.start_server()
    provider = Twilio(TwilioSettings("AC1", "secret", "+15005550006", str(server.make_url("")), timeout_s=30))
    yield provider
    await provider.close()
    await server.close()


@pytest.fixture
async def impatient(twilio: Twilio) -> AsyncIterator[Twilio]:
    """One that waits for no answer for long."""
    provider = Twilio(replace(twilio._settings, timeout_s=0.3))
    yield provider
    await provider.close()


async def test_a_message_is_posted_as_twilio_wants_it(api: Api, twilio: Twilio) -> None:
    result = await twilio.deliver(text_message(), unsubscribe=None)

    assert (result.status, result.provider_id) == ("delivered", "SM1")
    assert api.paths == ["/2010-04-01/Accounts/AC1/Messages.json"]
    assert api.logins == ["AC1:secret"]
    assert api.forms == [{"To": "+4930901820", "From": "+15005550006", "Body": "Hello Ada"}]


async def test_a_messaging_service_is_named_as_such(api: Api, twilio: Twilio) -> None:
    base = twilio._settings.base_url
    service = Twilio(TwilioSettings("AC1", "secret", "MG123", base))

    await service.deliver(text_message(), unsubscribe=None)
    await service.close()

    assert api.forms[0]["MessagingServiceSid"] == "MG123"
    assert "From" not in api.forms[0]


@pytest.mark.parametrize(
    ("status", "content", "result"),
    [
        (400, {"code": 21211, "message": "invalid To"}, "rejected"),
        (401, {"code": 20003, "message": "authenticate"}, "failed"),
        (429, {"code": 20429, "message": "too many"}, "failed"),
        (503, {}, "failed"),
        (500, {}, "unknown"),
        (504, {}, "unknown"),
    ],
)
async def test_an_answer_says_whether_it_may_be_tried_again(
    api: Api, twilio: Twilio, status: int, content: dict[str, object], result: str
) -> None:
    api.answer = (status, content, {})

    got = await twilio.deliver(text_message(), unsubscribe=None)

    assert got.status == result
    assert str(status) in got.detail
    assert str(content.get("message", "")) in got.detail


async def test_the_time_to_wait_is_the_one_that_twilio_asks_for(api: Api, twilio: Twilio) -> None:
    api.answer = (429, {}, {"Retry-After": "7"})

    assert (await twilio.deliver(text_message(), unsubscribe=None)).retry_after == 7.0


async def test_no_answer_in_time_is_unknown(api: Api, impatient: Twilio) -> None:
    api.hang = 5.0

    assert (await impatient.deliver(text_message(), unsubscribe=None)).status == "unknown"


async def test_a_connection_lost_after_the_request_is_unknown(api: Api, twilio: Twilio) -> None:
    api.hang_up = True

    assert (await twilio.deliver(text_message(), unsubscribe=None)).status == "unknown"


async def test_a_server_that_is_not_there_accepted_nothing(unused_tcp_port: int) -> None:
    provider = Twilio(TwilioSettings("AC1", "secret", "+1", f"http://127.0.0.1:{unused_tcp_port}"))

    result = await provider.deliver(text_message(), unsubscribe=None)
    await provider.close()

    assert result.status == "failed"


async def test_the_time_to_wait_may_be_a_date(api: Api, twilio: Twilio) -> None:
    dates = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}
    api.answer = (503, {}, dates)

    assert (await twilio.deliver(text_message(), unsubscribe=None)).retry_after == 30.0


@pytest.mark.parametrize("nonsense", ["soon", "-1", "", "٣", "9" * 500, "Wed, 99 Oct 2026 07:28:30 GMT"])
async def test_a_time_to_wait_that_is_none_does_no_harm(api: Api, twilio: Twilio, nonsense: str) -> None:
    api.answer = (429, {}, {"Retry-After": nonsense})

    result = await twilio.deliver(text_message(), unsubscribe=None)

    assert (result.status, result.trouble) == ("failed", True)
    assert wait_after(text_message().id, 1, result.retry_after) <= RETENTION_MS


async def test_twilio_is_told_where_to_say_what_becomes_of_it(api: Api, twilio: Twilio) -> None:
    settings = replace(twilio._settings, public_url="https://events.shop.example/")
    provider = Twilio(settings)

    await provider.deliver(text_message(), unsubscribe=None)
    await provider.close()

    expected = f"https://events.shop.example/v1/callbacks/twilio?user=u1&message={text_message().id}"
    assert api.forms[0]["StatusCallback"] == expected


def _listed(**changed: object) -> dict[str, object]:
    return {
        "sid": "SM7",
        "to": "+4930901820",
        "body": "Hello Ada",
        "date_created": "Tue, 14 Nov 2023 22:13:25 +0000",
        "status": "sent",
        **changed,
    }


@pytest.mark.parametrize(
    ("listed", "status", "sid"),
    [
        ([_listed()], "delivered", "SM7"),
        ([_listed(body="Sent from your Twilio trial account - Hello Ada")], "delivered", "SM7"),
        ([_listed(status="undelivered")], "rejected", "SM7"),
        ([_listed(body="Hello Bob"), _listed(sid="SM8")], "delivered", "SM8"),
        ([_listed(date_created="Mon, 13 Nov 2023 22:13:25 +0000")], "failed", ""),
        ([_listed(to="+1")], "failed", ""),
        ([_listed(date_created="never"), "nonsense"], "failed", ""),
        ([], "failed", ""),
        ("nonsense", "failed", ""),
    ],
)
async def test_a_message_with_an_unknown_end_is_found_in_the_list_or_not(
    api: Api, twilio: Twilio, listed: object, status: str, sid: str
) -> None:
    api.answer = (200, {"messages": listed}, {})

    result = await twilio.look_up(text_message())

    assert (result.status, result.provider_id) == (status, sid)
    assert api.asked == [{"To": "+4930901820", "PageSize": "100"}]


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_list_that_is_refused_says_nothing(api: Api, twilio: Twilio, status: int) -> None:
    api.answer = (status, {}, {})

    assert (await twilio.look_up(text_message())).status == "unknown"


async def test_a_list_that_does_not_come_says_nothing(api: Api, impatient: Twilio) -> None:
    api.hang = 5.0

    assert (await impatient.look_up(text_message())).status == "unknown"
