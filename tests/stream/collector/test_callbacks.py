"""Twilio's status callbacks at the HTTP door."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from models.events import Event
from stream.connection import Connection
from stream.delivery.callbacks import SIGNATURE, TWILIO_PATH, twilio_address, twilio_signature
from tests.brokers import Cluster
from tests.stream.collector.doors import CLICK, NOW, Client, door, events
from tests.stream.delivery.letters import text_message

TOKEN = "12345"
PUBLIC = "https://events.shop.example"
MESSAGE = text_message(user="ada lovelace&co/ü")
ADDRESS = twilio_address(PUBLIC, MESSAGE)
FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+4930901820", "ApiVersion": "2010-04-01"}


async def _call(client: Client, form: dict[str, str], *, address: str = ADDRESS, token: str = TOKEN) -> Any:
    headers = {SIGNATURE: twilio_signature(token, address, form.items())}
    # encoded: not a letter of what was signed may change on the way
    there = URL(str(client.make_url("")).rstrip("/") + address.removeprefix(PUBLIC), encoded=True)
    return await client.session.post(there, data=form, headers=headers)


def _door(connection: Connection, timeout_s: float = 10.0) -> Any:
    return door(connection, twilio_token=TOKEN, public_url=PUBLIC + "/", timeout_s=timeout_s)


async def test_what_twilio_tells_is_an_event_of_the_user_and_told_twice_the_same_one(embedded: Cluster) -> None:
    embedded.create(events=1)

    async with _door(embedded.connection) as client:
        for form in (FORM, FORM, {**FORM, "MessageStatus": "undelivered", "ErrorCode": "30003"}):
            assert (await _call(client, form)).status == 204

    first, again, bounced = await events(embedded.connection, 3)
    assert first == again
    assert first == Event(
        id=f"{MESSAGE.id}:message_delivered",
        user=MESSAGE.user,
        type="message_delivered",
        at=NOW,
        channel="sms",
        message=MESSAGE.id,
        properties={"provider_id": "SM1", "status": "delivered"},
    )
    assert (bounced.type, bounced.reason) == ("message_bounced", "Twilio: undelivered 30003")


async def test_who_does_not_know_the_token_is_refused_and_nothing_is_written(embedded: Cluster) -> None:
    embedded.create(events=1)

    async with _door(embedded.connection) as client:
        wrong = await _call(client, FORM, token="6789")
        other = twilio_signature(TOKEN, twilio_address(PUBLIC, text_message(user="u2")), FORM.items())
        elsewhere = await client.post(f"{TWILIO_PATH}?user=u1", data=FORM, headers={SIGNATURE: other})
        unsigned = await client.post(TWILIO_PATH, data=FORM)
        no_form = await client.post(TWILIO_PATH, data=b"\xff\x00", headers={"Content-Type": "application/json"})
        assert (await client.post("/v1/track", json=CLICK)).status == 200

    assert {wrong.status, elsewhere.status, unsigned.status, no_form.status} == {403}
    assert [event.id for event in await events(embedded.connection, 1)] == ["m1"]


@pytest.mark.parametrize(
    ("form", "query"),
    [
        ({**FORM, "MessageStatus": "abducted"}, f"?user=u1&message={MESSAGE.id}"),
        (FORM, "?user=u1&message=../etc"),
        (FORM, f"?user=&message={MESSAGE.id}"),
        (FORM, f"?message={MESSAGE.id}"),
        ({}, f"?user=u1&message={MESSAGE.id}"),
    ],
)
async def test_what_names_nothing_that_is_known_is_refused(form: dict[str, str], query: str) -> None:
    async with _door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await _call(client, form, address=f"{PUBLIC}{TWILIO_PATH}{query}")

    assert answer.status == 400 if form else answer.status in (400, 403)


async def test_while_kafka_is_away_it_asks_to_come_back() -> None:
    async with _door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await _call(client, FORM)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_without_twilio_there_is_no_such_address() -> None:
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await client.post(TWILIO_PATH, data=FORM)

    assert answer.status == 404
