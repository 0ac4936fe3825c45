"""Proxy between a client and the HTTP door. It has one fault, and records the requests that passed.

It simulates production: a load balancer that answers 503, a network that loses answers, and a door that dies before its
answer is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.support.brokers import HOST

# `Host` is not listed: a load balancer passes it on, and the door uses it to tell browsers where to send events.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"})
_UPSTREAM_TIMEOUT = aiohttp.ClientTimeout(total=30)
MAX_BODY_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class ProxyFault:
    """Plan of the answers that the client does not get; requests with a body are counted from 1.

    Attributes
    ----------
    kill_at
        Number of the request after which the door is killed. The door accepts this request, but its answer is lost.
    unavailable_from, unavailable_s
        From this request on, and for this long, every answer is 503 with ``Retry-After: 1``; nothing reaches the door.
    lose_every, lose_at_most
        Every n-th answer of the door is lost on its way to the client, until this number of answers are lost.
    """

    kill_at: int = 0
    unavailable_from: int = 0
    unavailable_s: float = 0.0
    lose_every: int = 0
    lose_at_most: int = 0


@dataclass(slots=True)
class Passage:
    """One request that passed the proxy.

    Attributes
    ----------
    path, headers, body
        Path, headers and body as the client sent them; the body is still encoded.
    status
        Status that the client got; ``None`` if it got no answer.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None


@dataclass
class Proxy:
    """Forwarder of requests to a door; see :func:`proxied`.

    Attributes
    ----------
    door
        Address of the HTTP door.
    fault
        Fault of the proxy.
    kill
        Called to kill the door.
    passages
        Requests with a body, in the order of their arrival.
    address
        Address for clients.
    """

    door: str
    fault: ProxyFault = ProxyFault()
    kill: Callable[[], None] = lambda: None
    passages: list[Passage] = field(default_factory=list)
    address: str = ""
    _unavailable_until: float | None = None
    _lost: int = 0

    @property
    def answers(self) -> list[int | None]:
        """Status of each answer; ``None`` if the client got none."""
        return [passage.status for passage in self.passages]

    async def handle(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        """Forward one request, or cause the planned fault."""
        body = await request.read()
        if request.method != "POST":
            return await self._forward(request, body, session) or _cut(request)
        passage = Passage(request.path_qs, dict(request.headers), body)
        self.passages.append(passage)
        number = len(self.passages)
        if self._is_unavailable(number):
            passage.status = 503
            # the door sets the same headers; without the first one, a browser would hide the status from the page
            headers = {"Access-Control-Allow-Origin": "*", "Retry-After": "1"}
            return web.json_response({"code": "unavailable", "message": "in a moment"}, status=503, headers=headers)
        answer = await self._forward(request, body, session)
        if number == self.fault.kill_at:
            self.kill()
            return _cut(request)
        if answer is None or self._is_lost(number):
            return _cut(request)
        passage.status = answer.status
        return answer

    def _is_unavailable(self, number: int) -> bool:
        if not self.fault.unavailable_from or number < self.fault.unavailable_from:
            return False
        if self._unavailable_until is None:
            self._unavailable_until = time.monotonic() + self.fault.unavailable_s
        return time.monotonic() < self._unavailable_until

    def _is_lost(self, number: int) -> bool:
        every = self.fault.lose_every
        if not every or number % every or self._lost >= self.fault.lose_at_most:
            return False
        self._lost += 1
        return True

    async def _forward(self, request: web.Request, body: bytes, session: aiohttp.ClientSession) -> web.Response | None:
        """Return the door's answer, or ``None`` if the door gave none."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            async with session.request(
                request.method, self.door + request.path_qs, data=body, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.read()
                kept = {n: v for n, v in answer.headers.items() if n.lower() not in _HOP_BY_HOP | {"content-length"}}
                return web.Response(status=answer.status, body=content, headers=kept)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return None


def _cut(request: web.Request) -> web.StreamResponse:
    """Close the client's connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # aiohttp requires a response; the closed connection does not carry it


@asynccontextmanager
async def proxied(door: str, fault: ProxyFault, kill: Callable[[], None] = lambda: None) -> AsyncIterator[Proxy]:
    """Listen on a free local port until the end of the block."""
    proxy = Proxy(door, fault, kill)
    connector = aiohttp.TCPConnector(force_close=True)
    # bodies and answers pass in their original encoding
    async with aiohttp.ClientSession(auto_decompress=False, timeout=_UPSTREAM_TIMEOUT, connector=connector) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            return await proxy.handle(request, session)

        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, 0).start()
            proxy.address = f"http://{HOST}:{runner.addresses[0][1]}"
            yield proxy
        finally:
            await asyncio.shield(runner.cleanup())
