from __future__ import annotations

from typing import Any

import orjson
import pytest

from stream.cluster.connection import Connection
from tests.support.brokers import Cluster
from tests.support.doors import PAGE, counted, door, events

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
