from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from stream.cluster.connection import Connection
from stream.collector.callbacks import TwilioCallbacks
from stream.collector.cors import Cors
from tests.support.brokers import Cluster
from tests.support.doors import CLICK, NOW, Client, DoorParts, door

NOWHERE = Connection("127.0.0.1:1")
PAGE = {"Origin": "https://shop.example"}
EVENT_PATHS = [
    *(f"/v1/{name}" for name in ("track", "identify", "page", "screen", "group", "alias", "batch", "import", "m")),
    *(f"/v1/{name}" for name in ("t", "i", "p", "s", "g", "a", "b")),
    "/beacon/v1/batch",
]
OPEN_PATHS = [
    *EVENT_PATHS,
    *(f"{path}/" for path in EVENT_PATHS),
    "/v1/projects/wk/settings",
    "/sourceConfig",
    "/sourceConfig/",
    "/v1/users/ada/recommendations",
    "/v1/users/a%2Fb%20%F0%9F%98%80/recommendations",
    "/v1/merge",
    "/v1/not/there",
]
CLOSED_PATHS = [
    "/health",
    "/ready",
    "/v1/unsubscribe",
    "/v1/callbacks/twilio",
    "/v1/users",
    "/metrics",
    "/",
    "/wp-admin",
]


async def preflight(client: Client, path: str, headers: str = "authorization", origin: str = PAGE["Origin"]) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    return await client.options(path, headers=asked)


async def test_a_preflight_is_answered_at_every_open_address() -> None:
    wanted = "anonymousid,authorization,content-type,rsa-retry-attempt,sentat,x-retry-count"
    async with door(NOWHERE) as client:
        for path in OPEN_PATHS:
            answer = await preflight(client, path, wanted)
            said = answer.headers
            assert (answer.status, await answer.read()) == (204, b""), path
            assert said["Access-Control-Allow-Origin"] == "*"
            assert said["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
            assert said["Access-Control-Allow-Headers"].split(", ") == wanted.split(",")
            assert int(said["Access-Control-Max-Age"]) >= 600
            assert "Access-Control-Allow-Credentials" not in said


@pytest.mark.parametrize("path", CLOSED_PATHS)
async def test_a_closed_address_has_no_headers_for_other_origins(path: str) -> None:
    twilio = DoorParts(more=lambda log: [TwilioCallbacks(log, "t", "https://d.example", lambda: NOW)])
    async with door(NOWHERE, timeout_s=0.2, parts=twilio) as client:
        answers = [
            await preflight(client, path),
            await client.get(path, headers=PAGE),
            await client.post(path, headers=PAGE),
        ]

    assert answers[0].status in (404, 405)
    assert not [name for answer in answers for name in answer.headers if name.startswith("Access-Control-")]


async def test_every_answer_of_an_open_address_can_be_read_by_a_page(embedded: Cluster) -> None:
    embedded.create(events=1, events_rejected=1)

    async with door(embedded.connection, write_keys=["key"]) as client:
        key = {"writeKey": "key"}
        sent = {
            200: await client.post("/v1/t", json=CLICK | key, headers=PAGE),
            400: await client.post("/v1/track", json={"type": "click"} | key, headers=PAGE),
            401: await client.post("/v1/track", json=CLICK, headers=PAGE),
            404: await client.post("/v1/merge", json=CLICK, headers=PAGE),
            405: await client.get("/v1/track", headers=PAGE),
            413: await client.post("/v1/track", data=b" " * 300_000, headers=PAGE),
        }
        damaged = await client.post("/v1/track", data=b"no gzip", headers={**PAGE, "Content-Encoding": "gzip"})
    async with door(NOWHERE, timeout_s=0.2) as client:
        sent[503] = await client.post("/v1/track", json=CLICK, headers=PAGE)

    for status, answer in [*sent.items(), (400, damaged)]:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, "*")
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"


async def test_a_page_can_read_the_answer_to_a_body_that_arrives_too_slowly() -> None:
    async with door(NOWHERE, parts=DoorParts(read_within_s=0.05)) as client:
        reader, writer = await raw(client)
        writer.write(b"POST /v1/track HTTP/1.1\r\nHost: d\r\nOrigin: https://a.example\r\nContent-Length: 9\r\n\r\n{")
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"Access-Control-Allow-Origin: *" in answer


async def raw(client: Client) -> Any:
    return await asyncio.open_connection(client.host, client.port)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://shop.example", True),
        ("https://SHOP.example", True),
        ("http://127.0.0.1:3000", True),
        ("http://shop.example", False),
        ("https://shop.example.evil", False),
        ("https://shop.example:444", False),
        ("null", False),
    ],
)
async def test_only_the_listed_origins_get_the_headers(embedded: Cluster, origin: str, allowed: bool) -> None:
    embedded.create(events=1)
    cors = Cors(["https://shop.example:443", "http://127.0.0.1:3000"])

    async with door(embedded.connection, parts=DoorParts(cors=cors)) as client:
        asked = await preflight(client, "/v1/t", origin=origin)
        sent = await client.post("/v1/t", json=CLICK, headers={"Origin": origin})

    assert (asked.status, sent.status) == (204, 200)
    for answer in (asked, sent):
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert answer.headers["Vary"] == "Origin"
    assert ("Access-Control-Allow-Headers" in asked.headers) == allowed


async def test_an_invalid_name_of_a_header_is_not_echoed() -> None:
    async with door(NOWHERE) as client:
        answer = await preflight(client, "/v1/t", "x-good, bad name, <script>, a:b, , x-fine")
        crowd = await preflight(client, "/v1/t", ",".join(f"x-{i}" for i in range(900)))

    assert answer.headers["Access-Control-Allow-Headers"] == "x-good, x-fine"
    assert len(crowd.headers["Access-Control-Allow-Headers"].split(",")) == 64


async def test_a_compressed_body_of_a_page_is_read(embedded: Cluster) -> None:
    embedded.create(events=1)
    async with door(embedded.connection) as client:
        body = gzip.compress(b'{"batch":[{"type":"page","userId":"u"}]}')
        answer = await client.post("/v1/b", data=body, headers={**PAGE, "Content-Encoding": "gzip"})

    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
