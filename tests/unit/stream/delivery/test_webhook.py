"""The provider of webhooks against a receiver that verifies with the official package."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from models.delivery.deliveries import Result
from models.delivery.standard_webhooks import PREFIX, RETRY_DELAYS_S, read_key
from stream.delivery.outbound import Outbound
from stream.delivery.webhook import WebhookEndpoint, Webhooks, open_webhooks
from tests.support.webhooks import SECRET, WebhookReceiver, receiving_webhooks, webhook_message

NEW_SECRET = PREFIX + b64encode(b"n" * 24).decode()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """A receiver on loopback."""
    async with receiving_webhooks(WebhookReceiver()) as receiver:
        yield receiver


async def sent(receiver: WebhookReceiver, *secrets: str, number: int = 12, timeout_s: float = 15.0) -> Result:
    """Send one webhook."""
    provider = receiver.provider(*secrets, number=number, timeout_s=timeout_s)
    try:
        return await provider.deliver(webhook_message(), unsubscribe=None)
    finally:
        await provider.close()


async def test_a_message_is_signed_so_that_the_official_package_accepts_it(receiver: WebhookReceiver) -> None:
    message = webhook_message()

    result = await sent(receiver)

    assert (result.status, result.provider_id) == ("delivered", message.id)
    name, event = receiver.taken[message.id]
    assert (name, event["type"], event["timestamp"]) == ("crm_0", "message", "2023-11-14T22:13:20.000Z")
    assert event["data"] == {
        "id": message.id,
        "user": "u1",
        "rule": "win_back",
        "category": "marketing",
        "subject": "Grüße",
        "text": "Hello Ada 0\n",
    }


@pytest.mark.parametrize("verifies", [SECRET, NEW_SECRET])
async def test_while_a_secret_is_replaced_both_verify(receiver: WebhookReceiver, verifies: str) -> None:
    receiver.secret = verifies

    result = await sent(receiver, NEW_SECRET, SECRET)

    assert (result.status, receiver.refused) == ("delivered", 0)


async def test_a_receiver_with_another_secret_refuses_the_request(receiver: WebhookReceiver) -> None:
    receiver.secret = NEW_SECRET

    result = await sent(receiver, SECRET)

    assert (result.status, receiver.refused, receiver.taken) == ("failed", 1, {})


async def test_each_attempt_has_the_same_id_and_content(receiver: WebhookReceiver) -> None:
    provider, message = receiver.provider(), webhook_message()
    receiver.dropping = {message.to}

    first = await provider.deliver(message, unsubscribe=None)
    looked_up = await provider.look_up(message)
    receiver.dropping = set()
    second = await provider.deliver(message, unsubscribe=None)
    await provider.close()

    assert (first.status, looked_up.status, second.status) == ("failed", "unknown", "delivered")
    assert {headers["webhook-id"] for headers, _ in receiver.headers} == {message.id}
    assert len({content for _, content in receiver.headers}) == 1
    assert list(receiver.taken) == [message.id]


async def test_a_look_up_is_the_same_request_again(receiver: WebhookReceiver) -> None:
    provider = receiver.provider()

    result = await provider.look_up(webhook_message())
    await provider.close()

    assert result.status == "delivered"
    assert list(receiver.taken) == [webhook_message().id]


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 502, 503])
async def test_any_answer_but_success_is_tried_again_as_the_specification_says(
    receiver: WebhookReceiver, status: int
) -> None:
    receiver.answers["crm_0"] = [(status, {"Retry-After": "7", "Location": f"{receiver.url}/crm_1"})]

    result = await sent(receiver)

    assert (result.status, result.retry_after, result.delays_s) == ("failed", 7.0, RETRY_DELAYS_S)
    assert receiver.asked == {"crm_0": 1}


async def test_410_ends_the_endpoint(receiver: WebhookReceiver) -> None:
    receiver.answers["crm_0"] = [(410, {})]

    result = await sent(receiver)

    assert (result.status, result.bounce, result.code, result.trouble) == ("rejected", "gone", "410", False)


async def test_one_endpoint_that_fails_is_no_trouble_until_all_of_them_fail(receiver: WebhookReceiver) -> None:
    receiver.answers = {"crm_0": [(500, {})] * 2, "crm_1": [(500, {})]}
    provider = receiver.provider(number=2)

    results = [await provider.deliver(webhook_message(number), unsubscribe=None) for number in (0, 1, 1, 0)]
    await provider.close()

    assert [(one.status, one.trouble) for one in results] == [
        ("failed", False),
        ("failed", True),
        ("delivered", False),
        ("failed", False),
    ]


async def test_an_endpoint_that_is_not_in_the_settings_may_be_added_later(receiver: WebhookReceiver) -> None:
    provider = receiver.provider(number=1)

    result = await provider.deliver(webhook_message(1), unsubscribe=None)
    await provider.close()

    assert (result.status, result.called) == ("failed", False)
    assert result.detail == "delivery.webhooks has no crm_1"


async def test_a_private_address_is_not_called_unless_the_settings_allow_it(receiver: WebhookReceiver) -> None:
    provider = Webhooks({"crm_0": WebhookEndpoint(f"{receiver.url}/crm_0", (read_key(SECRET),))}, Outbound())

    result = await provider.deliver(webhook_message(), unsubscribe=None)
    await provider.close()

    assert (result.status, result.called, receiver.asked) == ("rejected", False, {})


def test_without_an_endpoint_there_is_no_provider() -> None:
    assert open_webhooks({}, ()) is None


def test_keys_are_not_shown() -> None:
    assert "kkkk" not in repr(WebhookEndpoint("https://a.example", (read_key(SECRET),)))


@pytest.mark.parametrize("secret", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_???", "whsec_c2hvcnQ=", "whsec_"])
def test_a_text_that_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"whsec_|bytes"):
        read_key(secret)
