from __future__ import annotations

import pytest

from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression import SCOPE_OF, TOPIC, Reason, SuppressionEntry, decode_entry, encode_entry, key_of
from models.delivery.suppression_list import SuppressionList
from stream.cluster.connection import Connection
from stream.delivery.unsubscribe import PATH, InvalidToken, Signer, Unsubscription
from tests.support.brokers import Cluster
from tests.support.doors import CLICK, NOW, SIGNER, DoorParts, door, events
from tests.support.topic_reading import read_until


async def test_one_click_withdraws_consent_for_the_links_channel(embedded: Cluster) -> None:
    embedded.create(events=1)
    link = f"{PATH}?token={SIGNER.token(Unsubscription('u1', 'email'))}"

    async with door(embedded.connection) as client:
        answer = await client.post(link, data={"List-Unsubscribe": "One-Click"})
        assert answer.status == 200

    (event,) = await events(embedded.connection, 1)
    assert (event.type, event.user, event.channel, event.granted, event.at) == ("consent", "u1", "email", False, NOW)


async def test_following_the_link_only_shows_a_question(embedded: Cluster) -> None:
    embedded.create(events=1)
    link = f"{PATH}?token={SIGNER.token(Unsubscription('u1', 'email'))}"

    async with door(embedded.connection) as client:
        page = await client.get(link)
        assert page.status == 200
        assert 'method="post"' in await page.text()
        assert (await client.post("/v1/track", json=CLICK)).status == 200

    assert [event.id for event in await events(embedded.connection, 1)] == ["m1"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "token", ["", "x.y", '"><script>', Signer([b"another-secret-16"], "http://x").token(Unsubscription("u1", "email"))]
)
async def test_a_link_with_an_invalid_token_changes_nothing(method: str, token: str) -> None:
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await client.request(method, PATH, params={"token": token})

        assert answer.status == 400
        assert "<script>" not in await answer.text()


async def test_the_page_asks_to_try_again_while_kafka_is_away() -> None:
    link = f"{PATH}?token={SIGNER.token(Unsubscription('u1', 'email'))}"

    async with door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await client.post(link)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


HASH = AddressHashes([b"0123456789abcdef"]).newest("email", "ada@example.com")


async def test_a_click_is_answered_when_the_entry_of_the_address_and_the_users_withdrawal_are_acknowledged(
    embedded: Cluster,
) -> None:
    embedded.create(events=1, suppressions=1)
    link = f"{PATH}?token={SIGNER.token(Unsubscription('u1', 'email', HASH))}"

    async with door(embedded.connection) as client:
        for _ in range(2):
            assert (await client.post(link)).status == 200

    entries = await read_until(embedded.connection, TOPIC, lambda found: len(found) >= 2)
    assert {record.key for record in entries} == {f"{HASH}:unsubscribe".encode()}
    assert decode_entry(entries[0].value) == SuppressionEntry(
        scope="marketing", reason="unsubscribe", channel="email", source="unsubscribe link", at=NOW
    )
    assert {event.granted for event in await events(embedded.connection, 2)} == {False}


@pytest.mark.parametrize("known", ["confirmed", "unsubscribe"])
async def test_a_click_counts_although_an_earlier_entry_has_a_later_time(embedded: Cluster, known: Reason) -> None:
    """The clock of the process that wrote the earlier entry was ahead. The earlier entry must not end the new one."""
    embedded.create(events=1, suppressions=1)
    listed = SuppressionList(AddressHashes([b"0123456789abcdef"]))
    before = SuppressionEntry(scope=SCOPE_OF[known], reason=known, channel="email", at=NOW + 60_000)
    listed.apply(key_of(HASH, known), encode_entry(before))

    async with door(embedded.connection, parts=DoorParts(listed=listed)) as client:
        assert (await client.post(f"{PATH}?token={SIGNER.token(Unsubscription('u1', 'email', HASH))}")).status == 200

    (written,) = await read_until(embedded.connection, TOPIC, bool)
    assert decode_entry(written.value).at == NOW + 60_000
    listed.apply(written.key, written.value)
    assert listed.stops("email", "ada@example.com", "marketing") is not None


async def test_a_token_has_one_spelling() -> None:
    token = SIGNER.token(Unsubscription("u1", "email"))
    for spelled in (f"{token}!!!!", f"<b>{token}*", f"{token} ", f"{token}="):
        with pytest.raises(InvalidToken):
            SIGNER.verify(spelled)


async def test_a_link_of_an_earlier_release_withdraws_for_its_user_alone(embedded: Cluster) -> None:
    embedded.create(events=1, suppressions=1)

    async with door(embedded.connection) as client:
        assert (await client.post(f"{PATH}?token={SIGNER.token(Unsubscription('u1', 'email'))}")).status == 200
        assert (await client.post(f"{PATH}?token={SIGNER.token(Unsubscription('u2', 'email', HASH))}")).status == 200

    assert [event.user for event in await events(embedded.connection, 2)] == ["u1", "u2"]
    assert len(await read_until(embedded.connection, TOPIC, bool)) == 1


async def test_following_a_link_writes_no_entry(embedded: Cluster) -> None:
    embedded.create(events=1, suppressions=1)
    link = f"{PATH}?token={SIGNER.token(Unsubscription('u1', 'email', HASH))}"

    async with door(embedded.connection) as client:
        assert (await client.get(link)).status == 200
        assert (await client.head(link)).status in (200, 405)
        assert (await client.post(f"{PATH}?token={SIGNER.token(Unsubscription('u2', 'sms', HASH))}")).status == 200

    (entry,) = await read_until(embedded.connection, TOPIC, bool)
    assert decode_entry(entry.value).channel == "sms"
