from __future__ import annotations

import pytest

from stream.connection import Connection
from stream.delivery.unsubscribe import PATH, Signer
from tests.brokers import Cluster
from tests.stream.collector.doors import CLICK, NOW, SIGNER, door, events


async def test_one_click_withdraws_consent_for_the_links_channel(embedded: Cluster) -> None:
    embedded.create(events=1)
    link = f"{PATH}?token={SIGNER.token('u1', 'email')}"

    async with door(embedded.connection) as client:
        answer = await client.post(link, data={"List-Unsubscribe": "One-Click"})
        assert answer.status == 200

    (event,) = await events(embedded.connection, 1)
    assert (event.type, event.user, event.channel, event.granted, event.at) == ("consent", "u1", "email", False, NOW)


async def test_following_the_link_only_asks(embedded: Cluster) -> None:
    embedded.create(events=1)
    link = f"{PATH}?token={SIGNER.token('u1', 'email')}"

    async with door(embedded.connection) as client:
        page = await client.get(link)
        assert page.status == 200
        assert 'method="post"' in await page.text()
        assert (await client.post("/v1/track", json=CLICK)).status == 200

    assert [event.id for event in await events(embedded.connection, 1)] == ["m1"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "token", ["", "x.y", '"><script>', Signer([b"another-secret-16"], "http://x").token("u1", "email")]
)
async def test_a_link_that_is_not_ours_changes_nothing(method: str, token: str) -> None:
    async with door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await client.request(method, PATH, params={"token": token})

        assert answer.status == 400
        assert "<script>" not in await answer.text()


async def test_a_click_while_kafka_is_away_asks_to_come_back() -> None:
    link = f"{PATH}?token={SIGNER.token('u1', 'email')}"

    async with door(Connection("127.0.0.1:1"), timeout_s=0.5) as client:
        answer = await client.post(link)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
