from __future__ import annotations

import base64
from typing import Any

import pytest

from stream.cluster.connection import Connection
from tests.support.doors import DoorParts, door


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
async def test_the_settings_name_the_configured_address_behind_a_proxy(
    public_url: str, protocol: str, host: str
) -> None:
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
