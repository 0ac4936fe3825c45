from __future__ import annotations

import base64
import itertools
from typing import Any

import orjson
import pytest

from models.events import Trust
from stream.collector.intake import Intake
from stream.collector.write_keys import WriteKey, WriteKeys
from tests.support.brokers import Cluster
from tests.support.doors import CLICK, PAGE, Client, DoorParts, door, events, rejected

KEYS = {"secret": "server", "web": "public"}
PLACES = ("basic", "query", "body", "item")


async def send(client: Client, keys: dict[str, str], **event: Any) -> Any:
    """Send a batch of one event, with the given key in each of the given places."""
    item = {**PAGE, **event, **({"writeKey": keys["item"]} if "item" in keys else {})}
    body: dict[str, Any] = {"batch": [item], **({"writeKey": keys["body"]} if "body" in keys else {})}
    basic = base64.b64encode(f"{keys.get('basic', '')}:".encode()).decode()
    return await client.post(
        "/v1/batch",
        json=body,
        params={"writeKey": keys["query"]} if "query" in keys else {},
        headers={"Authorization": f"Basic {basic}"} if "basic" in keys else {},
    )


async def test_a_key_admits_a_request_in_every_place(embedded: Cluster) -> None:
    embedded.create(events=1)

    async with door(embedded.connection, write_keys=["secret"], browser_keys=["web"]) as client:
        for key in KEYS:
            assert [(await send(client, {place: key})).status for place in PLACES] == [200] * 4
        assert [(await send(client, {place: "other"})).status for place in PLACES] == [401] * 4
        assert (await send(client, {})).status == 401

    assert [event.trust for event in await events(embedded.connection, 8)] == ["server"] * 4 + ["public"] * 4


async def test_any_known_key_admits_and_the_least_trusted_known_key_decides(embedded: Cluster) -> None:
    embedded.create(events=1)
    # Each pair of places gets each pair of keys. An event's key can only lower the trust of the request.
    pairs = [
        {one: first, other: second}
        for one, other in itertools.combinations(PLACES, 2)
        for first in ("secret", "web", "wrong")
        for second in ("secret", "web", "wrong")
    ]
    admitted = [keys for keys in pairs if set(keys.values()) != {"wrong"}]

    async with door(embedded.connection, write_keys=["secret"], browser_keys=["web"]) as client:
        for keys in pairs:
            assert (await send(client, keys)).status == (200 if keys in admitted else 401), keys

    found = [event.trust for event in await events(embedded.connection, len(admitted))]
    assert found == ["public" if "web" in keys.values() else "server" for keys in admitted]


async def test_the_key_of_an_event_can_only_lower_the_trust_in_this_event(embedded: Cluster) -> None:
    embedded.create(events=1)
    items = [PAGE | {"writeKey": key} for key in ("web", "secret", "other")] + [PAGE]

    async def trusts(begin: int, **body: Any) -> list[Trust]:
        assert (await client.post("/v1/batch", json={"batch": items, **body})).status == 200
        return [event.trust for event in (await events(embedded.connection, begin + 4))[begin:]]

    async with door(embedded.connection, write_keys=["secret"], browser_keys=["web"]) as client:
        assert await trusts(0, writeKey="secret") == ["public", "server", "server", "server"]
        assert await trusts(4, writeKey="web") == ["public"] * 4
        # Only the events' own keys admit this request, so the least trusted of them decides.
        assert await trusts(8) == ["public"] * 4


async def test_every_event_is_trusted_without_keys(embedded: Cluster) -> None:
    embedded.create(events=1)

    async with door(embedded.connection) as client:
        assert (await send(client, {"body": "anything", "item": "else"})).status == 200

    assert [event.trust for event in await events(embedded.connection, 1)] == ["server"]


async def test_a_request_with_a_browser_key_may_not_state_an_origin(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    test = {"X-Perennial-Origin": "test"}

    async with door(embedded.connection, write_keys=["secret"], browser_keys=["web"]) as client:
        header = await client.post("/v1/track", json=CLICK | {"writeKey": "web"}, headers=test)
        field = await client.post("/v1/track", json=CLICK | {"writeKey": "web", "origin": "test"})
        server = await client.post("/v1/track", json=CLICK | {"writeKey": "secret", "origin": "test"}, headers=test)
        said = [await header.json(), await field.json()]

    assert (header.status, field.status, server.status) == (400, 400, 200)
    assert [one["code"] for one in said] == ["bad_origin"] * 2
    assert [one["error"]["field"] for one in said] == ["X-Perennial-Origin", "origin"]
    assert all("server key" in one["message"] for one in said)
    assert len(await rejected(embedded.connection, 2)) == 2
    assert [event.origin for event in await events(embedded.connection, 1)] == ["test"]


@pytest.mark.parametrize(("trusted", "orders"), [(False, "public"), (True, "server")])
async def test_orders_of_browsers_are_trusted_only_if_the_settings_say_so(
    embedded: Cluster, trusted: bool, orders: Trust
) -> None:
    embedded.create(events=1)
    sent = [
        {"type": "purchase", "user": "u1", "amount": 5},
        {"type": "refund", "user": "u1", "amount": 5},
        CLICK,
    ]
    intake = Intake("d1", trust_browser_orders=trusted)

    async with door(embedded.connection, browser_keys=["web"], parts=DoorParts(intake)) as client:
        assert (await client.post("/v1/batch", json={"batch": sent, "writeKey": "web"})).status == 200

    assert [event.trust for event in await events(embedded.connection, 3)] == [orders, orders, "public"]


def test_the_less_trusted_of_two_keys_with_one_value_counts() -> None:
    keys = WriteKeys([WriteKey(b"k"), WriteKey(b"k", "public"), WriteKey(b"s")])

    assert keys.trust_of(["k"]) == "public"
    assert keys.trust_of([b"s"]) == "server"


@pytest.mark.parametrize("said", [None, 5, ["k"], {"k": 1}, "", b"", "\ud800", "k ", "K"])
def test_any_other_value_is_not_a_known_key(said: object) -> None:
    assert WriteKeys([WriteKey(b"k")]).admit([said]) is None


async def test_a_body_with_a_key_of_any_type_is_answered(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)
    async with door(embedded.connection, write_keys=["k"]) as client:
        for key in ("5", "null", "[]", "{}", '"\\ud800"'):
            body = b'{"writeKey":%s,"batch":[{"writeKey":%s},5]}' % (key.encode(), key.encode())
            answer = await client.post("/v1/batch", data=body)
            assert answer.status in (400, 401)
            assert orjson.loads(await answer.read())["code"] in ("bad_write_key", "bad_json")
