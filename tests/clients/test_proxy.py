from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from tests.clients.proxy import Passage, ProxyFault, proxied
from tests.support.brokers import HOST


@dataclass
class FakeDoor:
    """A door that stores the decoded requests, and accepts all of them."""

    address: str = ""
    bodies: list[bytes] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return web.json_response({"host": request.host, "path": request.path_qs}, headers={"X-FakeDoor": "open"})


@asynccontextmanager
async def opened() -> AsyncIterator[FakeDoor]:
    door, app = FakeDoor(), web.Application()
    app.router.add_route("*", "/{path:.*}", door.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        door.address = f"http://{HOST}:{runner.addresses[0][1]}"
        yield door
    finally:
        await runner.cleanup()


async def statuses(address: str, count: int) -> list[int | None]:
    """Post several times, each on a new connection, and return the statuses; ``None`` means no answer."""
    found: list[int | None] = []
    for number in range(count):
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(f"{address}/v1/batch", data=str(number)) as answer:
                    found.append(answer.status)
            except aiohttp.ClientConnectionError:
                found.append(None)
    return found


async def test_a_request_passes_unchanged_with_the_client_s_host() -> None:
    body = gzip.compress(b"{}")
    async with opened() as door, proxied(door.address, ProxyFault()) as proxy, aiohttp.ClientSession() as session:
        said = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
        async with session.post(f"{proxy.address}/v1/t?writeKey=k", data=body, headers=said) as answer:
            content = await answer.json()

    assert content == {"host": proxy.address.removeprefix("http://"), "path": "/v1/t?writeKey=k"}
    assert (answer.status, answer.headers["X-FakeDoor"]) == (200, "open")
    assert door.bodies == [b"{}"], "the proxy must not decode the body; the door does"
    [passage] = proxy.passages
    assert (passage.path, passage.body, passage.status) == ("/v1/t?writeKey=k", body, 200)


async def test_an_answer_is_lost_after_the_door_has_given_it() -> None:
    async with opened() as door, proxied(door.address, ProxyFault(lose_every=2, lose_at_most=2)) as proxy:
        found = await statuses(proxy.address, 7)

    assert found == [200, None, 200, None, 200, 200, 200] == proxy.answers
    assert door.bodies == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]


async def test_nothing_reaches_the_door_while_the_proxy_is_unavailable() -> None:
    async with opened() as door, proxied(door.address, ProxyFault(unavailable_from=2, unavailable_s=60)) as proxy:
        found = await statuses(proxy.address, 3)

    assert found == [200, 503, 503]
    assert door.bodies == [b"0"]


async def test_the_proxy_is_available_again_afterwards() -> None:
    async with opened() as door, proxied(door.address, ProxyFault(unavailable_from=1, unavailable_s=0.05)) as proxy:
        first = await statuses(proxy.address, 1)
        async with asyncio.timeout(10):
            while await statuses(proxy.address, 1) != [200]:
                pass

    assert first == [503]


async def test_the_door_is_killed_before_its_answer_is_sent() -> None:
    killed: list[int] = []
    async with opened() as door:

        def kill() -> None:
            killed.append(len(door.bodies))

        async with proxied(door.address, ProxyFault(kill_at=2), kill) as proxy:
            found = await statuses(proxy.address, 3)

    assert found == [200, None, 200]
    assert killed == [2], "the door must have accepted the second request"


async def test_a_door_that_is_down_gives_no_answer() -> None:
    async with opened() as door:
        pass
    async with proxied(door.address, ProxyFault()) as proxy:
        assert await statuses(proxy.address, 2) == [None, None]


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_requests_without_a_body_are_not_counted(method: str) -> None:
    fault = ProxyFault(lose_every=1, lose_at_most=9)
    async with opened() as door, proxied(door.address, fault) as proxy, aiohttp.ClientSession() as session:
        answer = await session.request(method, f"{proxy.address}/v1/batch")
        assert answer.status == 200

    none: list[Passage] = []
    assert proxy.passages == none
