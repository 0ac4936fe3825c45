"""Twilio's status callbacks at the HTTP door."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression import SCOPE_OF, TOPIC, Reason, SuppressionEntry, decode_entry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from models.delivery.suppressor import Suppressor
from models.events import Event
from stream.cluster.connection import Connection
from stream.collector.callbacks import TwilioCallbacks
from stream.delivery.callbacks import SIGNATURE, TWILIO_PATH, twilio_address, twilio_signature
from tests.support.brokers import Cluster
from tests.support.doors import CLICK, NOW, Client, DoorParts, door, events
from tests.support.letters import text_message
from tests.support.topic_reading import read_until

TOKEN = "12345"
PUBLIC = "https://events.shop.example"
MESSAGE = text_message(user="ada lovelace&co/ü")
ADDRESS = twilio_address(PUBLIC, MESSAGE)
FORM = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+4930901820", "ApiVersion": "2010-04-01"}


async def _call(client: Client, form: dict[str, str], *, address: str = ADDRESS, token: str = TOKEN) -> Any:
    headers = {SIGNATURE: twilio_signature(token, address, form.items())}
    # The URL is already encoded, because the signature covers every character of it.
    there = URL(str(client.make_url("")).rstrip("/") + address.removeprefix(PUBLIC), encoded=True)
    return await client.session.post(there, data=form, headers=headers)


def _door(connection: Connection, timeout_s: float = 10.0, listed: SuppressionList | None = None) -> Any:
    sms = None if listed is None else Suppressor("sms", listed)
    parts = DoorParts(more=lambda log: [TwilioCallbacks(log, TOKEN, PUBLIC + "/", lambda: NOW, sms)])
    return door(connection, timeout_s=timeout_s, parts=parts)


async def test_a_status_report_of_twilio_is_an_event_and_its_repetition_is_the_same_event(embedded: Cluster) -> None:
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


async def test_a_request_without_a_valid_signature_is_refused_and_nothing_is_written(embedded: Cluster) -> None:
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
async def test_a_callback_without_a_known_user_message_and_status_is_refused(form: dict[str, str], query: str) -> None:
    async with _door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await _call(client, form, address=f"{PUBLIC}{TWILIO_PATH}{query}")

    assert answer.status == 400 if form else answer.status in (400, 403)


async def test_the_answer_says_when_to_repeat_the_callback_while_kafka_is_away() -> None:
    async with _door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await _call(client, FORM)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_the_address_of_callbacks_does_not_exist_without_twilio() -> None:
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await client.post(TWILIO_PATH, data=FORM)

    assert answer.status == 404


HASHES = AddressHashes([b"0123456789abcdef"])
NUMBER = FORM["To"]
INCOMING = f"{PUBLIC}{TWILIO_PATH}"


def _listed(*reasons: Reason) -> SuppressionList:
    made = SuppressionList(HASHES)
    for reason in reasons:
        entry = SuppressionEntry(scope=SCOPE_OF[reason], reason=reason, channel="sms", at=NOW - 1)
        made.apply(key_of(HASHES.newest("sms", NUMBER), reason), encode_entry(entry))
    return made


@pytest.mark.parametrize(
    ("code", "before", "written"),
    [
        ("21610", [], ["stop"]),
        ("30005", [], ["bounce"]),
        ("30006", [], ["bounce_suspected"]),
        ("30003", [], []),
        ("30007", [], []),
        ("", [], []),
    ],
)
async def test_a_status_that_concerns_the_number_goes_to_the_suppression_list(
    embedded: Cluster, code: str, before: list[Reason], written: list[str]
) -> None:
    embedded.create(events=1, suppressions=1)
    listed = _listed(*before)

    async with _door(embedded.connection, listed=listed) as client:
        for _ in range(2):
            form = {**FORM, "MessageStatus": "undelivered", "ErrorCode": code}
            assert (await _call(client, form)).status == 204

    assert len(await events(embedded.connection, 2)) == 2
    assert sorted(listed.marks("sms", NUMBER)) == written
    if written:
        found = await read_until(embedded.connection, TOPIC, bool)
        assert {decode_entry(record.value).reason for record in found} == {*written}
    assert (listed.stops("sms", NUMBER, "transactional") is not None) == bool({"stop", "bounce"} & set(written))


async def test_a_later_delivery_ends_a_bounce_and_writes_nothing_about_other_numbers(
    embedded: Cluster,
) -> None:
    embedded.create(events=1, suppressions=1)
    listed, empty = _listed("bounce"), _listed()

    for each in (empty, listed):
        async with _door(embedded.connection, listed=each) as client:
            assert (await _call(client, FORM)).status == 204

    (entry,) = await read_until(embedded.connection, TOPIC, bool)
    assert decode_entry(entry.value).reason == "delivered"
    assert listed.stops("sms", NUMBER, "marketing") is None


@pytest.mark.parametrize(
    ("form", "stopped"),
    [
        ({"Body": "STOP"}, True),
        ({"Body": " stopAll \n"}, True),
        ({"Body": "Arret", "OptOutType": "STOP"}, True),
        ({"Body": "please stop the war"}, False),
        ({"Body": "HELP", "OptOutType": "HELP"}, False),
        ({"Body": ""}, False),
        ({"Body": "STOP", "From": "not a number"}, False),
    ],
)
async def test_stop_by_sms_stops_everything_to_that_number(
    embedded: Cluster, form: dict[str, str], stopped: bool
) -> None:
    embedded.create(suppressions=1)
    listed = _listed()

    async with _door(embedded.connection, listed=listed) as client:
        answer = await _call(client, {"From": NUMBER, "To": "+15005550006", **form}, address=INCOMING)
        assert (answer.status, answer.content_type) == (200, "text/xml")
        assert "<Response/>" in await answer.text()

    assert (listed.stops("sms", NUMBER, "transactional") is not None) == stopped


@pytest.mark.parametrize(
    ("form", "ends"),
    [
        ({"Body": "START"}, True),
        ({"Body": "unstop"}, True),
        ({"Body": "YES", "OptOutType": "START"}, True),
        ({"Body": "YES"}, False),
        ({"Body": "start", "OptOutType": "HELP"}, False),
    ],
)
async def test_start_by_sms_ends_a_stop_and_nothing_else(embedded: Cluster, form: dict[str, str], ends: bool) -> None:
    embedded.create(suppressions=1)
    listed, complained = _listed("stop"), _listed("stop", "complaint")

    for each in (listed, complained):
        async with _door(embedded.connection, listed=each) as client:
            assert (await _call(client, {"From": NUMBER, **form}, address=INCOMING)).status == 200

    assert (listed.stops("sms", NUMBER, "marketing") is None) == ends
    assert complained.stops("sms", NUMBER, "marketing") is not None


async def test_a_stop_that_cannot_be_written_is_not_confirmed() -> None:
    missing = SuppressionList(AddressHashes([], missing="delivery.suppression_secrets[0] is not there"))

    for listed in (missing, _listed()):
        async with _door(Connection("127.0.0.1:1"), timeout_s=0.5, listed=listed) as client:
            assert (await _call(client, {"From": NUMBER, "Body": "STOP"}, address=INCOMING)).status == 503
