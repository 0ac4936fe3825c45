from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from stream.cluster.connection import Connection
from tests.support.brokers import Cluster
from tests.support.doors import PAGE, DoorParts, counted, door, events

CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "track": ({"event": "Product Clicked", "properties": {"product_id": "a"}}, "click"),
    "identify": ({"traits": {"plan": "pro"}}, "identify"),
    "page": ({"name": "Home"}, "page_view"),
    "screen": ({"name": "Home"}, "page_view"),
    "group": ({"groupId": "g"}, "custom"),
    "alias": ({"previousId": "x"}, "custom"),
}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_call_is_accepted_at_its_long_and_its_short_address(embedded: Cluster, slash: str) -> None:
    embedded.create(events=1)
    sent = [(name, call) for call in CALLS for name in (call, call[0])]

    async with door(embedded.connection) as client:
        for name, call in sent:
            body = {"userId": "u1", "type": call, **CALLS[call][0]}
            answer = await client.post(f"/v1/{name}{slash}", json=body)
            assert answer.status == 200, await answer.text()

    kinds = [event.type for event in await events(embedded.connection, len(sent))]
    assert kinds == [CALLS[call][1] for _, call in sent]


@pytest.mark.parametrize("path", ["/v1/b", "/v1/batch/", "/v1/import", "/v1/import/"])
async def test_a_batch_is_accepted_at_each_of_its_addresses(embedded: Cluster, path: str) -> None:
    embedded.create(events=1)

    async with door(embedded.connection, write_keys=["wk"]) as client:
        answer = await client.post(path, json={"writeKey": "wk", "batch": [PAGE]})
        assert (answer.status, (await answer.json())["accepted"]) == (200, 1)


@pytest.mark.parametrize("path", ["/beacon/v1/batch", "/beacon/v1/batch/"])
async def test_a_beacon_has_its_key_in_the_query_and_its_json_as_text(embedded: Cluster, path: str) -> None:
    embedded.create(events=1)
    body = orjson.dumps({"batch": [PAGE, PAGE], "sentAt": "2026-05-01T12:00:00Z"})
    plain = {"Content-Type": "text/plain;charset=UTF-8"}

    async with door(embedded.connection, write_keys=["w/k ü"]) as client:
        known = await client.post(path, params={"writeKey": "w/k ü"}, data=body, headers=plain)
        stranger = await client.post(path, params={"writeKey": "wk"}, data=body, headers=plain)
        assert (known.status, (await known.json())["accepted"], stranger.status) == (200, 2, 401)


async def test_a_librarys_reports_about_itself_are_dropped() -> None:
    async with door(Connection("127.0.0.1:1"), write_keys=["wk"]) as client:
        for path in ("/v1/m", "/v1/m/"):
            answer = await client.post(path, json={"series": [{"type": "Counter", "metric": "x", "value": 1}]})
            assert answer.status == 200


async def test_all_spellings_of_an_address_are_one_label_of_metrics(embedded: Cluster) -> None:
    embedded.create(events=1)
    before = counted("http_requests", path="/v1/page", status="200")

    async with door(embedded.connection) as client:
        for path in ("/v1/page", "/v1/page/", "/v1/p", "/v1/p/"):
            assert (await client.post(path, json=PAGE)).status == 200

    assert counted("http_requests", path="/v1/page", status="200") == before + 4
    assert counted("http_requests", path="/v1/p", status="200") == 0


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


async def test_analytics_next_gets_its_settings_from_the_door() -> None:
    async with door(Connection("127.0.0.1:1"), browser_keys=["wk"]) as client:
        for path in ("/v1/projects/wk/settings", "/v1/projects/wk/settings/"):
            answer = await client.get(path, headers={"Origin": "https://shop.example"})
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
            assert await answer.json() == {
                "integrations": {
                    "Segment.io": {"apiKey": "wk", "apiHost": f"{client.host}:{client.port}/v1", "protocol": "http"}
                },
                "plan": {},
                "metrics": {"sampleRate": 0},
            }
        stranger = await client.get("/v1/projects/other/settings", headers={"Origin": "https://shop.example"})
        assert (stranger.status, (await stranger.json())["code"]) == (404, "unknown_project")
        assert stranger.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("public_url", "protocol", "host"),
    [
        ("https://events.shop.example", "https", "events.shop.example/v1"),
        ("https://events.shop.example/", "https", "events.shop.example/v1"),
        ("http://shop.example:8443/door/", "http", "shop.example:8443/door/v1"),
    ],
)
async def test_the_configured_address_of_the_door_counts_behind_a_proxy(public_url: str, protocol: str, host: str) -> None:
    async with door(Connection("127.0.0.1:1"), parts=DoorParts(public_url=public_url)) as client:
        said = await (await client.get("/v1/projects/any/settings")).json()

    assert said["integrations"]["Segment.io"] == {"apiKey": "any", "apiHost": host, "protocol": protocol}


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/"])
@pytest.mark.parametrize("where", ["query", "header"])
async def test_analytics_js_gets_its_settings_from_the_door(path: str, where: str) -> None:
    def asking(key: str) -> dict[str, Any]:
        query = {"p": "npm", "v": "3.34.1", **({"writeKey": key} if where == "query" else {})}
        return {"params": query, "headers": basic(key) if where == "header" else {}}

    async with door(Connection("127.0.0.1:1"), browser_keys=["wk"]) as client:
        answer = await client.get(path, **asking("wk"))
        stranger = await client.get(path, **asking("other"))
        nobody = await client.get(path)
        source = (await answer.json())["source"]

        assert (answer.status, stranger.status, nobody.status) == (200, 401, 401)
        assert (await stranger.json())["code"] == "bad_write_key"
    assert (source["writeKey"], source["enabled"], source["destinations"]) == ("wk", True, [])
    assert source["config"]["statsCollection"] == {"errors": {"enabled": False}, "metrics": {"enabled": False}}
