"""The SMS provider against a server that speaks Twilio's API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from models.delivery.deliveries import RETENTION_MS, wait_after
from stream.delivery.twilio import Twilio
from stream.settings.schema import TwilioSection
from tests.support.deaf_port import deaf_port
from tests.support.letters import text_message
from tests.support.text_messages import FakeTwilio, TwilioAnswer, serving_twilio, twilio_section

NUMBER = text_message().to


@pytest.fixture
def server() -> FakeTwilio:
    """A server that imitates Twilio."""
    return FakeTwilio()


@pytest.fixture
async def section(server: FakeTwilio) -> AsyncIterator[TwilioSection]:
    """Settings of an account at the server."""
    async with serving_twilio(server) as section:
        yield section


@pytest.fixture
async def twilio(section: TwilioSection) -> AsyncIterator[Twilio]:
    """A provider that waits long for an answer."""
    provider = Twilio(section, "secret", timeout_s=30.0)
    yield provider
    await provider.close()


@pytest.fixture
async def impatient(section: TwilioSection) -> AsyncIterator[Twilio]:
    """A provider that does not wait long for an answer."""
    provider = Twilio(section, "secret", timeout_s=0.3)
    yield provider
    await provider.close()


async def test_a_message_is_posted_in_the_form_of_twilio(server: FakeTwilio, twilio: Twilio) -> None:
    result = await twilio.deliver(text_message(), unsubscribe=None)

    assert (result.status, result.provider_id) == ("delivered", "SM1")
    assert server.paths == ["/2010-04-01/Accounts/AC1/Messages.json"]
    assert server.logins == ["AC1:secret"]
    assert server.forms == [{"To": "+4930901820", "From": "+15005550006", "Body": "Hello Ada"}]


async def test_a_messaging_service_is_named_as_such(server: FakeTwilio, section: TwilioSection) -> None:
    service = Twilio(msgspec.structs.replace(section, sender="MG123"), "secret")

    await service.deliver(text_message(), unsubscribe=None)
    await service.close()

    assert server.forms[0]["MessagingServiceSid"] == "MG123"
    assert "From" not in server.forms[0]


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
async def test_an_answer_decides_whether_the_message_may_be_tried_again(
    server: FakeTwilio, twilio: Twilio, status: int, content: dict[str, object], result: str
) -> None:
    server.answers[NUMBER] = [TwilioAnswer(status, content)]

    got = await twilio.deliver(text_message(), unsubscribe=None)

    assert got.status == result
    assert str(status) in got.detail
    assert str(content.get("message", "")) in got.detail


async def test_the_wait_is_the_retry_after_of_twilio(server: FakeTwilio, twilio: Twilio) -> None:
    server.answers[NUMBER] = [TwilioAnswer(429, headers={"Retry-After": "7"})]

    assert (await twilio.deliver(text_message(), unsubscribe=None)).retry_after == 7.0


async def test_no_answer_in_time_is_unknown(server: FakeTwilio, impatient: Twilio) -> None:
    server.hanging = {NUMBER}

    assert (await impatient.deliver(text_message(), unsubscribe=None)).status == "unknown"


async def test_a_connection_lost_after_the_request_is_unknown(server: FakeTwilio, twilio: Twilio) -> None:
    server.dropping = {NUMBER}

    assert (await twilio.deliver(text_message(), unsubscribe=None)).status == "unknown"


async def test_a_message_to_an_unreachable_server_has_failed(unused_tcp_port: int) -> None:
    provider = Twilio(twilio_section(f"http://127.0.0.1:{unused_tcp_port}"), "secret")

    result = await provider.deliver(text_message(), unsubscribe=None)
    await provider.close()

    assert result.status == "failed"


async def test_a_message_to_a_server_that_takes_no_connection_has_failed() -> None:
    with deaf_port() as port:
        provider = Twilio(twilio_section(f"http://127.0.0.1:{port}"), "secret", timeout_s=0.3)
        result = await provider.deliver(text_message(), unsubscribe=None)
        await provider.close()

    assert (result.status, result.trouble) == ("failed", True)


async def test_retry_after_may_be_a_date(server: FakeTwilio, twilio: Twilio) -> None:
    dates = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}
    server.answers[NUMBER] = [TwilioAnswer(503, headers=dates)]

    assert (await twilio.deliver(text_message(), unsubscribe=None)).retry_after == 30.0


@pytest.mark.parametrize("nonsense", ["soon", "-1", "", "٣", "9" * 500, "Wed, 99 Oct 2026 07:28:30 GMT"])
async def test_an_invalid_time_to_wait_does_no_harm(server: FakeTwilio, twilio: Twilio, nonsense: str) -> None:
    server.answers[NUMBER] = [TwilioAnswer(429, headers={"Retry-After": nonsense})]

    result = await twilio.deliver(text_message(), unsubscribe=None)

    assert (result.status, result.trouble) == ("failed", True)
    assert wait_after(text_message().id, 1, result.retry_after) <= RETENTION_MS


async def test_a_message_names_the_address_for_reports_about_it(server: FakeTwilio, section: TwilioSection) -> None:
    provider = Twilio(section, "secret", "https://events.shop.example/")

    await provider.deliver(text_message(), unsubscribe=None)
    await provider.close()

    expected = f"https://events.shop.example/v1/callbacks/twilio?user=u1&message={text_message().id}"
    assert server.forms[0]["StatusCallback"] == expected


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
async def test_a_message_with_an_unknown_outcome_is_searched_in_the_list(
    server: FakeTwilio, twilio: Twilio, listed: object, status: str, sid: str
) -> None:
    server.list_answer = TwilioAnswer(200, {"messages": listed})

    result = await twilio.look_up(text_message())

    assert (result.status, result.provider_id) == (status, sid)
    assert server.queries == [{"To": "+4930901820", "PageSize": "100"}]


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_refused_look_up_leaves_the_outcome_unknown(server: FakeTwilio, twilio: Twilio, status: int) -> None:
    server.list_answer = TwilioAnswer(status)

    assert (await twilio.look_up(text_message())).status == "unknown"


async def test_a_look_up_without_an_answer_leaves_the_outcome_unknown(server: FakeTwilio, impatient: Twilio) -> None:
    server.hanging = {NUMBER}

    assert (await impatient.look_up(text_message())).status == "unknown"
