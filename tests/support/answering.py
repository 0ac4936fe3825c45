"""A stand-in for the HTTP server of a worker's lookups. It gives the same answer to every request."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from aiohttp import web

from stream.lookup.identity import HEADER
from stream.lookup.server import LookupServer

IDENTITY = "cluster/perennial."
"""Identity of the installation to which the tested commands belong."""


@contextmanager
def worker(answer: Any, asked: list[str], status: int = 200, *, identity: str = IDENTITY) -> Iterator[int]:
    """Serve a worker's lookups from a thread, and yield the port.

    Until the end of the block, the commands of this process belong to the installation ``IDENTITY``, and the worker
    belongs to ``identity``.
    """

    async def respond(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response(answer, status=status, headers={HEADER: identity})

    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    runner = web.AppRunner(app)
    listening = socket.create_server(("127.0.0.1", 0))
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.SockSite(runner, listening).start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with patch("stream.lookup.identity.read_identity", return_value=IDENTITY):
            yield listening.getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def serving(server: LookupServer) -> Iterator[int]:
    """Serve lookups from a thread, and yield the port; the commands of this process belong to ``IDENTITY``."""
    loop = asyncio.new_event_loop()
    port = loop.run_until_complete(server.start("127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with patch("stream.lookup.identity.read_identity", return_value=IDENTITY):
            yield port
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
