"""Raw connections to the door, with requests that no HTTP client would send."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import Any, NoReturn

import orjson
import pytest

from stream.cluster.connection import Connection
from stream.collector.bodies import Memory
from stream.collector.intake import Arrival, Intake
from tests.support.brokers import Cluster
from tests.support.doors import CLICK, Client, DoorParts, counted, door, events

NOWHERE = Connection("127.0.0.1:1")
CHUNKED = b"POST /v1/track HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
UNREADABLE = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "nonsense": b"hello\r\n\r\n",
    "bad method": b"P\x00ST /v1/track HTTP/1.1\r\nHost: d\r\n\r\n",
    "bad header": b"POST /v1/track HTTP/1.1\r\nHost: d\r\nno colon here\r\n\r\n",
    "a null in a header": b"POST /v1/track HTTP/1.1\r\nHost: d\r\nX-A: a\x00b\r\n\r\n",
    "a long line": b"GET /v1/track?x=" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: d\r\n\r\n",
    "a long header": b"GET /v1/track HTTP/1.1\r\nHost: d\r\nX-A: " + b"y" * 20_000 + b"\r\n\r\n",
    "many headers": b"GET /v1/track HTTP/1.1\r\nHost: d\r\n" + b"X-A: b\r\n" * 2_000 + b"\r\n",
    "two lengths": b"POST /v1/track HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "no length": b"POST /v1/track HTTP/1.1\r\nHost: d\r\nContent-Length: many\r\n\r\n",
    "length and chunks": CHUNKED.replace(b"Host: d", b"Host: d\r\nContent-Length: 5") + b"0\r\n\r\n",
    "a bad chunk": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a second bad chunk": CHUNKED + b"1\r\n{\r\nzz\r\n}\r\n0\r\n\r\n",
    "a chunk without its end": CHUNKED + b"1\r\n{}}}}\r\n0\r\n\r\n",
}


async def say(client: Client, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@pytest.mark.parametrize("what", UNREADABLE)
async def test_a_request_that_cannot_be_read_is_answered_in_json_counted_and_not_logged(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reasons = ("bad_http", "bad_body", "bad_json")
    before = sum(counted("events_rejected", reason=reason) for reason in reasons)

    async with door(NOWHERE, timeout_s=0.2, write_keys=["k"]) as client:
        answer = await say(client, UNREADABLE[what])
        alive = await client.get("/health")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert b"application/json" in head
    assert b"Access-Control-Allow-Origin: *" in head
    said = orjson.loads(body)
    assert (said["success"], said["code"] in reasons, bool(said["message"])) == (False, True, True)
    assert sum(counted("events_rejected", reason=reason) for reason in reasons) == before + 1
    assert alive.status == 200
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")]


@pytest.mark.parametrize(
    "begin",
    [
        b"POST /v1/track HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{",
        CHUNKED + b"5\r\n{",
        b"POST /v1/track HTTP/1.1\r\nHost: d\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n"
        + gzip.compress(b"{}", mtime=0)[:10],
        b"POST /v1/tr",
    ],
)
async def test_a_client_that_leaves_during_a_request_is_not_logged(
    begin: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    failed = counted("http_requests", path="/v1/track", status="500")
    gone = counted("http_requests", path="/v1/track", status="499")

    async with door(NOWHERE, timeout_s=0.2) as client:
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(begin)
        await writer.drain()
        assert (await client.get("/health")).status == 200
        writer.close()
        await writer.wait_closed()
        for _ in range(20):
            assert (await client.get("/health")).status == 200

    # A client that leaves does not count as a failure of the door, because an alert uses the counter of failures.
    assert counted("http_requests", path="/v1/track", status="500") == failed
    assert counted("http_requests", path="/v1/track", status="499") == gone + (b"\r\n\r\n" in begin)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")]


class FailingIntake(Intake):
    """A part of the door with a bug."""

    def one(self, raw: dict[str, Any], call: str, arrival: Arrival) -> NoReturn:
        raise RuntimeError("a bug")


async def test_a_bug_of_the_door_is_logged_and_answered_in_json(caplog: pytest.LogCaptureFixture) -> None:
    async with door(NOWHERE, parts=DoorParts(FailingIntake("d1"))) as client:
        answer = await client.post("/v1/track", json=CLICK, headers={"Origin": "https://shop.example"})
        said = await answer.json()

    assert (answer.status, said["code"], said["success"]) == (500, "internal", False)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "RuntimeError" not in said["message"]
    assert "RuntimeError: a bug" in caplog.text


async def test_an_event_can_arrive_byte_by_byte_and_in_chunks(embedded: Cluster) -> None:
    embedded.create(events=1)
    body = orjson.dumps(CLICK)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    close = CHUNKED.replace(b"Host: d", b"Host: d\r\nConnection: close")

    async with door(embedded.connection) as client:
        answer = await say(client, *(bytes([byte]) for byte in close + chunks))

    assert answer.startswith(b"HTTP/1.1 200")
    assert [event.id for event in await events(embedded.connection, 1)] == ["m1"]


async def test_a_body_that_does_not_fit_into_memory_is_503_and_others_are_accepted(embedded: Cluster) -> None:
    embedded.create(events=1)
    head = b"POST /v1/batch HTTP/1.1\r\nHost: d\r\nContent-Length: 200000\r\n\r\n"

    async with door(embedded.connection, parts=DoorParts(memory=Memory(100_000))) as client:
        _, slow = await asyncio.open_connection(client.host, client.port)
        slow.write(head + b'{"batch":[' + b" " * 60_000)
        await slow.drain()
        while (await (await client.get("/health")).json())["waiting_bytes"] < 60_000:
            pass
        large = await client.post("/v1/batch", data=b'{"batch":[]' + b" " * 60_000 + b"}")
        small = await client.post("/v1/track", json=CLICK)
        slow.close()
        await slow.wait_closed()
        while (await (await client.get("/health")).json())["waiting_bytes"]:
            pass
        again = await client.post("/v1/batch", data=b'{"batch":[]' + b" " * 60_000 + b"}")

    assert (large.status, large.headers["Retry-After"], small.status, again.status) == (503, "1", 200, 200)


def test_one_body_of_any_size_is_always_admitted() -> None:
    memory = Memory(10)

    with memory.holding(1_000):
        assert memory.held == 1_000
    assert memory.held == 0
